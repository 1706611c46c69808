"""Segment a raster: tiled, blended, streamed prediction into a probability raster.

Tiles are read and predicted in threads, some ahead of the one that is wanted next. They are blended in their order,
so that neither threads nor their timing change a byte: from north to south, a row's tiles along the row, then into
the rows above (`blending`); rows that no later tile touches become stored values (`ending`) and are written while
later tiles are predicted. Memory is that of two rows of tiles and of the tiles under way.

Finished rows are also kept beside the output (`finished`). A run that goes on predicts what lies below them: as with
an extent, no byte of it depends on what lies above.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from building_segmenter import scratch
from building_segmenter.inference.blending import Sheet
from building_segmenter.inference.ending import Ending, OfLogits, OfProbabilities
from building_segmenter.inference.finished import FinishedBlocks
from building_segmenter.inference.models import model_of
from building_segmenter.inference.network import fed_bytes
from building_segmenter.inference.places import checked_numbers, told_where
from building_segmenter.inference.radiometry import no_valid_pixel
from building_segmenter.inference.reading import Pixels
from building_segmenter.inference.runtime import TilePredictor
from building_segmenter.inference.tiling import TiledImage, readers, tile_results, tiled_image, told, work_of
from building_segmenter.networks.facts import ModelFacts
from building_segmenter.progress import Progress
from building_segmenter.rasters.probability import NODATA, ProbabilityPlan, in_block_rows, probability_writer
from building_segmenter.rasters.source import RasterPool, open_raster
from building_segmenter.rasters.writing import write_rows
from building_segmenter.resume import resumable_state
from building_segmenter.tasks import SegmentationTask, SegmentRaster

Floats = NDArray[np.float32]

_Tile = tuple[Floats, NDArray[np.bool_]]
"""What the network gave for a tile (rows, columns, channels), and which of the image's pixels in it count."""

_PREPARED = 0.05
"""Share of the work when the first tile is read."""


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


def predict_to(options: SegmentationTask, path: Path, progress: Progress, kept: ExitStack) -> dict[str, Any]:
    """Predict into a probability raster at a scratch path; see `segment_raster`.

    Args:
        options: What to predict.
        path: Of the raster.
        progress: Of the prediction.
        kept: As of `prediction`.

    Returns:
        As `Prediction.facts`.
    """
    with prediction(options, progress, kept) as predicted, probability_writer(path, predicted.plan) as output:
        for top, block_rows in in_block_rows(predicted.rows):
            write_rows(output, top, block_rows)
    return predicted.facts


@dataclass(frozen=True)
class Prediction:
    """A prediction that is under way.

    Args:
        plan: The raster that it makes. Of a model with several classes, it has one band for each of them, and none for
            the background.
        facts: `width`, `height`, `gsd`, `model_gsd`, `threshold`, and `classes`, empty of a model of buildings.
        rows: All rows as they are stored, (bands, rows, width), from top to bottom, as they are finished.
    """

    plan: ProbabilityPlan
    facts: dict[str, Any]
    rows: Generator[NDArray[np.uint8], None, None]


@contextmanager
def prediction(options: SegmentationTask, progress: Progress, kept: ExitStack) -> Iterator[Prediction]:
    """Begin a prediction; drawing its rows goes on with it.

    Args:
        options: What to predict.
        progress: Of the prediction.
        kept: Takes the state that a stopped run leaves beside `options.output`. To be closed by the caller when all
            outputs are in place, which deletes it; a failure until then keeps it.

    Raises:
        BuildingSegmenterError: The raster or the model cannot be used; see `errors`.
    """
    with open_raster(options.input) as dataset, RasterPool(dataset, readers(options.threads)) as rasters:
        job = _prepared(options, rasters, progress.part(0.0, _PREPARED))
        tiled = job.tiled
        column, row, width, height = tiled.window
        transform = tiled.grid.transform @ Affine.translation(column, row)
        names, values = _bands_of(tiled.facts)
        plan = ProbabilityPlan(width, height, transform, tiled.grid.crs, names, values)
        # Not before: a mistake in an option should not cost what is kept.
        work = work_of(options, tiled, job.predictor.runtime)
        state = resumable_state(options.output, work, progress, resume=options.resume)
        blocks = FinishedBlocks(*kept.enter_context(state), len(names), width)
        with closing(_all_rows(job, blocks, len(names), progress.part(_PREPARED, 1.0))) as rows:
            yield Prediction(plan, _facts_of(tiled, plan), rows)


