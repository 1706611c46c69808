"""Convolutions of 3 x 3 pixels in 32 bits with a quarter of the multiplications, by Winograd's minimal filtering.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, https://arxiv.org/abs/1509.09308: of
each tile of 6 x 6 pixels, F(4 x 4, 3 x 3) computes 4 x 4 outputs with 36 multiplications for each pair of channels in
place of 144. The multiplications are products of matrices, which NumPy's BLAS does near the processor's limit. OpenVINO
convolves dense 3 x 3 kernels without such a method; on processors without 16-bit arithmetic that is most of the time of
a feature pyramid.

How exact it is depends on the points where its polynomials are taken. With the paper's 0, 1, -1, 2 and -2, outputs of
256 channels are up to 4e-5 of their deviation off; with 0 and the square roots of 1/2 and 2, with both signs, 1e-5
(1.5e-6 in the mean square), a few times as much as the usual sums.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.compiled import kernel

Floats = NDArray[np.float32]

_SIDE, _OUT = 6, 4
"""Pixels of a tile in each direction, and of its outputs."""
_TILES_AT_ONCE = 256
"""Wide enough for BLAS, which brings the kernels into its own order for each block, and not too much for a cache."""

_NEAR, _FAR = np.float32(0.5**0.5), np.float32(2**0.5)
"""Two of the points; see above."""
_HALF, _TWO, _MIDDLE = np.float32(0.5), np.float32(2), np.float32(2.5)
"""Their squares, and the sum of these."""


def _changed(weights: Floats) -> Floats:
    """Return GgG' (36, channels, outputs) of kernels g (3, 3, channels, outputs); G as in the paper, for our points."""
    near, far = 0.5**0.5, 2**0.5
    side = np.array([[1, point, point**2] for point in (0, near, -near, far, -far)] + [[0, 0, 1]])
    side[1:5] /= np.array([-1.5, -1.5, 6, 6])[:, np.newaxis]
    changed = np.einsum("ia,jb,abck->ijck", side, side, weights.astype(np.float64), optimize=True)
    return np.ascontiguousarray(changed.reshape(_SIDE**2, *weights.shape[2:]), np.float32)


