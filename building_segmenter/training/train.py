"""The task *Train model*: from folders of chips to a model file, a history and a report."""

from __future__ import annotations

import datetime
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keras
import numpy as np

from building_segmenter import __version__, scratch, tasks
from building_segmenter.chips.dataset import open_dataset
from building_segmenter.networks.facts import BandFacts, ModelFacts
from building_segmenter.networks.model_file import write_model
from building_segmenter.progress import Progress
from building_segmenter.reports.training import RunReport, render_run_report
from building_segmenter.training.datasets import TrainingData, join_datasets
from building_segmenter.training.evaluation import Evaluation
from building_segmenter.training.loop import Outcome
from building_segmenter.training.record import training_record, write_history
from building_segmenter.training.run import Run

_TILE_SIZES = (256, 1024)


def train_model(options: tasks.TrainModel, progress: Progress) -> dict[str, Any]:
    """Train a segmentation model and write it with its history (`NAME.csv`) and an HTML report.

    Args:
        options: Datasets, output and recipe.
        progress: Told after every batch; asked there whether to stop.

    Returns:
        `output`, `report`, `history` (paths), `best_epoch`, `epochs`, `threshold` and the validation metrics.

    Raises:
        InputNotFoundError: A dataset or the file of backbone weights does not exist.
        BandsError: The datasets differ in their bands.
        InvalidParameterError: The datasets differ in their ground pixel.
        NoDataError: There are no training or no validation chips.
        ModelError: The backbone weights do not fit, or cannot be downloaded.
        OutputNotWritableError: The outputs cannot be written; told before training begins.
        CancelledError: The caller asked to stop; nothing stands under the final names.
    """
    data = join_datasets([open_dataset(folder) for folder in options.dataset])
    report = Path(options.report) if options.report else Path(options.output).with_suffix(".html")
    with ExitStack() as outputs:
        model_path = outputs.enter_context(scratch.new_output(options.output))
        report_path = outputs.enter_context(scratch.new_output(report))
        run = Run(options, data, progress)
        outcome = run.train()
        facts = _facts(options, data, run, outcome)
        write_model(run.trainer.averaged, facts, model_path)
        write_history(outcome.history, model_path.with_suffix(".csv"))
        report_path.write_text(render_run_report(_report(run, outcome, facts)), encoding="utf-8")
    return {
        "output": str(options.output),
        "report": str(report),
        "history": str(Path(options.output).with_suffix(".csv")),
        "best_epoch": outcome.best_epoch,
        "epochs": len(outcome.history),
        "threshold": facts.threshold,
        **facts.metrics,
    }


def _facts(options: tasks.TrainModel, data: TrainingData, run: Run, outcome: Outcome) -> ModelFacts:
    counts, start = _evaluation(outcome).counts, run.start
    threshold = counts.best_threshold()
    told = {"best_epoch": outcome.best_epoch, "epochs": len(outcome.history), "crop": run.crop}
    return ModelFacts(
        name=Path(options.output).stem,
        architecture=start.architecture,
        bands=tuple(
            BandFacts(str(index + 1), one["min"], one["max"], one["mean"], one["std"])
            for index, one in enumerate(data.statistics)
        ),
        dtype=data.dtype,
        scale=start.scale,
        offset=start.offset,
        gsd=data.gsd,
        tile_size=int(np.clip(data.tile_size // 16 * 16, *_TILE_SIZES)),
        channels=start.channels,
        classes=tuple(dict(one) for one in data.datasets[0].classes),
        threshold=threshold,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        metrics={name: round(value, 4) for name, value in counts.metrics(threshold).items()},
        training=training_record(options, data, told),
        pretrained_source=start.source,
        parameters=int(run.trainer.averaged.count_params()),
        credits="; ".join(dict.fromkeys(filter(None, (getattr(one, "credits", "") for one in data.datasets)))),
        engine_version=__version__,
        framework_version=keras.__version__,
    )


def _report(run: Run, outcome: Outcome, facts: ModelFacts) -> RunReport:
    evaluation = _evaluation(outcome)
    return RunReport(
        facts=facts,
        history=outcome.history,
        best_epoch=outcome.best_epoch,
        confusion=evaluation.counts.confusion(facts.threshold),
        thresholds=evaluation.counts.curve(),
        samples=run.samples(evaluation, facts.threshold),
    )


def _evaluation(outcome: Outcome) -> Evaluation:
    assert outcome.evaluation is not None  # every training has at least one epoch, and every epoch a validation
    return outcome.evaluation
