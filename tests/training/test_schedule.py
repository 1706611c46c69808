"""Learning rates and the moving average."""

import pytest

from building_segmenter.training.schedule import averaging_momentum, learning_rate_at


def test_rate_warms_up_then_falls_to_a_hundredth():
    rates = [learning_rate_at(step, 1000, 0.01, 50) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01 / 50)
    assert rates[:50] == sorted(rates[:50])
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert max(rates) == pytest.approx(0.01, rel=0.02)
    assert rates[-1] == pytest.approx(0.0001, rel=0.02)


def test_late_starter_rests_then_warms_up():
    rates = [learning_rate_at(step, 1000, 0.01, 50, start=300) for step in range(1000)]
    assert not any(rates[:300])
    assert 0 < rates[300] < rates[340]
    assert rates[400] == learning_rate_at(400, 1000, 0.01, 50)


def test_average_leaves_the_start_behind_and_settles():
    assert averaging_momentum(0, 100) == pytest.approx(0.1)
    assert averaging_momentum(10_000, 100) == pytest.approx(1 - 1 / 200)
    assert averaging_momentum(10_000, 1) == pytest.approx(0.8)
