"""The task *Train model*: from folders of chips to a model file, a history and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from building_segmenter import __version__, tasks
from building_segmenter.networks.facts import UNUSED_THRESHOLD, ModelFacts, this_moment
from building_segmenter.networks.model_file import read_facts, write_model
from building_segmenter.progress import Progress
from building_segmenter.reports.classes import ClassFigures
from building_segmenter.reports.training import RunReport, render_run_report
from building_segmenter.training.datasets import TrainingData
from building_segmenter.training.diary import Diary, curve_point
from building_segmenter.training.evaluation import ClassCounts, Evaluation, PixelCounts
from building_segmenter.training.gathering import bands_of, credits_of, gathered
from building_segmenter.training.initial import with_model_path
from building_segmenter.training.instances.train import train_instances
from building_segmenter.training.limits import curve_sizes, limited
from building_segmenter.training.loop import Outcome
from building_segmenter.training.outputs import result_of, training_outputs
from building_segmenter.training.record import command_line, training_record
from building_segmenter.training.run import Run

MASK_RCNN = "mask-rcnn"

_TILE_SIZES = (256, 1024)


def train_model(options: tasks.TrainModel, progress: Progress) -> dict[str, Any]:
    """Train a model and write it with its history (`NAME.csv`) and an HTML report.

    Args:
        options: Datasets, output and recipe.
        progress: Told after every batch; asked there whether to stop.

    Returns:
        `output`, `report`, `history` (paths), `best_epoch`, `epochs`, `threshold` (of a model of buildings) and the
        validation metrics.

    Raises:
        InputNotFoundError: A dataset or the file of backbone weights does not exist.
        BandsError: The datasets differ in their bands, or from the initial model.
        InvalidParameterError: A dataset's ground pixel is too far from the others' or the model's.
        NoDataError: There are no training or no validation chips.
        ModelError: The backbone weights or the initial model do not fit, or cannot be downloaded.
        OutOfMemoryError: A step does not fit into memory; the hint has a batch size that does.
        OutputNotWritableError: The outputs cannot be written; told before training begins.
        CancelledError: The caller asked to stop; nothing stands under the final names. What is done is kept in
            `NAME.partial/`, as after any failure, and the same run goes on from its last finished epoch.
    """
    if options.architecture == MASK_RCNN:
        return train_instances(options, progress)
    options = with_model_path(options)
    initial = read_facts(options.initial_model) if options.initial_model else None
    data = gathered(options, initial, progress)
    with training_outputs(options, progress) as outputs:
        run, outcome = _trained(options, data, initial, outputs.diary, progress)
        for name in _unmeasured(run, outcome):
            progress.warn(f"No validation chip shows {name}: how well the model tells it is not known.")
        facts = _facts(options, data, initial, run, outcome, outputs.diary)
        write_model(run.trainer.averaged, facts, outputs.model)
        outputs.write(run.chips, outcome, render_run_report(_report(options, run, outcome, facts)))
    threshold = {} if facts.is_multiclass else {"threshold": facts.threshold}
    return result_of(options, outcome, threshold | facts.metrics)


def _trained(
    options: tasks.TrainModel, data: TrainingData, initial: ModelFacts | None, diary: Diary, progress: Progress
) -> tuple[Run, Outcome]:
    """Train on all chips, and before that on the parts of a learning curve."""
    *parts, total = curve_sizes(sum(map(len, data.train)), options.learning_curve)
    parts = [size for size in parts if size not in {point["chips"] for point in diary.points}]
    whole, done = sum(parts) + total, 0
    for size in parts:
        share = progress.part(done / whole, (done + size) / whole)
        share.log(f"Learning curve: training on {size} of {total} chips.")
        outcome = Run(options, limited(data, size, options.seed), initial, share).train(diary)
        diary.finish(size, outcome)
        done += size
    run = Run(options, data, initial, progress.part(done / whole, 1.0))
    return run, run.train(diary)


def _facts(
    options: tasks.TrainModel,
    data: TrainingData,
    initial: ModelFacts | None,
    run: Run,
    outcome: Outcome,
    diary: Diary,
) -> ModelFacts:
    summary, start = _evaluation(outcome).counts.summary(), run.start
    threshold = summary.pop("threshold", UNUSED_THRESHOLD)
    told: dict[str, Any] = {
        "chips": run.chips,
        "best_epoch": outcome.best_epoch,
        "epochs": len(outcome.history),
        "crop": run.crop,
        "head_epochs": start.head_epochs,
        "learning_rate": start.learning_rate,
    }
    if run.initial_iou is not None:
        told["initial_iou"] = round(run.initial_iou, 4)
    if diary.points:
        told["learning_curve"] = [*diary.points, curve_point(run.chips, outcome)]
    return ModelFacts(
        name=Path(options.output).stem,
        architecture=start.architecture,
        bands=bands_of(data) if initial is None else initial.bands,
        dtype=data.dtype,
        scale=start.scale,
        offset=start.offset,
        gsd=data.gsd,
        tile_size=initial.tile_size if initial else int(np.clip(data.tile_size // 16 * 16, *_TILE_SIZES)),
        channels=start.channels,
        classes=run.targets.classes or tuple(dict(one) for one in data.datasets[0].classes),
        threshold=threshold,
        created=this_moment(),
        metrics={name: round(value, 4) for name, value in summary.items()},
        training=training_record(options, data, told),
        pretrained_source=start.source,
        parameters=int(run.trainer.averaged.count_params()),
        credits=credits_of(data, initial),
        engine_version=__version__,
        framework_version=keras.__version__,
        activation=run.targets.activation,
    )


def _report(options: tasks.TrainModel, run: Run, outcome: Outcome, facts: ModelFacts) -> RunReport:
    evaluation = _evaluation(outcome)
    counts = evaluation.counts
    buildings = counts if isinstance(counts, PixelCounts) else None
    classes = counts if isinstance(counts, ClassCounts) else None
    return RunReport(
        facts=facts,
        history=outcome.history,
        best_epoch=outcome.best_epoch,
        confusion=buildings.confusion(facts.threshold) if buildings else {},
        thresholds=buildings.curve() if buildings else (),
        samples=run.samples(evaluation, facts.threshold),
        command=command_line(options),
        classes=ClassFigures(facts.channels, classes.matrix, classes.by_class()) if classes else None,
    )


def _unmeasured(run: Run, outcome: Outcome) -> list[str]:
    """Return the classes that no validation chip shows."""
    counts = _evaluation(outcome).counts
    measured = counts.by_class() if isinstance(counts, ClassCounts) else run.targets.shown
    return [name for name in run.targets.shown if name not in measured]


def _evaluation(outcome: Outcome) -> Evaluation:
    evaluation: Evaluation = outcome.evaluation  # every training has at least one epoch, and every epoch a validation
    return evaluation
