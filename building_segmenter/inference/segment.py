"""Segment a raster: tiled, blended, streamed prediction into a probability raster.

Tile rows are worked from north to south. A row's tiles are read, predicted and blended along the row, then blended
into the rows above; rows that no later tile touches are written. Memory is that of two rows of tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from building_segmenter import scratch
from building_segmenter.inference.radiometry import Radiometry, no_valid_pixel
from building_segmenter.inference.runtime import TilePredictor
from building_segmenter.networks.facts import ModelFacts
from building_segmenter.networks.model_file import load_model
from building_segmenter.networks.shipped import default_model_path
from building_segmenter.progress import Progress
from building_segmenter.rasters.grid import ModelGrid, model_grid, read_grid
from building_segmenter.rasters.overlay import PixelPolygons, Window, area_on_grid, extent_on_grid
from building_segmenter.rasters.probability import probability_writer, quantized
from building_segmenter.rasters.source import image_bands, open_raster, pixel_on_ground
from building_segmenter.rasters.tiles import blend_weights, tile_starts
from building_segmenter.rasters.writing import write_rows
from building_segmenter.tasks import PredictionTask, SegmentRaster

Floats = NDArray[np.float32]


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
    with open_raster(options.input) as dataset:
        job = _prepared(options, dataset, progress.part(0.0, 0.05))
        column, row, width, height = job.window
        transform = job.grid.transform @ Affine.translation(column, row)
        facts, (names, values) = job.facts, _bands_of(job.facts)
        writer = probability_writer(path, width, height, transform, job.grid.crs, names, values)
        with writer as output, job.predictor:
            valid_pixels = 0
            for top, probability, valid in _blended_rows(job, progress.part(0.05, 1.0)):
                write_rows(
                    output, top - row, np.stack([quantized(plane, valid) for plane in probability[-len(names) :]])
                )
                valid_pixels += int(valid.sum())
            if not valid_pixels:
                raise no_valid_pixel(dataset)
    return {
        "width": width,
        "height": height,
        "gsd": list(job.grid.gsd),
        "model_gsd": facts.gsd,
        "threshold": facts.threshold,
        "classes": [{"value": value, "name": name} for value, name in zip(values, names, strict=False)],
    }


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

    dataset: DatasetReader
    grid: ModelGrid
    bands: tuple[int, ...]
    radiometry: Radiometry
    area: PixelPolygons | None
    window: Window
    tile: int
    overlap: float
    facts: ModelFacts
    predictor: TilePredictor


def _prepared(options: PredictionTask, dataset: DatasetReader, progress: Progress) -> _Job:
    progress.update(0.0, "Loading the model")
    source = options.model or str(default_model_path())
    model, facts = load_model(source)
    grid = model_grid(dataset, pixel_on_ground(dataset, options.gsd), facts.gsd, facts.tile_size)
    bands = image_bands(dataset, options.bands, len(facts.bands))
    area, window = area_on_grid(options.area, grid), extent_on_grid(options.extent, grid)
    predictor = TilePredictor(model, facts.tile_size, len(bands), options.inference_precision, options.threads)
    progress.log(
        f"{predictor.device}, {predictor.runtime}, {predictor.precision}; model {facts.name}; ground pixel"
        f" {grid.gsd[0]:.3f} m (model: {facts.gsd:.3f} m); {window[2]} x {window[3]} px."
    )
    radiometry = Radiometry(dataset, bands, facts, progress)
    return _Job(dataset, grid, bands, radiometry, area, window, facts.tile_size, options.overlap, facts, predictor)


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


def _blended_rows(job: _Job, progress: Progress) -> Iterator[tuple[int, Floats, NDArray[np.bool_]]]:
    """Yield finished rows: the first row's number, probabilities (channels, rows, width), validity (rows, width)."""
    left, top, width, height = job.window
    columns = _Tiles.along(job.grid.width, job.grid.columns.index, left, width, job)
    rows = _Tiles.along(job.grid.height, job.grid.rows.index, top, height, job)
    ends = [min(max(start, top), top + height) for start in rows.starts[1:]] + [top + height]
    length = min(job.tile, job.grid.height)
    # The sheet holds the rows under the present row of tiles; what lies above the next one is finished.
    sheet = np.zeros((len(job.facts.channels), length, width), np.float32)
    valid = np.zeros((length, width), np.bool_)
    for number, (start, weights) in enumerate(zip(rows.starts, rows.weights, strict=True)):
        share = progress.part(number / len(rows.starts), (number + 1) / len(rows.starts))
        across, known = _row_of_tiles(job, columns, start, share)
        sheet += across * weights[:, None]
        valid |= known
        first, last = max(start, top), ends[number]
        if last > first:
            yield first, sheet[:, first - start : last - start].copy(), valid[first - start : last - start].copy()
        if number + 1 < len(rows.starts):
            _scroll(sheet, rows.starts[number + 1] - start)
            _scroll(valid, rows.starts[number + 1] - start)


def _row_of_tiles(job: _Job, columns: _Tiles, start: int, progress: Progress) -> tuple[Floats, NDArray[np.bool_]]:
    """Return a row of tiles blended along the row: (channels, tile rows, width) and validity (tile rows, width)."""
    left, _, width, _ = job.window
    length = min(job.tile, job.grid.height)
    across = np.zeros((len(job.facts.channels), length, width), np.float32)
    known = np.zeros((length, width), np.bool_)
    for number, column in enumerate(columns.starts):
        progress.update(number / len(columns.starts), "Predicting")
        tile_width = min(job.tile, job.grid.width)
        _submit(job, number, (column, start, tile_width, length), known)
    for number, probability in sorted(job.predictor.collect().items()):
        column, weights = columns.starts[number], columns.weights[number]
        inside = slice(max(column, left) - column, min(column + len(weights), left + width) - column)
        place = slice(column + inside.start - left, column + inside.stop - left)
        part = probability[:length, : len(weights)].transpose(2, 0, 1)[..., inside]
        across[..., place] += part * weights[inside]
    return across, known


def _submit(job: _Job, number: int, window: Window, known: NDArray[np.bool_]) -> None:
    """Read a tile and start its prediction, unless nothing in it is wanted."""
    column, _, width, _ = window
    left = job.window[0]
    wanted = None
    if job.area is not None:
        indices = job.area.in_window(window)
        if len(indices) == 0:
            return
        wanted = job.area.burn(window, indices, np.ones(len(indices), np.int32)) > 0
    image, valid = read_grid(job.dataset, job.grid, job.bands, window)
    known_here = valid if wanted is None else valid & wanted
    if not known_here.any():
        return
    first, last = max(column, left), min(column + width, left + known.shape[1])
    known[:, first - left : last - left] |= known_here[:, first - column : last - column]
    scaled = job.radiometry(np.where(valid[..., None], image, image.dtype.type(0)))
    job.predictor.submit(number, _reflected(scaled, job.tile))


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
