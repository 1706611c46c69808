"""Segment a raster: tiled, blended, streamed prediction into a probability raster.

Tiles are read and predicted in threads, some ahead of the one that is wanted next. They are blended in their order,
so that neither threads nor their timing change a byte: from north to south, a row's tiles along the row, then into
the rows above; rows that no later tile touches are written while later tiles are predicted. Memory is that of two
rows of tiles and of the tiles under way.

Finished rows are also kept beside the output (`finished`). A run that goes on predicts what lies below them: as with
an extent, no byte of it depends on what lies above.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from building_segmenter import scratch
from building_segmenter.errors import BuildingSegmenterError
from building_segmenter.inference.blending import Sheet
from building_segmenter.inference.finished import FinishedBlocks
from building_segmenter.inference.models import model_of
from building_segmenter.inference.network import fed_bytes, file_digest
from building_segmenter.inference.pipeline import in_order
from building_segmenter.inference.places import checked_numbers, told_where
from building_segmenter.inference.radiometry import Radiometry, no_valid_pixel
from building_segmenter.inference.reading import Imagery, Pixels
from building_segmenter.inference.runtime import TilePredictor
from building_segmenter.networks.facts import ModelFacts
from building_segmenter.networks.shipped import default_model_path
from building_segmenter.progress import Progress
from building_segmenter.rasters.grid import ModelGrid, model_grid
from building_segmenter.rasters.overlay import Window, area_on_grid, extent_on_grid
from building_segmenter.rasters.probability import NODATA, in_block_rows, probability_writer
from building_segmenter.rasters.source import RasterPool, image_bands, open_raster, pixel_on_ground
from building_segmenter.rasters.tiles import blend_weights, tile_starts
from building_segmenter.rasters.writing import write_rows
from building_segmenter.resume import input_state, resumable_state
from building_segmenter.tasks import PredictionTask, SegmentRaster

Floats = NDArray[np.float32]

_Tile = tuple[Floats, NDArray[np.bool_]] | None
"""A tile's probabilities (height, width, channels), and where it is valid; None if nothing in it is wanted."""

_NOT_PART_OF_THE_WORK = ("output", "resume", "threads")
_PREPARED = 0.05
"""Share of the work when the first tile is read."""

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
    with ExitStack() as kept, scratch.new_output(options.output) as path:
        facts = predict_to(options, path, progress, kept)
    if facts["classes"]:
        del facts["threshold"]  # the most probable class wins
    else:
        del facts["classes"]
    return {"output": options.output, **facts}


def predict_to(options: PredictionTask, path: Path, progress: Progress, kept: ExitStack) -> dict[str, Any]:
    """Predict into a probability raster at a scratch path; see `segment_raster`.

    Of a model with several classes, the raster has one band for each of them, and none for the background.

    Args:
        options: What to predict.
        path: Of the raster.
        progress: Of the prediction.
        kept: Takes the state that a stopped run leaves beside `options.output`. To be closed by the caller when all
            outputs are in place, which deletes it; a failure until then keeps it.

    Returns:
        `width`, `height`, `gsd`, `model_gsd`, `threshold`, and `classes`, which is empty of a model of buildings.
    """
    with open_raster(options.input) as dataset, RasterPool(dataset, _readers(options.threads)) as rasters:
        job = _prepared(options, rasters, progress.part(0.0, _PREPARED))
        column, row, width, height = job.window
        transform = job.grid.transform @ Affine.translation(column, row)
        facts, (names, values) = job.facts, _bands_of(job.facts)
        # Not before: a mistake in an option should not cost what is kept.
        state = resumable_state(options.output, _work(options, job), progress, resume=options.resume)
        blocks = FinishedBlocks(*kept.enter_context(state), len(names), width)
        writer = probability_writer(path, width, height, transform, job.grid.crs, names, values)
        stored = _all_rows(job, blocks, len(names), progress.part(_PREPARED, 1.0))
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


def _work(options: PredictionTask, job: _Job) -> dict[str, Any]:
    """Return what a stopped prediction must have in common with this one to be gone on with.

    Options of what is made of the probabilities are none of it.
    """
    dataset, model = job.image, options.model or default_model_path()
    options_of_it = {field.name: getattr(options, field.name) for field in fields(PredictionTask)}
    return {name: value for name, value in options_of_it.items() if name not in _NOT_PART_OF_THE_WORK} | {
        # Those of a mosaic are several. QGIS writes statistics beside any file that it shows.
        "input": [input_state(name) for name in dataset.files or [options.input] if not name.endswith(".aux.xml")],
        "placement": [dataset.shape, tuple(dataset.transform), dataset.crs.to_wkt() if dataset.crs else None],
        "area": input_state(options.area),
        "model": file_digest(model),
        "inference_precision": job.predictor.precision,
        "device": job.predictor.device,
        "runtime": job.predictor.runtime,
    }