def _facts_of(tiled: TiledImage, plan: ProbabilityPlan) -> dict[str, Any]:
    classes = zip(plan.class_values, plan.names, strict=False)
    return {
        "width": plan.width,
        "height": plan.height,
        "gsd": list(tiled.grid.gsd),
        "model_gsd": tiled.facts.gsd,
        "threshold": tiled.facts.threshold,
        "classes": [{"value": value, "name": name} for value, name in classes],
    }


def _all_rows(
    job: _Job, blocks: FinishedBlocks, bands: int, progress: Progress
) -> Generator[NDArray[np.uint8], None, None]:
    """Yield all rows as they are stored, (bands, rows, width), from top to bottom: finished ones, then new ones."""
    left, top, width, height = job.tiled.window
    done, any_valid = blocks.rows, False
    for part in blocks.earlier():
        progress.update(done / height, "Going on")
        any_valid = any_valid or bool((part != NODATA).any())
        yield part
    progress.measure_from(done / height)
    if done < height:
        rest = replace(job, tiled=replace(job.tiled, window=(left, top + done, width, height - done)))
        with closing(blocks.keeping(_stored_rows(rest, bands, progress.part(done / height, 1.0)))) as parts:
            for part in parts:
                any_valid = any_valid or bool((part != NODATA).any())
                yield part
    if not any_valid:
        blocks.forget()
        raise no_valid_pixel(job.tiled.image)


def _stored_rows(job: _Job, bands: int, progress: Progress) -> Generator[NDArray[np.uint8], None, None]:
    """Yield finished rows from top to bottom as they are stored, (bands, rows, width), of the last channels."""
    tiled, ending = job.tiled, job.ending(bands)
    columns, rows = tiled.axes(ending.factor)
    sheet = Sheet(len(tiled.facts.channels), rows, columns, ending)
    results = tile_results(tiled, columns, rows, job.predict, job.predictor.requests, progress)
    with closing(results) as tiles:
        for row in range(len(rows.cells)):
            for column in range(len(columns.cells)):
                if (tile := next(tiles)) is not None:
                    sheet.add(*tile, row, column)
            stored = sheet.end_row(row)
            if stored.shape[1]:
                yield stored


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

    tiled: TiledImage
    predictor: TilePredictor

    def ending(self, bands: int) -> Ending:
        """Return what becomes of blended tiles where the last channels, so many, are stored."""
        facts, factor = self.tiled.facts, self.predictor.factor
        dropped = len(facts.channels) - bands
        if factor == 1:
            return OfProbabilities(dropped)
        return OfLogits(factor, dropped, shared=facts.is_multiclass)

    def predict(self, read: Pixels) -> _Tile:
        """Predict a tile that was read; called from several threads."""
        tiled = self.tiled
        with told_where(tiled.image.name, tiled.grid, read.window):
            return checked_numbers(self.predictor.predict(tiled.taken(read))), read.known


def _prepared(options: SegmentationTask, rasters: RasterPool, progress: Progress) -> _Job:
    progress.update(0.0, "Loading the model")
    model = model_of(options, rasters.first.dtypes, progress.log)
    tiled = tiled_image(options, rasters, model.facts, model.overlap, progress)
    predictor = TilePredictor(
        fed_bytes(model.network) if tiled.radiometry.keeps_bytes else model.network,
        options.inference_precision,
        options.threads,
        options.device,
        options.augment,
        progress.log,
    )
    progress.log(told(tiled, predictor.runtime))
    return _Job(tiled, predictor)
