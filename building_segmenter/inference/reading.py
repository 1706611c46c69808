"""Reading tiles from an image, several of a row at a time where that is cheaper, ahead of their prediction."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from building_segmenter.errors import BuildingSegmenterError
from building_segmenter.inference.pipeline import in_order
from building_segmenter.inference.places import told_where
from building_segmenter.rasters.grid import ModelGrid, read_grid
from building_segmenter.rasters.overlay import PixelPolygons, Window
from building_segmenter.rasters.source import RasterPool

_TOGETHER = 8
"""Tiles of a row that are read at once: neighbours share a quarter of their pixels."""

_Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Pixels:
    """What was read for a tile.

    Args:
        window: The tile (column, row, width, height) in model pixels.
        image: (height, width, bands), in the raster's own type.
        valid: Where it is valid (height, width).
        known: Where it is wanted, too (height, width).
    """

    window: Window
    image: NDArray[np.generic]
    valid: _Bools
    known: _Bools


@dataclass(frozen=True)
class Imagery:
    """An image as the source of tiles.

    Args:
        rasters: The image, opened once for each thread that reads it.
        grid: Its model pixels.
        bands: The bands that are read, counted from 1.
        area: Where prediction is wanted; None: everywhere.
    """

    rasters: RasterPool
    grid: ModelGrid
    bands: tuple[int, ...]
    area: PixelPolygons | None

    def tiles(
        self, rows: Iterable[Sequence[Window]], reach: int, check: Callable[[], None]
    ) -> Generator[Pixels | BuildingSegmenterError | None, None, None]:
        """Yield what was read for each tile, in order, while those after it are read in threads.

        Args:
            rows: The tiles, row by row.
            reach: How many pixels beyond its own a tile is wanted for.
            check: Called while waiting; stops the work by raising.

        Yields:
            The pixels; None where nothing is wanted or valid; the error where reading failed, to be raised when the
            tile's turn comes.
        """
        together = [row[first : first + _TOGETHER] for row in rows for first in range(0, len(row), _TOGETHER)]
        read = partial(self._read, reach=reach)
        with closing(in_order(read, together, self.rasters.size, self.rasters.size + 1, check)) as groups:
            for group in groups:
                yield from group

    def _read(self, windows: Sequence[Window], reach: int) -> list[Pixels | BuildingSegmenterError | None]:
        # Where pixels are resampled, those of a larger window may differ by rounding, and some may not be wanted.
        if self.area is None and self.grid.columns.factor == 1 and self.grid.rows.factor == 1:
            try:
                return self._read_at_once(windows)
            except RasterioError:
                pass  # Tile by tile, then, to tell where.
        return [self._read_one(window, reach) for window in windows]

    def _read_at_once(self, windows: Sequence[Window]) -> list[Pixels | BuildingSegmenterError | None]:
        left, top, _, height = windows[0]
        right = windows[-1][0] + windows[-1][2]
        image, valid = self._pixels((left, top, right - left, height))
        tiles: list[Pixels | BuildingSegmenterError | None] = []
        for window in windows:
            columns = slice(window[0] - left, window[0] - left + window[2])
            here = valid[:, columns]
            tiles.append(Pixels(window, image[:, columns], here, here) if here.any() else None)
        return tiles

    def _read_one(self, window: Window, reach: int) -> Pixels | BuildingSegmenterError | None:
        wanted: _Bools | None = None
        if self.area is not None:
            around = window[0] - reach, window[1] - reach, window[2] + 2 * reach, window[3] + 2 * reach
            indices = self.area.in_window(around)
            if len(indices) == 0:
                return None
            near = self.area.burn(around, indices, np.ones(len(indices), np.int32)) > 0
            if not near.any():
                return None
            wanted = near[reach : reach + window[3], reach : reach + window[2]]
        try:
            with told_where(self.rasters.first.name, self.grid, window):
                image, valid = self._pixels(window)
        except BuildingSegmenterError as error:
            return error
        known = valid if wanted is None else valid & wanted
        is_needed = valid.any() if reach else known.any()
        return Pixels(window, image, valid, known) if is_needed else None

    def _pixels(self, window: Window) -> tuple[NDArray[np.generic], _Bools]:
        with self.rasters.one() as dataset:
            # Sharp imagery, as drones take it, is read better a little softer than the chips that networks learn on.
            return read_grid(dataset, self.grid, self.bands, window, soft=True)