def _all_rows(
    job: _Job, blocks: FinishedBlocks, bands: int, progress: Progress
) -> Generator[NDArray[np.uint8], None, None]:
    """Yield all rows as they are stored, (bands, rows, width), from top to bottom: finished ones, then new ones."""
    left, top, width, height = job.window
    done, any_valid = blocks.rows, False
    for part in blocks.earlier():
        progress.update(done / height, "Going on")
        any_valid = any_valid or bool((part != NODATA).any())
        yield part
    progress.measure_from(done / height)
    if done < height:
        rest = replace(job, window=(left, top + done, width, height - done))
        with closing(blocks.keeping(_stored_rows(rest, bands, progress.part(done / height, 1.0)))) as parts:
            for part in parts:
                any_valid = any_valid or bool((part != NODATA).any())
                yield part
    if not any_valid:
        blocks.forget()
        raise no_valid_pixel(job.image)


def _stored_rows(job: _Job, bands: int, progress: Progress) -> Generator[NDArray[np.uint8], None, None]:
    """Yield finished rows from top to bottom as they are stored, (bands, rows, width), of the last channels."""
    left, top, width, height = job.window
    columns = _Tiles.along(job.grid.width, job.grid.columns.index, left, width, job)
    rows = _Tiles.along(job.grid.height, job.grid.rows.index, top, height, job)
    ends = [min(max(start, top), top + height) for start in rows.starts[1:]] + [top + height]
    # The sheet holds the rows under the present row of tiles; what lies above the next one is finished.
    sheet = Sheet(len(job.facts.channels), min(job.tile, job.grid.height), width, bands)
    with closing(_predicted(job, columns, rows, progress)) as tiles:
        for number, (start, down) in enumerate(zip(rows.starts, rows.weights, strict=True)):
            for column, across in zip(columns.starts, columns.weights, strict=True):
                if (tile := next(tiles)) is not None:
                    sheet.add(*tile, column - left, down, across)
            first, last = max(start, top), ends[number]
            if last > first:
                yield sheet.stored(first - start, last - start)
            if number + 1 < len(rows.starts):
                sheet.scroll(rows.starts[number + 1] - start)


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

    imagery: Imagery
    radiometry: Radiometry
    window: Window
    overlap: float
    facts: ModelFacts
    predictor: TilePredictor

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

    def predict(self, read: Pixels | BuildingSegmenterError | None) -> _Tile:
        """Predict a tile that was read; called from several threads."""
        if read is None:
            return None
        if isinstance(read, BuildingSegmenterError):
            raise read
        image = read.image
        if not read.valid.all():
            image = np.where(read.valid[..., None], image, image.dtype.type(0))
        with told_where(self.image.name, self.grid, read.window):
            probability = self.predictor.predict(_reflected(self.radiometry(image), self.tile))
            return checked_numbers(probability), read.known


def _readers(threads: int) -> int:
    """Return how many threads may read at a time: each decodes blocks of the file for itself."""
    return min(max(1, (threads or os.cpu_count() or 1) // 4), 4)


def _prepared(options: PredictionTask, rasters: RasterPool, progress: Progress) -> _Job:
    dataset = rasters.first
    progress.update(0.0, "Loading the model")
    model = model_of(options, dataset.dtypes, progress.log)
    facts = model.facts
    grid = model_grid(dataset, pixel_on_ground(dataset, options.gsd), facts.gsd, facts.tile_size)
    bands = image_bands(dataset, options.bands, len(facts.bands))
    area, window = area_on_grid(options.area, grid), extent_on_grid(options.extent, grid)
    radiometry = Radiometry(dataset, bands, facts, progress)
    predictor = TilePredictor(
        fed_bytes(model.network) if radiometry.keeps_bytes else model.network,
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
    return _Job(Imagery(rasters, grid, bands, area), radiometry, window, model.overlap, facts, predictor)


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


def _predicted(job: _Job, columns: _Tiles, rows: _Tiles, progress: Progress) -> Generator[_Tile, None, None]:
    """Yield all tiles, row by row, while the next ones are read and predicted."""
    width, height = min(job.tile, job.grid.width), min(job.tile, job.grid.height)
    windows = [[(column, row, width, height) for column in columns.starts] for row in rows.starts]
    count, requests = len(rows.starts) * len(columns.starts), job.predictor.requests
    with (
        closing(job.imagery.tiles(windows, progress.check)) as read,
        closing(in_order(job.predict, read, requests, 2 * requests + _AHEAD, progress.check)) as tiles,
    ):
        for number, tile in enumerate(tiles):
            progress.update(number / count, "Predicting")
            yield tile


def _reflected(image: NDArray[Any], tile: int) -> NDArray[Any]:
    """Return an image filled up to a tile by mirroring, where it is smaller."""
    margins = [(0, tile - image.shape[0]), (0, tile - image.shape[1]), (0, 0)]
    if not any(after for _, after in margins):
        return image
    return np.pad(image, margins, mode="symmetric")