class Workers:
    """Threads for blocks of tiles, and the memory that each of them needs, whatever the convolution.

    BLAS should have one thread (`threadpoolctl`).

    Args:
        threads: How many.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="convolution")
        self._own = threading.local()

    def each(self, work: Callable[[int], None], items: Iterable[int]) -> None:
        """Do some work for each item; to be called from any threads but these."""
        for _ in self._pool.map(work, items):
            pass

    def room(self, place: int, tiles: int, channels: int) -> Floats:
        """Return one of this thread's arrays (36, tiles, channels), with whatever is in it.

        Args:
            place: Which, so that there can be several.
            tiles: At most `_TILES_AT_ONCE`.
            channels: Any number.
        """
        if not hasattr(self._own, "held"):
            self._own.held = {}
        held: dict[int, Floats] = self._own.held
        if place not in held or held[place].size < _SIDE**2 * tiles * channels:
            held[place] = np.empty(_SIDE**2 * _TILES_AT_ONCE * channels, np.float32)
        room: Floats = held[place][: _SIDE**2 * tiles * channels].reshape(_SIDE**2, tiles, channels)
        return room


class WinogradConvolution:
    """A convolution of 3 x 3 pixels at stride 1, with zeros around the images, and a bias for each output.

    Args:
        weights: (3, 3, channels, outputs) float32.
        bias: (outputs,) float32.
        relu: Whether what is below zero becomes zero.
        workers: Do the work; other callers may use them as well.
    """

    def __init__(self, weights: Floats, bias: Floats, relu: bool, workers: Workers) -> None:
        self._factors = _changed(weights)
        self._bias, self._least = bias.astype(np.float32), np.float32(0 if relu else -np.inf)
        self._workers = workers

    def __call__(self, images: Floats) -> Floats:
        """Return the outputs (n, height, width, outputs) for images (n, height, width, channels)."""
        images = np.ascontiguousarray(images, np.float32)
        count, height, width, _ = images.shape
        result = np.empty((count, height, width, len(self._bias)), np.float32)
        tiles = count * -(-height // _OUT) * -(-width // _OUT)

        def block(first: int) -> None:
            self._convolve(images, first, min(_TILES_AT_ONCE, tiles - first), result)

        self._workers.each(block, range(0, tiles, _TILES_AT_ONCE))
        return result

    def _convolve(self, images: Floats, first: int, tiles: int, result: Floats) -> None:
        """Fill in the outputs of some tiles, counted along the rows of one image after the other."""
        _, channels, outputs = self._factors.shape
        given, gained = self._workers.room(0, tiles, channels), self._workers.room(1, tiles, outputs)
        _transform(images, first, given)
        np.matmul(given, self._factors, out=gained)
        _transform_back(gained, first, self._bias, self._least, result)


@kernel
def _transform(images: Any, first: int, given: Any) -> None:
    """Fill in B'dB (36, tiles, channels) of the tiles from a first one on."""
    _, height, width, channels = images.shape
    down, across = -(-height // _OUT), -(-width // _OUT)
    nothing = np.zeros(channels, np.float32)
    half = np.empty((_SIDE, _SIDE, channels), np.float32)
    for tile in range(given.shape[1]):
        line, column = divmod(first + tile, across)
        image, row = divmod(line, down)
        top, left = row * _OUT - 1, column * _OUT - 1
        for j in range(_SIDE):
            x = left + j
            inside = 0 <= x < width
            _into(
                images[image, top, x] if inside and top >= 0 else nothing,
                images[image, top + 1, x] if inside else nothing,
                images[image, top + 2, x] if inside and top + 2 < height else nothing,
                images[image, top + 3, x] if inside and top + 3 < height else nothing,
                images[image, top + 4, x] if inside and top + 4 < height else nothing,
                images[image, top + 5, x] if inside and top + 5 < height else nothing,
                half[:, j],
            )
        for i in range(_SIDE):
            one = half[i]
            _into(one[0], one[1], one[2], one[3], one[4], one[5], given[_SIDE * i : _SIDE * (i + 1), tile])


@kernel
def _into(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, given: Any) -> None:
    """Fill in B' times a column of six, for all channels."""
    for k in range(len(a)):
        given[0, k] = a[k] - _MIDDLE * c[k] + e[k]
        even, odd = e[k] - _TWO * c[k], _NEAR * (d[k] - _TWO * b[k])
        given[1, k] = even + odd
        given[2, k] = even - odd
        even, odd = e[k] - _HALF * c[k], _FAR * (d[k] - _HALF * b[k])
        given[3, k] = even + odd
        given[4, k] = even - odd
        given[5, k] = b[k] - _MIDDLE * d[k] + f[k]


@kernel
def _transform_back(gained: Any, first: int, bias: Any, least: Any, result: Any) -> None:
    """Fill in A'mA of the products (36, tiles, outputs) of the tiles from a first one on, with bias and least value."""
    _, height, width, outputs = result.shape
    down, across = -(-height // _OUT), -(-width // _OUT)
    half = np.empty((_OUT, _SIDE, outputs), np.float32)
    whole = np.empty((_OUT, outputs), np.float32)
    for tile in range(gained.shape[1]):
        line, column = divmod(first + tile, across)
        image, row = divmod(line, down)
        for j in range(_SIDE):
            _back(gained[j::_SIDE, tile], half[:, j])
        for i in range(min(_OUT, height - row * _OUT)):
            _back(half[i], whole)
            for j in range(min(_OUT, width - column * _OUT)):
                out = result[image, row * _OUT + i, column * _OUT + j]
                for k in range(outputs):
                    out[k] = max(whole[j, k] + bias[k], least)


@kernel
def _back(given: Any, gained: Any) -> None:
    """Fill in A' times a column of six, for all outputs."""
    for k in range(given.shape[1]):
        even, odd = given[1, k] + given[2, k], _NEAR * (given[1, k] - given[2, k])
        far_even, far_odd = given[3, k] + given[4, k], _FAR * (given[3, k] - given[4, k])
        gained[0, k] = given[0, k] + even + far_even
        gained[1, k] = odd + far_odd
        gained[2, k] = _HALF * even + _TWO * far_even
        gained[3, k] = _HALF * odd + _TWO * far_odd + given[5, k]
