"""The task *Train model*: from folders of chips to a model file, a history and a report."""

from __future__ import annotations

import csv
import datetime
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from building_segmenter import __version__, scratch, tasks
from building_segmenter.chips.dataset import open_dataset
from building_segmenter.networks import backbones, deeplabv3plus
from building_segmenter.networks.facts import BandFacts, ModelFacts
from building_segmenter.networks.model_file import write_model
from building_segmenter.progress import Progress
from building_segmenter.reports.training import RunReport, Sample, render_run_report
from building_segmenter.training.datasets import Chip, TrainingData, join_datasets
from building_segmenter.training.evaluation import Evaluation, evaluate
from building_segmenter.training.loop import Outcome, Plan, Trainer
from building_segmenter.training.pipeline import ChipStore, epoch_batches, find_built

_CHANNELS = ("building", "contact")
_TILE_SIZES = (256, 1024)
_SAMPLES = 6
_TYPICAL_BATCHES = 8


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
        run = _Run(options, data, progress)
        outcome = run.train()
        facts = run.facts(outcome)
        write_model(run.trainer.averaged, facts, model_path)
        _write_history(outcome.history, model_path.with_suffix(".csv"))
        report_path.write_text(render_run_report(run.report(outcome, facts)), encoding="utf-8")
    return {
        "output": str(options.output),
        "report": str(report),
        "history": str(Path(options.output).with_suffix(".csv")),
        "best_epoch": outcome.best_epoch,
        "epochs": len(outcome.history),
        "threshold": facts.threshold,
        **facts.metrics,
    }


