"""Training of Mask R-CNN as the task *Train model* does it: to a model file, a history and a report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from building_segmenter import __version__, tasks
from building_segmenter.networks.facts import ModelFacts, this_moment
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.model_file import write_mask_rcnn
from building_segmenter.progress import Progress
from building_segmenter.reports.instances import InstanceReport, render_instance_report
from building_segmenter.training.datasets import TrainingData
from building_segmenter.training.gathering import bands_of, credits_of, gathered
from building_segmenter.training.instances.measures import InstanceEvaluation
from building_segmenter.training.instances.run import InstanceRun
from building_segmenter.training.loop import Outcome
from building_segmenter.training.outputs import result_of, training_outputs
from building_segmenter.training.record import command_line, training_record

_TILE_SIZES = (256, 1024)
_TILE_STEP = 64


def train_instances(options: tasks.TrainModel, progress: Progress) -> dict[str, Any]:
    """Train a Mask R-CNN and write it with its history (`NAME.csv`) and an HTML report.

    Arguments, errors and what a stopped run leaves are those of `train_model`.

    Returns:
        `output`, `report`, `history` (paths), `best_epoch`, `epochs`, `threshold` (the least score to ask of an object)
        and the validation metrics.
    """
    data = gathered(options, None, progress)
    with training_outputs(options, progress) as outputs:
        run = InstanceRun(options, data, progress)
        outcome = run.train(outputs.diary)
        facts = _facts(options, data, run, outcome)
        config = replace(run.start.config, DETECTION_MIN_CONFIDENCE=facts.threshold, **_square(facts.tile_size))
        write_mask_rcnn(run.trainer.averaged, config, facts, outputs.model)
        outputs.write(run.chips, outcome, render_instance_report(_report(options, run, outcome, facts)))
    return result_of(options, outcome, {"threshold": facts.threshold, **facts.metrics})


def _square(side: int) -> dict[str, Any]:
    """Return the part of a configuration by which all images are tiles of one size."""
    return {"IMAGE_RESIZE_MODE": "square", "IMAGE_MIN_DIM": side, "IMAGE_MAX_DIM": side}


def _facts(options: tasks.TrainModel, data: TrainingData, run: InstanceRun, outcome: Outcome) -> ModelFacts:
    metrics, start = dict(_evaluation(outcome).metrics), run.start
    threshold = metrics.pop("threshold")
    told: dict[str, Any] = {
        "chips": run.chips,
        "best_epoch": outcome.best_epoch,
        "epochs": len(outcome.history),
        "crop": run.crop,
        "head_epochs": start.head_epochs,
        "learning_rate": start.learning_rate,
    }
    scale, offset = _scaling(start.config, start.scale, start.offset)
    return ModelFacts(
        name=Path(options.output).stem,
        architecture=start.architecture,
        bands=bands_of(data),
        dtype=data.dtype,
        scale=scale,
        offset=offset,
        gsd=data.gsd,
        tile_size=int(np.clip(data.tile_size // _TILE_STEP * _TILE_STEP, *_TILE_SIZES)),
        channels=run.classes,
        classes=run.targets.classes or ({"value": 1, "name": run.classes[0]},),
        threshold=threshold,
        created=this_moment(),
        metrics={name: round(value, 4) for name, value in metrics.items()},
        training=training_record(options, data, told),
        pretrained_source=start.source,
        parameters=sum(int(network.count_params()) for network in run.trainer.averaged),
        credits=credits_of(data),
        engine_version=__version__,
        framework_version=keras.__version__,
    )


def _scaling(
    config: Config, scale: tuple[float, ...], offset: tuple[float, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return what becomes of pixel values before the first convolution: a ResNet takes them less a mean."""
    if config.BACKBONE == "mobilenetv2":
        return scale, offset
    return (1.0,) * len(scale), tuple(-mean for mean in config.mean_pixel)


def _report(options: tasks.TrainModel, run: InstanceRun, outcome: Outcome, facts: ModelFacts) -> InstanceReport:
    evaluation = _evaluation(outcome)
    return InstanceReport(
        facts=facts,
        history=outcome.history,
        best_epoch=outcome.best_epoch,
        curve=evaluation.curve,
        samples=run.samples(evaluation),
        command=command_line(options),
    )


def _evaluation(outcome: Outcome) -> InstanceEvaluation:
    evaluation: InstanceEvaluation = outcome.evaluation  # every training has at least one epoch
    return evaluation
