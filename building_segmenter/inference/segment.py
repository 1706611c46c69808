"""Segment a raster: tiled, blended, streamed prediction into a probability raster.

Tiles are read and predicted in threads, some ahead of the one that is wanted next. They are blended in their order,
so that neither threads nor their timing change a byte: from north to south, a row's tiles along the row, then into
the rows above; rows that no later tile touches are written while later tiles are predicted. Memory is that of two
rows of tiles and of the tiles under way.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from building_segmenter import scratch
from building_segmenter.inference.network import keras_network
from building_segmenter.inference.pipeline import in_order
from building_segmenter.inference.radiometry import Radiometry, no_valid_pixel
from building_segmenter.inference.runtime import TilePredictor
from building_segmenter.networks.facts import ModelFacts
from building_segmenter.networks.model_file import read_facts
from building_segmenter.networks.shipped import default_model_path
from building_segmenter.progress import Progress
from building_segmenter.rasters.grid import ModelGrid, model_grid, read_grid
from building_segmenter.rasters.overlay import PixelPolygons, Window, area_on_grid, extent_on_grid
from building_segmenter.rasters.probability import in_block_rows, probability_writer, quantized
from building_segmenter.rasters.source import RasterPool, image_bands, open_raster, pixel_on_ground
from building_segmenter.rasters.tiles import blend_weights, tile_starts
from building_segmenter.rasters.writing import write_rows
from building_segmenter.tasks import PredictionTask, SegmentRaster

Floats = NDArray[np.float32]

_AHEAD = 16
"""Tiles that are kept ready beyond those being predicted: what is done while a row is written."""


def segment_raster(options: SegmentRaster, progress: Progress) -> dict[str, Any]:
    """Predict the probability of buildings, or of each of a model's classes, over a raster.

    Returns:
        `output`, `width` and `height` in pixels, `gsd` (two ground metres), `model_gsd`, and `threshold` of the model
        or, of a model with several classes, `classes` (`value` and `name` of each band).

    Raises:
        BuildingSegmenterError: The raster, the model or the output cannot be used; see `errors`.
    """
    with scratch.new_output(options.output) as path:
        facts = predict_to(options, path, progress)
    if facts["classes"]:
        del facts["threshold"]  # the most probable class wins
    else:
        del facts["classes"]
    return {"output": options.output, **facts}


def predict_to(options: PredictionTask, path: Path, progress: Progress) -> dict[str, Any]:
    """Predict into a probability raster at a scratch path; see `segment_raster`.

    Of a model with several classes, the raster has one band for each of them, and none for the background.

    Returns:
        `width`, `height`, `gsd`, `model_gsd`, `threshold`, and `classes`, which is empty of a model of buildings.
    """
    with open_raster(options.input) as dataset, RasterPool(dataset, _readers(options.threads)) as rasters:
        job = _prepared(options, rasters, progress.part(0.0, 0.05))
        column, row, width, height = job.window
        transform = job.grid.transform @ Affine.translation(column, row)
        facts, (names, values) = job.facts, _bands_of(job.facts)
        writer = probability_writer(path, width, height, transform, job.grid.crs, names, values)
        stored = _stored_rows(job, len(names), progress.part(0.05, 1.0))
        with writer as output, closing(stored) as parts:
            for top, block_rows in in_block_rows(parts):
                write_rows(output, top, block_rows)
    return {
        "width": width,
        "height": height,
        "gsd": list(job.grid.gsd),
        "model_gsd": facts.gsd,
        "threshold": facts.threshold,
        "classes": [{"value": value, "name": name} for value, name in zip(values, names, strict=False)],
    }


def _stored_rows(job: _Job, bands: int, progress: Progress) -> Generator[NDArray[np.uint8], None, None]:
    """Yield finished rows from top to bottom as they are stored, (bands, rows, width), of the last channels."""
    any_valid = False
    with closing(_blended_rows(job, progress)) as rows:
        for probability, valid in rows:
            any_valid = any_valid or bool(valid.any())
            yield np.stack([quantized(plane, valid) for plane in probability[-bands:]])
    if not any_valid:
        raise no_valid_pixel(job.rasters.first)


def _bands_of(facts: ModelFacts) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return what each band is the probability of, and the values of classes: none of a model of buildings.

    The background, which comes first, has no band: it is what is missing to 1.
    """
    if not facts.is_multiclass:
        return facts.channels, ()
    return facts.channels[1:], tuple(int(one["value"]) for one in facts.classes)


@dataclass(frozen=True)
class _Job:
    """All that predicting a raster needs."""

    rasters: RasterPool
    grid: ModelGrid
    bands: tuple[int, ...]
    radiometry: Radiometry
    area: PixelPolygons | None
    window: Window
    tile: int
    overlap: float
    facts: ModelFacts
    predictor: TilePredictor


