"""An image as tiles that a model takes: where they lie, what is read for them, and their work in threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from building_segmenter.errors import BuildingSegmenterError
from building_segmenter.inference.network import file_digest
from building_segmenter.inference.pipeline import in_order
from building_segmenter.inference.radiometry import Radiometry
from building_segmenter.inference.reading import Imagery, Pixels
from building_segmenter.inference.runtime import Runtime
from building_segmenter.networks.facts import ModelFacts
from building_segmenter.networks.shipped import default_model_path
from building_segmenter.progress import Progress
from building_segmenter.rasters.grid import ModelGrid, model_grid
from building_segmenter.rasters.overlay import Window, area_on_grid, extent_on_grid
from building_segmenter.rasters.source import RasterPool, image_bands, pixel_on_ground
from building_segmenter.rasters.tiles import TileAxis, tile_axis
from building_segmenter.resume import input_state
from building_segmenter.tasks import PredictionTask, SegmentationTask

Result = TypeVar("Result")

USUAL_OVERLAP = 0.25
"""Share of a tile that it has in common with the next, unless something says otherwise."""

_NOT_PART_OF_THE_WORK = ("output", "resume", "threads")

_AHEAD = 16
"""Tiles that are kept ready beyond those being predicted: what is done while a row is written."""


@dataclass(frozen=True)
class TiledImage:
    """An image, the part of it that is wanted, and how its pixels become those that a model takes.

    Args:
        imagery: The source of tiles.
        radiometry: Of its values.
        window: (column, row, width, height) in model pixels of what is wanted.
        overlap: Share of a tile that it has in common with the next.
        facts: Of the model.
    """

    imagery: Imagery
    radiometry: Radiometry
    window: Window
    overlap: float
    facts: ModelFacts

    @property
    def grid(self) -> ModelGrid:
        """The model pixels."""
        return self.imagery.grid

    @property
    def image(self) -> DatasetReader:
        """The open image."""
        return self.imagery.rasters.first

    @property
    def tile(self) -> int:
        """Side of a tile in model pixels."""
        return self.facts.tile_size

    def axes(self, factor: int = 1) -> tuple[TileAxis, TileAxis]:
        """Return the tiles from left to right, and from top to bottom, that are blended in cells of `factor` pixels."""
        left, top, width, height = self.window
        columns, rows = self.grid.columns, self.grid.rows
        return (
            tile_axis(self.grid.width, self.tile, self.overlap, columns.index, (left, width), factor),
            tile_axis(self.grid.height, self.tile, self.overlap, rows.index, (top, height), factor),
        )

    def taken(self, read: Pixels) -> NDArray[Any]:
        """Return a tile (tile, tile, bands) as the model takes it; what is not valid is 0.

        What the image lacks of it, where it is smaller or ends within a cell, is mirrored.
        """
        image = read.image
        if not read.valid.all():
            image = np.where(read.valid[..., None], image, image.dtype.type(0))
        column, row, width, height = read.window
        down = _missing(row, height, self.grid.height, self.tile)
        across = _missing(column, width, self.grid.width, self.tile)
        image = self.radiometry(image)
        return np.pad(image, (down, across, (0, 0)), mode="symmetric") if any((*down, *across)) else image


def tiled_image(
    options: PredictionTask, rasters: RasterPool, facts: ModelFacts, overlap: float, progress: Progress
) -> TiledImage:
    """Return an image as tiles for a model.

    Raises:
        BuildingSegmenterError: It has no such bands, no ground pixel, or nothing where it is wanted.
    """
    dataset = rasters.first
    grid = model_grid(dataset, pixel_on_ground(dataset, options.gsd), facts.gsd, facts.tile_size)
    bands = image_bands(dataset, options.bands, len(facts.bands))
    area, window = area_on_grid(options.area, grid), extent_on_grid(options.extent, grid)
    return TiledImage(
        Imagery(rasters, grid, bands, area), Radiometry(dataset, bands, facts, progress), window, overlap, facts
    )


def told(tiled: TiledImage, runtime: Runtime) -> str:
    """Return in words what runs which model over what."""
    facts, gsd = tiled.facts, tiled.grid.gsd[0]
    return (
        f"{runtime.device}, {runtime.name}, {runtime.precision}; model {facts.name}; ground pixel"
        f" {gsd:.3f} m (model: {facts.gsd:.3f} m); {tiled.window[2]} x {tiled.window[3]} px."
    )


def work_of(options: PredictionTask, tiled: TiledImage, runtime: Runtime) -> dict[str, Any]:
    """Return what a stopped prediction must have in common with this one to be gone on with.

    Options of what is made of the predictions are none of it.
    """
    dataset, model = tiled.image, options.model or default_model_path()
    kinds = [kind for kind in (PredictionTask, SegmentationTask) if isinstance(options, kind)]
    of_it = {field.name: getattr(options, field.name) for kind in kinds for field in fields(kind)}
    return {name: value for name, value in of_it.items() if name not in _NOT_PART_OF_THE_WORK} | {
        # Those of a mosaic are several. QGIS writes statistics beside any file that it shows.
        "input": [input_state(name) for name in dataset.files or [options.input] if not name.endswith(".aux.xml")],
        "placement": [dataset.shape, tuple(dataset.transform), dataset.crs.to_wkt() if dataset.crs else None],
        "area": input_state(options.area),
        "model": file_digest(model),
        "inference_precision": runtime.precision,
        "device": runtime.device,
        "runtime": runtime.name,
    }


def readers(threads: int) -> int:
    """Return how many threads may read at a time: each decodes blocks of the file for itself."""
    return min(max(1, (threads or os.cpu_count() or 1) // 4), 4)


def tile_results(
    tiled: TiledImage,
    columns: TileAxis,
    rows: TileAxis,
    work: Callable[[Pixels], Result],
    requests: int,
    progress: Progress,
) -> Generator[Result | None, None, None]:
    """Yield what is made of each tile, row by row, while the next ones are read and worked on.

    Args:
        tiled: The image.
        columns: Its tiles from left to right.
        rows: Its tiles from top to bottom.
        work: Called with what was read for a tile, from several threads.
        requests: How many tiles are worked on side by side.
        progress: Of all tiles.

    Yields:
        The result; None of a tile in which nothing is wanted.

    Raises:
        BuildingSegmenterError: A tile cannot be read, when its turn comes.
    """
    across = [columns.pixels(number) for number in range(len(columns.cells))]
    down = [rows.pixels(number) for number in range(len(rows.cells))]
    windows = [[(left, top, width, height) for left, width in across] for top, height in down]
    count = len(across) * len(down)

    def result_of(read: Pixels | BuildingSegmenterError | None) -> Result | None:
        if isinstance(read, BuildingSegmenterError):
            raise read
        return None if read is None else work(read)

    with (
        closing(tiled.imagery.tiles(windows, rows.reach, progress.check)) as read,
        closing(in_order(result_of, read, requests, 2 * requests + _AHEAD, progress.check)) as results,
    ):
        for number, result in enumerate(results):
            progress.update(number / count, "Predicting")
            yield result


def _missing(first: int, count: int, size: int, tile: int) -> tuple[int, int]:
    """Return what a tile lacks of pixels before and after those of the image that it holds, along an axis."""
    before = tile - count if first == 0 and count < size else 0
    return before, tile - count - before
