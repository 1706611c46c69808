"""Rows of a raster's band, kept for the many small windows that follow each other downwards."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window

from building_segmenter.footprints.contours.field import valid_pixels

_ROWS = 512
_MOST_STRIPS, _MOST_BYTES = 4, 1 << 26
"""What is kept, so that memory does not grow with the raster's height."""


class Strips:
    """A band that is read in strips over the whole width: GDAL takes half a millisecond to begin with each window.

    The few strips used last are kept, in at most 64 MB. A window of more rows than these hold is read as it is.

    Args:
        dataset: The open raster; read by one thread at a time.
        band: Band, counted from 1.

    Attributes:
        height: Rows of the raster.
        width: Columns of it.
        dtype: Of what is stored.
    """

    def __init__(self, dataset: DatasetReader, band: int) -> None:
        self._dataset, self._band = dataset, band
        self.height, self.width, self.dtype = dataset.height, dataset.width, np.dtype(dataset.dtypes[band - 1])
        block = int(dataset.block_shapes[band - 1][0])
        self._rows = block * -(-_ROWS // block)
        size = self._rows * self.width * self.dtype.itemsize
        self._most = min(_MOST_STRIPS, _MOST_BYTES // size)
        self._kept: OrderedDict[int, NDArray[Any]] = OrderedDict()

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Return the stored values (height, width) in a window of whole pixels, and where they are valid.

        Args:
            window: Inside the raster.

        Returns:
            The values, and None in place of the second where all are valid.

        Raises:
            RasterioError: Reading breaks off.
        """
        first, last = window.row_off // self._rows, (window.row_off + window.height - 1) // self._rows
        if last - first + 1 > self._most:
            stored = self._dataset.read(self._band, window=window)
        else:
            stored = np.concatenate([self._part(number, window) for number in range(first, last + 1)])
        return stored, valid_pixels(self._dataset, self._band, window, stored)

    def _part(self, number: int, window: Window) -> NDArray[Any]:
        """Return what a window has of a strip."""
        above = number * self._rows
        rows = slice(max(window.row_off - above, 0), window.row_off + window.height - above)
        return self._strip(number)[rows, window.col_off : window.col_off + window.width]

    def _strip(self, number: int) -> NDArray[Any]:
        if number not in self._kept:
            top = number * self._rows
            height = min(self._rows, self.height - top)
            strip = self._dataset.read(self._band, window=Window(0, top, self.width, height))
            while len(self._kept) >= self._most:
                self._kept.popitem(last=False)
            self._kept[number] = strip
        self._kept.move_to_end(number)
        return self._kept[number]
