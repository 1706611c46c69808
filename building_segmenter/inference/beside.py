"""A prediction that goes on in a thread of its own while what is finished of it is read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from building_segmenter.inference.segment import prediction
from building_segmenter.progress import Progress
from building_segmenter.rasters.growing import GrowingRaster
from building_segmenter.rasters.probability import probability_writer
from building_segmenter.tasks import SegmentationTask


@dataclass(frozen=True)
class PredictedBeside:
    """A prediction and its raster.

    Args:
        raster: What is finished of it.
        facts: As of `Prediction`.
    """

    raster: GrowingRaster
    facts: dict[str, Any]


@contextmanager
def predicted_beside(
    options: SegmentationTask, folder: Path, copy: Path | None, progress: Progress, kept: ExitStack
) -> Iterator[PredictedBeside]:
    """Predict in a thread into a growing raster, and give it as soon as it is known what it will be like.

    The block has to read the raster to its last row, and learns there what the prediction failed with. When the block
    fails, the prediction is stopped; when it ends, the prediction has ended, too.

    Args:
        options: What to predict.
        folder: Scratch, for the raster.
        copy: A scratch path for the same raster as one GeoTIFF; None: there is none.
        progress: Of the prediction.
        kept: As of `prediction`.

    Raises:
        BuildingSegmenterError: The prediction cannot begin.
    """
    begun: Future[PredictedBeside] = Future()

    def predict() -> None:
        try:
            with prediction(options, progress, kept) as predicted:
                raster = GrowingRaster(folder, predicted.plan)
                begun.set_result(PredictedBeside(raster, predicted.facts))
                with probability_writer(copy, predicted.plan) if copy else nullcontext() as whole:
                    raster.write(predicted.rows, whole)
            raster.finish()
        except BaseException as error:
            if begun.done():
                begun.result().raster.fail(error)
            else:
                begun.set_exception(error)

    thread = Thread(target=predict, name="prediction")
    thread.start()
    try:
        given = begun.result()
        with given.raster.stopped_by_errors():
            yield given
    finally:
        thread.join()