class _Run:
    """One training from its data to its outcome."""

    def __init__(self, options: tasks.TrainModel, data: TrainingData, progress: Progress) -> None:
        # Seeds the first weights and the dropout, and makes TensorFlow's parallel sums come out alike each time.
        keras.utils.set_random_seed(options.seed)
        tf.config.experimental.enable_op_determinism()
        self._options, self._data, self._progress = options, data, progress
        self._channels = _CHANNELS[: 2 if _has_contacts(data) else 1]
        self._store = ChipStore(data, len(self._channels))
        self._scaling = scaling_of(data)
        self._crop = min(options.crop, data.tile_size) // 16 * 16
        chips = sum(map(len, data.train))
        self._steps = max(1, round(chips / options.batch_size))
        self.trainer = self._new_trainer()

    def train(self) -> Outcome:
        """Train to the end."""
        data, store = self._data, self._store
        for note in (note for dataset in data.datasets for note in dataset.notes):
            self._progress.warn(note)
        built = find_built(data, store, self._progress.part(0.0, 0.01))
        if not any(chips.any() for chips in built):
            self._progress.warn("No training chip shows a building: the model will find none.")
        self._progress.log(
            f"{sum(map(len, data.train))} training chips, {sum(int(b.sum()) for b in built)} of them with buildings;"
            f" {len(data.validation)} validation chips; crop {self._crop} px, {self._steps} batches an epoch."
        )

        def batches(epoch: int, steps: int, vary: bool) -> Any:
            return epoch_batches(
                data,
                store,
                built,
                self._scaling,
                crop=self._crop,
                batch_size=self._options.batch_size,
                steps=steps,
                vary=vary,
                seed=(self._options.seed, epoch),
            )

        typical = [images for images, _ in batches(0, _TYPICAL_BATCHES, False)]
        varied = self._options.augmentation == "default"
        return self.trainer.fit(
            lambda epoch: batches(epoch, self._steps, varied), typical, self._validate, self._progress.part(0.01, 0.99)
        )

    def facts(self, outcome: Outcome) -> ModelFacts:
        """Return what the model file says of the model."""
        data, counts = self._data, _evaluation(outcome).counts
        threshold = counts.best_threshold()
        return ModelFacts(
            name=Path(self._options.output).stem,
            architecture="DeepLabV3+ with MobileNetV2, output stride 16",
            bands=tuple(
                BandFacts(str(index + 1), one["min"], one["max"], one["mean"], one["std"])
                for index, one in enumerate(data.statistics)
            ),
            dtype=data.dtype,
            scale=self._scaling[0],
            offset=self._scaling[1],
            gsd=data.gsd,
            tile_size=int(np.clip(data.tile_size // 16 * 16, *_TILE_SIZES)),
            channels=self._channels,
            classes=tuple(dict(one) for one in data.datasets[0].classes),
            threshold=threshold,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            metrics={name: round(value, 4) for name, value in counts.metrics(threshold).items()},
            training=self._record(outcome),
            pretrained_source=_source_of(self._options.backbone_weights),
            parameters=int(self.trainer.averaged.count_params()),
            credits="; ".join(dict.fromkeys(filter(None, (getattr(one, "credits", "") for one in data.datasets)))),
            engine_version=__version__,
            framework_version=keras.__version__,
        )

    def report(self, outcome: Outcome, facts: ModelFacts) -> RunReport:
        """Gather what the report shows."""
        evaluation = _evaluation(outcome)
        return RunReport(
            facts=facts,
            history=outcome.history,
            best_epoch=outcome.best_epoch,
            confusion=evaluation.counts.confusion(facts.threshold),
            thresholds=evaluation.counts.curve(),
            samples=self._samples(evaluation, facts.threshold),
        )

    def _new_trainer(self) -> Trainer:
        options, pretrained = self._options, self._options.backbone_weights != "none"
        model, averaged = (
            deeplabv3plus.build_deeplabv3plus(self._data.bands, len(self._channels), *self._scaling) for _ in range(2)
        )
        head_epochs = options.head_epochs
        if pretrained:
            backbones.load_backbone_weights(model, options.backbone_weights)
            for network in (model, averaged):
                backbones.freeze_batch_norms(network)
        else:
            backbones.quicken_batch_norms(model)
            head_epochs = 0
            self._progress.log("The backbone starts at random, so it learns from the first epoch.")
        share = {} if pretrained else {"backbone_share": 1.0}
        plan = Plan(options.epochs, head_epochs, self._steps, options.learning_rate, options.patience, **share)
        return Trainer(model, averaged, plan)

    def _validate(self) -> Evaluation:
        def chips() -> Iterator[tuple[NDArray[Any], NDArray[np.uint8]]]:
            for chip in self._data.validation:
                self._progress.check()
                yield self._store.read(chip)

        return evaluate(chips(), self.trainer.predict)

    def _record(self, outcome: Outcome) -> dict[str, Any]:
        # A model travels: it tells names of files and folders, not where they lay on the machine that trained it.
        options = {name: _named(value) for name, value in tasks.as_request(self._options)["options"].items()}
        return {
            "options": options,
            "datasets": [_dataset_record(one) for one in self._data.datasets],
            "best_epoch": outcome.best_epoch,
            "epochs": len(outcome.history),
            "crop": self._crop,
            "versions": {
                "building_segmenter": __version__,
                "keras": keras.__version__,
                "tensorflow": tf.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
                "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
            },
        }

    def _samples(self, evaluation: Evaluation, threshold: float) -> list[Sample]:
        scored = [
            (counts.metrics(threshold)["iou"], index)
            for index, counts in enumerate(evaluation.chips)
            if counts.building.sum() > 0
        ]
        ranked = sorted(scored, reverse=True)
        chosen = ranked[:_SAMPLES] + ranked[max(_SAMPLES, len(ranked) - _SAMPLES) :]
        return [self._sample(self._data.validation[index], iou) for iou, index in chosen]

    def _sample(self, chip: Chip, iou: float) -> Sample:
        image, target = self._store.read(chip)
        probability = self.trainer.predict(image)[..., 0]
        scale, offset = self._scaling
        shown = np.clip((image * np.array(scale) + np.array(offset) + 1.0) / 2.0, 0.0, 1.0)
        return Sample(chip.title, iou, (shown * 255).astype(np.uint8), target[..., 0], probability)


def scaling_of(data: TrainingData) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the scale and offset that take pixel values to about -1..1, one a band.

    Bytes go to -1..1 as a whole, as the pretrained backbone was taught. Other types have no natural range: their
    mean goes to 0 and two standard deviations to 1, which gives bytes of ordinary images about the same spread.
    """
    if data.dtype == "uint8":
        return (1 / 127.5,) * data.bands, (-1.0,) * data.bands
    stds = [max(one["std"], 1e-6) for one in data.statistics]
    scale = tuple(1.0 / (2.0 * std) for std in stds)
    return scale, tuple(-one["mean"] * factor for one, factor in zip(data.statistics, scale, strict=True))


def _has_contacts(data: TrainingData) -> bool:
    firsts = [chips[0] for chips in data.train if chips]
    return any(chip.dataset.read(chip.entry)[2] is not None for chip in firsts)


def _evaluation(outcome: Outcome) -> Evaluation:
    assert outcome.evaluation is not None  # every training has at least one epoch, and every epoch a validation
    return outcome.evaluation


def _dataset_record(dataset: Any) -> dict[str, Any]:
    return {
        "folder": dataset.folder.name,
        "gsd": [round(side, 5) for side in dataset.gsd],
        "training_chips": len(dataset.split("train")),
        "validation_chips": len(dataset.split("validation")),
    }


def _named(value: Any) -> Any:
    if isinstance(value, list):
        return [_named(one) for one in value]
    return Path(value).name if isinstance(value, str) and ("/" in value or "\\" in value) else value


def _source_of(weights: str) -> str:
    if weights == "none":
        return ""
    return "ImageNet weights of keras.applications" if weights == "imagenet" else f"file {Path(weights).name}"


def _write_history(history: Sequence[dict[str, Any]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)
