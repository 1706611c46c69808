"""The parts of a Mask R-CNN, ready to run: on OpenVINO, but for the dense convolutions of 3 x 3 pixels in 32 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from building_segmenter.inference.instances.parts import MASK, MASKS_AT_ONCE, PROPOSALS, PYRAMID, Parts
from building_segmenter.inference.runtime import CompiledNetwork, Runtime
from building_segmenter.inference.winograd import WinogradConvolution, Workers
from building_segmenter.networks.mask_rcnn.config import Config

Floats = NDArray[np.float32]


class Maps(NamedTuple):
    """What a trunk says of one image.

    Args:
        pyramid: P2 to P5, each (height, width, channels).
        logits: Of each of five levels (height, width, 2 x anchors), finest first.
        deltas: Of each of five levels (height, width, 4 x anchors), finest first.
    """

    pyramid: list[Floats]
    logits: list[Floats]
    deltas: list[Floats]


class Trunk:
    """A trunk that runs on OpenVINO as a whole.

    Attributes:
        requests: How many tiles it works on side by side.
    """

    def __init__(self, network: CompiledNetwork) -> None:
        self._network, self.requests = network, network.requests

    def run(self, tile: NDArray[Any]) -> Maps:
        """Return what it says of (1, tile, tile, bands); to be called from several threads."""
        outputs = [output[0] for output in self._network.run(tile)]
        levels = len(PYRAMID)
        return Maps(outputs[:levels], outputs[levels : 2 * levels + 1], outputs[2 * levels + 1 :])


class StemAndPyramid(Trunk):
    """A trunk whose feature pyramid ends, and is searched for regions, outside of OpenVINO."""

    def __init__(self, stem: CompiledNetwork, weights: dict[str, Floats], workers: Workers) -> None:
        super().__init__(stem)
        self._pyramid = _convolutions(weights, PYRAMID, False, workers)
        (self._shared,) = _convolutions(weights, PROPOSALS[:1], True, workers)
        kernels, biases = ([weights[f"{name} {kind}"] for name in PROPOSALS[1:]] for kind in ("kernel", "bias"))
        self._kernel, self._bias = np.concatenate(kernels, axis=-1)[0, 0], np.concatenate(biases)
        self._logits = len(biases[0])

    def run(self, tile: NDArray[Any]) -> Maps:
        """Return what it says of (1, tile, tile, bands); to be called from several threads."""
        merged = self._network.run(tile)
        pyramid = [smooth(level) for smooth, level in zip(self._pyramid, merged, strict=True)]
        levels = [*pyramid, pyramid[-1][:, ::2, ::2]]
        said = [(self._shared(level) @ self._kernel + self._bias)[0] for level in levels]
        logits, deltas = zip(*(np.split(one, [self._logits], axis=-1) for one in said), strict=True)
        return Maps([level[0] for level in pyramid], list(logits), list(deltas))


class MaskHead:
    """A mask head, of which some convolutions may run outside of OpenVINO.

    Attributes:
        at_once: How many regions it takes at most.
    """

    at_once = MASKS_AT_ONCE

    def __init__(self, network: CompiledNetwork, first: Sequence[WinogradConvolution] = ()) -> None:
        self._network, self._first = network, first

    def run(self, pooled: Floats) -> Floats:
        """Return masks (n, height, width, classes) of regions (n, pool, pool, channels); from several threads."""
        count = len(pooled)
        for convolution in self._first:
            pooled = convolution(pooled)
        (masks,) = self._network.run(np.pad(pooled, [(0, self.at_once - count), *[(0, 0)] * 3]))
        return masks[:count]


class Running(NamedTuple):
    """The parts; box head as of `Parts`."""

    trunk: Trunk
    box_head: CompiledNetwork
    mask_head: MaskHead


def running(parts: Parts, config: Config, runtime: Runtime) -> Running:
    """Return parts ready to run.

    In 32 bits on a processor, BLAS has one thread from then on in this process: tiles and parts of them run side by
    side.

    Raises:
        ModelError: A network cannot be built or compiled.
    """
    if runtime.precision != "f32" or not runtime.on_processor or config.RPN_ANCHOR_STRIDE != 1:
        whole, box_head, mask_head = map(runtime.compiled, (parts.trunk, parts.box_head, parts.mask_head))
        return Running(Trunk(whole), box_head, MaskHead(mask_head))
    weights = runtime.weights(parts.weights)
    threadpoolctl.threadpool_limits(1, "blas")
    stem, box_head, end = map(runtime.compiled, (parts.stem, parts.box_head, parts.mask_end))
    # Not before: compiling takes much memory for itself.
    workers = Workers(runtime.threads)
    trunk = StemAndPyramid(stem, weights, workers)
    return Running(trunk, box_head, MaskHead(end, _convolutions(weights, MASK, True, workers)))


def _convolutions(
    weights: dict[str, Floats], names: Sequence[str], relu: bool, workers: Workers
) -> list[WinogradConvolution]:
    return [WinogradConvolution(weights[f"{name} kernel"], weights[f"{name} bias"], relu, workers) for name in names]