def _readers(threads: int) -> int:
    """Return how many threads may read at a time: each decodes blocks of the file for itself."""
    return min(max(1, (threads or os.cpu_count() or 1) // 4), 4)


def _prepared(options: PredictionTask, rasters: RasterPool, progress: Progress) -> _Job:
    dataset = rasters.first
    progress.update(0.0, "Loading the model")
    source = options.model or str(default_model_path())
    facts = read_facts(source)
    grid = model_grid(dataset, pixel_on_ground(dataset, options.gsd), facts.gsd, facts.tile_size)
    bands = image_bands(dataset, options.bands, len(facts.bands))
    area, window = area_on_grid(options.area, grid), extent_on_grid(options.extent, grid)
    predictor = TilePredictor(
        keras_network(source, facts),
        options.inference_precision,
        options.threads,
        options.device,
        options.augment,
        progress.log,
    )
    progress.log(
        f"{predictor.device}, {predictor.runtime}, {predictor.precision}; model {facts.name}; ground pixel"
        f" {grid.gsd[0]:.3f} m (model: {facts.gsd:.3f} m); {window[2]} x {window[3]} px."
    )
    radiometry = Radiometry(dataset, bands, facts, progress)
    return _Job(rasters, grid, bands, radiometry, area, window, facts.tile_size, options.overlap, facts, predictor)


@dataclass(frozen=True)
class _Tiles:
    """Tiles along one axis: where they begin, and their weights. Only those that touch the window."""

    starts: list[int]
    weights: list[Floats]

    @staticmethod
    def along(size: int, index: int, first: int, count: int, job: _Job) -> _Tiles:
        stride = max(1, round(job.tile * (1.0 - job.overlap)))
        starts = tile_starts(size, job.tile, stride, index)
        weights = blend_weights(size, job.tile, starts)
        touching = [i for i, start in enumerate(starts) if start < first + count and start + job.tile > first]
        return _Tiles([starts[i] for i in touching], [weights[i] for i in touching])


def _blended_rows(job: _Job, progress: Progress) -> Generator[tuple[Floats, NDArray[np.bool_]], None, None]:
    """Yield finished rows from top to bottom: probabilities (channels, rows, width) and validity (rows, width)."""
    left, top, width, height = job.window
    columns = _Tiles.along(job.grid.width, job.grid.columns.index, left, width, job)
    rows = _Tiles.along(job.grid.height, job.grid.rows.index, top, height, job)
    ends = [min(max(start, top), top + height) for start in rows.starts[1:]] + [top + height]
    length = min(job.tile, job.grid.height)
    # The sheet holds the rows under the present row of tiles; what lies above the next one is finished.
    sheet = np.zeros((len(job.facts.channels), length, width), np.float32)
    valid = np.zeros((length, width), np.bool_)
    with closing(_predicted(job, columns, rows, progress)) as tiles:
        for number, (start, weights) in enumerate(zip(rows.starts, rows.weights, strict=True)):
            across, known = _row_of_tiles(job, columns, tiles)
            sheet += across * weights[:, None]
            valid |= known
            first, last = max(start, top), ends[number]
            if last > first:
                yield sheet[:, first - start : last - start].copy(), valid[first - start : last - start].copy()
            if number + 1 < len(rows.starts):
                _scroll(sheet, rows.starts[number + 1] - start)
                _scroll(valid, rows.starts[number + 1] - start)


_Tile = tuple[NDArray[np.bool_], Floats] | None
"""Where a tile is valid, and its probabilities (height, width, channels); None if nothing in it is wanted."""


def _predicted(job: _Job, columns: _Tiles, rows: _Tiles, progress: Progress) -> Generator[_Tile, None, None]:
    """Yield all tiles, row by row, while the next ones are read and predicted."""
    width, height = min(job.tile, job.grid.width), min(job.tile, job.grid.height)
    windows = [(column, row, width, height) for row in rows.starts for column in columns.starts]
    threads, ahead = job.predictor.requests + job.rasters.size, 2 * job.predictor.requests + _AHEAD
    tiles = in_order(lambda window: _predict_tile(job, window), windows, threads, ahead, progress.check)
    with closing(tiles):
        for number, tile in enumerate(tiles):
            progress.update(number / len(windows), "Predicting")
            yield tile


def _row_of_tiles(job: _Job, columns: _Tiles, tiles: Iterator[_Tile]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return a row of tiles blended along the row: (channels, tile rows, width) and validity (tile rows, width)."""
    left, _, width, _ = job.window
    length = min(job.tile, job.grid.height)
    across = np.zeros((len(job.facts.channels), length, width), np.float32)
    known = np.zeros((length, width), np.bool_)
    for column, weights in zip(columns.starts, columns.weights, strict=True):
        tile = next(tiles)
        if tile is None:
            continue
        known_here, probability = tile
        inside = slice(max(column, left) - column, min(column + len(weights), left + width) - column)
        place = slice(column + inside.start - left, column + inside.stop - left)
        known[:, place] |= known_here[:, inside]
        part = probability[:length, : len(weights)].transpose(2, 0, 1)[..., inside]
        across[..., place] += part * weights[inside]
    return across, known


def _predict_tile(job: _Job, window: Window) -> _Tile:
    """Read and predict a tile, unless nothing in it is wanted; called from several threads."""
    wanted = None
    if job.area is not None:
        indices = job.area.in_window(window)
        if len(indices) == 0:
            return None
        wanted = job.area.burn(window, indices, np.ones(len(indices), np.int32)) > 0
    with job.rasters.one() as dataset:
        # Sharp imagery, as drones take it, is read better a little softer than the chips that networks learn on.
        image, valid = read_grid(dataset, job.grid, job.bands, window, soft=True)
    known = valid if wanted is None else valid & wanted
    if not known.any():
        return None
    scaled = job.radiometry(np.where(valid[..., None], image, image.dtype.type(0)))
    return known, job.predictor.predict(_reflected(scaled, job.tile))


def _reflected(image: Floats, tile: int) -> Floats:
    """Return an image filled up to a tile by mirroring, where it is smaller."""
    margins = [(0, tile - image.shape[0]), (0, tile - image.shape[1]), (0, 0)]
    if not any(after for _, after in margins):
        return image
    return np.pad(image, margins, mode="symmetric")


def _scroll(sheet: NDArray[Any], rows: int) -> None:
    """Move the sheet's rows up and clear what comes in at the bottom."""
    axis = sheet.ndim - 2
    if rows >= sheet.shape[axis]:
        sheet[...] = 0
        return
    sheet[..., :-rows, :] = sheet[..., rows:, :].copy()
    sheet[..., -rows:, :] = 0
