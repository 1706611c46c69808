"""How fast the network learns at each step."""

from __future__ import annotations

import math

_FLOOR = 0.01


def learning_rate_at(step: int, total: int, peak: float, warm_up: int, start: int = 0) -> float:
    """Return the learning rate of a step: a straight warm-up, then half a cosine down to a hundredth.

    Loshchilov and Hutter, "SGDR", ICLR 2017, https://arxiv.org/abs/1608.03983, without restarts.

    Args:
        step: The step, counted from 0 over the whole run.
        total: Steps of the whole run.
        peak: The highest rate.
        warm_up: Steps until the rate follows the cosine.
        start: Step at which this part of the network begins to learn; before it the rate is 0.
    """
    if step < start:
        return 0.0
    cosine = 0.5 * (1.0 + math.cos(math.pi * step / max(total, 1)))
    return peak * (_FLOOR + (1.0 - _FLOOR) * cosine) * min(1.0, (step - start + 1) / max(warm_up, 1))


def averaging_momentum(step: int, steps_per_epoch: int) -> float:
    """Return the share of the old value in the moving average of the weights.

    The average looks back over about two epochs; early on over less, so that it leaves the start behind.
    """
    settled = min(max(1.0 - 1.0 / (2.0 * steps_per_epoch), 0.8), 0.9995)
    return min(settled, (1.0 + step) / (10.0 + step))
