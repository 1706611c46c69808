"""From blended cells to what is stored: upsampling and activation of logits, made once for each pixel of the raster.

A network of segmentation such as DeepLabV3+ ends with coarse logits, which it brings to the pixels of its tile by
bilinear interpolation, and there to probabilities. Where tiles overlap that is done for nothing, and tiles of pixels
are sixteen times as much to move and to blend. So tiles are blended as logits, in cells, and their blend ends as each
tile would have. Networks that end otherwise give probabilities of pixels, which are blended as they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from building_segmenter.rasters.probability import FULL, marked, quantized

Floats = NDArray[np.float32]

_SURE, _LARGEST = np.float32(40.0), np.float32(1e37)
"""Logits beyond the first are stored as 0 or as the full probability, if each is one of its own; exponentials of much
larger ones would leave the range of float32. Of those that share one, only the differences count: two of them stay in
that range for logits up to the second."""
_AT_ONCE = 1 << 18
"""Values that are worked on at a time, few enough for a processor's cache."""


class Run(NamedTuple):
    """Pixels of a row or column, counted from the first pixel of the first cell that is given."""

    first: int
    length: int


class Ending(ABC):
    """How blended cells become stored values.

    Args:
        factor: Pixels along a side of a cell.
        skipped: How many of the first channels need not be blended.
    """

    def __init__(self, factor: int, skipped: int) -> None:
        self.factor, self.skipped = factor, skipped

    @abstractmethod
    def stored(self, cells: Floats, down: Run, across: Run, valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return stored values (channels, rows, columns).

        Args:
            cells: (channels, rows, columns) of cells without the skipped channels, from the first that the pixels
                need to the last one (`tiles.TileAxis.needed`); may be overwritten.
            down: The rows.
            across: The columns.
            valid: Where they count (rows, columns).
        """


class OfProbabilities(Ending):
    """Cells are pixels, and hold probabilities.

    Args:
        dropped: How many of the first channels are not stored.
    """

    def __init__(self, dropped: int) -> None:
        super().__init__(1, dropped)

    def stored(self, cells: Floats, down: Run, across: Run, valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """See `Ending`."""
        return quantized(cells, valid, overwrite=True)


class OfLogits(Ending):
    """Cells hold logits.

    Args:
        factor: See `Ending`.
        dropped: How many of the first channels are not stored.
        shared: The channels share one probability (softmax); otherwise each has its own (sigmoid).
    """

    def __init__(self, factor: int, dropped: int, *, shared: bool) -> None:
        super().__init__(factor, 0)
        self._dropped, self._shared = dropped, shared

    def stored(self, cells: Floats, down: Run, across: Run, valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """See `Ending`."""
        most = _LARGEST if self._shared else _SURE
        clipped = np.clip(cells, -most, most)
        wide = np.empty((*clipped.shape[:2], across.length), np.float32)
        for plane, target in zip(clipped, wide, strict=True):
            interpolate_rows(plane.T, target.T, across.first, self.factor)
        stored = np.empty((len(cells) - self._dropped, down.length, across.length), np.uint8)
        at_once = max(1, _AT_ONCE // wide[:, 0].size)
        for first in range(0, down.length, at_once):
            logits = np.empty((len(cells), min(at_once, down.length - first), across.length), np.float32)
            for plane, target in zip(wide, logits, strict=True):
                interpolate_rows(plane, target, down.first + first, self.factor)
            stored[:, first : first + at_once] = self._scaled(logits)
        return marked(stored, valid)

    def _scaled(self, logits: Floats) -> Floats:
        """Return probabilities as stored values, a half above what they are truncated to; the logits are overwritten.

        Exponentials by NumPy, sums in the order of the channels: the same whatever is worked on together.
        """
        if self._shared:
            logits -= logits.max(axis=0)
            shares = np.exp(logits, out=logits)
            full = np.float32(FULL) / shares.sum(axis=0)
            scaled = shares[self._dropped :]
            scaled *= full
        else:
            kept = logits[self._dropped :]
            odds = np.exp(np.negative(kept, out=kept), out=kept)
            odds += np.float32(1.0)
            scaled = np.divide(np.float32(FULL), odds, out=odds)
        scaled += np.float32(0.5)
        return scaled


def interpolate_rows(cells: Floats, pixels: Floats, first: int, factor: int) -> None:
    """Interpolate linearly between the centres of cells, as `keras.layers.UpSampling2D` does within a tile.

    Args:
        cells: (rows of cells, columns), from `TileAxis.needed` on.
        pixels: (rows, columns), to be filled.
        first: The first of the rows, in pixels from the edge of the first cell.
        factor: Rows of pixels in a cell.
    """
    for place in range(factor):
        start = (place - first) % factor
        target = pixels[start::factor]
        # Of every cell's pixels at this place the same share belongs to the next centre, or to the one before.
        beyond = (2 * place + 1 - factor) / (2 * factor)
        before = (first + start - place) // factor + (-1 if beyond < 0 else 0)
        share = np.float32(beyond % 1.0)
        np.multiply(cells[before : before + len(target)], np.float32(1.0) - share, out=target)
        target += cells[before + 1 : before + 1 + len(target)] * share
