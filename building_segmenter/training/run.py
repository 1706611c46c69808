"""One training: from its chips and networks to its outcome."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from building_segmenter import tasks
from building_segmenter.networks.facts import ModelFacts
from building_segmenter.progress import Progress
from building_segmenter.reports.training import Sample
from building_segmenter.training.datasets import Chip, TrainingData
from building_segmenter.training.diary import Diary
from building_segmenter.training.evaluation import Evaluation, evaluate
from building_segmenter.training.initial import initial_networks
from building_segmenter.training.loop import Outcome, Plan, Trainer
from building_segmenter.training.losses import measures_of
from building_segmenter.training.memory import available_bytes, check_memory, peak_bytes
from building_segmenter.training.pipeline import ChipStore, epoch_batches, find_shown
from building_segmenter.training.sampling import Kinds, kinds_of
from building_segmenter.training.starting import new_networks
from building_segmenter.training.targets import BUILDING, Targets, targets_of

_SAMPLES = 6
_TYPICAL_BATCHES = 8
_LEAST_STEPS = 16
"""Steps of an epoch, however few chips there are: each is then seen several times, never twice alike."""


class Run:
    """One training.

    Args:
        options: Of the task.
        data: Chips to train on.
        initial: The facts of the initial model; None: a new network.
        progress: Told of every step, and asked whether to stop.
    """

    def __init__(
        self, options: tasks.TrainModel, data: TrainingData, initial: ModelFacts | None, progress: Progress
    ) -> None:
        # Seeds the first weights and the dropout, and makes TensorFlow's parallel sums come out alike each time.
        keras.utils.set_random_seed(options.seed)
        tf.config.experimental.enable_op_determinism()
        self._options, self._data, self._progress = options, data, progress
        self.chips = sum(map(len, data.train))
        self.crop = min(options.crop, data.tile_size) // 16 * 16
        self._steps = max(_LEAST_STEPS, round(self.chips / options.batch_size))
        targets, notes = targets_of(data, options.classes, initial)
        for note in notes:
            progress.log(note)
        self.start = start = (
            new_networks(options, data, targets, progress)
            if initial is None
            else initial_networks(options, initial, targets.channels)
        )
        # An initial model may have contacts where chips have none, or the other way round.
        self.targets = dataclasses.replace(targets, channels=start.channels)
        self._store = ChipStore(data, self.targets)
        plan = Plan(
            options.epochs,
            start.head_epochs,
            self._steps,
            start.learning_rate,
            options.patience,
            start.backbone_share,
        )
        self.trainer = Trainer(start.model, start.averaged, plan, measures_of(self.targets.activation))
        self.initial_iou: float | None = None

    def train(self, diary: Diary) -> Outcome:
        """Train to the end, from where a stopped run left it.

        Args:
            diary: Where every epoch is written down.

        Raises:
            OutOfMemoryError: A step does not fit into memory.
            CancelledError: The caller asked to stop.
        """
        kinds = self._kinds()
        self._check_memory()
        self.initial_iou = self._measured_before()
        typical = [images for images, _ in self._batches(kinds, 0, _TYPICAL_BATCHES, vary=False)]
        varied = self._options.augmentation == "default"
        outcome = diary.restore(self.chips, self.trainer)
        if diary.place is not None:
            # Said now: who is stopped in the middle of a long step has no time to say it.
            self._progress.log(f"Finished epochs are kept in {diary.place}: a stopped run goes on from there.")
        self.trainer.fit(
            lambda epoch: self._batches(kinds, epoch, self._steps, vary=varied),
            typical,
            self._validate,
            self._progress.part(0.01, 0.99),
            outcome,
            lambda outcome: diary.keep(self.chips, self.trainer, outcome),
        )
        if self.initial_iou is not None and outcome.best_iou <= self.initial_iou:
            self._progress.warn(
                f"Training did not better the initial model on the validation chips: IoU {outcome.best_iou:.4f} after"
                f" {self.initial_iou:.4f}."
            )
        return outcome

    def _kinds(self) -> Kinds:
        """Read all training chips, tell the user what they show, and return the kind of each."""
        shown = find_shown(self._data, self._store, self.targets, self._progress.part(0.0, 0.01))
        chips_with = np.concatenate(shown).sum(axis=0)
        for name in (name for name, chips in zip(self.targets.shown, chips_with, strict=True) if not chips):
            self._progress.warn(f"No training chip shows {_a(name)}: the model will find none.")
        kinds = kinds_of(shown)
        self._progress.log(
            f"{self.chips} training chips, {sum(map(np.count_nonzero, kinds))} of them with {_all(self.targets)};"
            f" {len(self._data.validation)} validation chips; crop {self.crop} px, {self._steps} batches an epoch."
        )
        return kinds

    def _measured_before(self) -> float | None:
        """Return the validation IoU that an initial model has before it is trained; None for a new network."""
        if not self._options.initial_model:
            return None
        iou = float(self._validate().counts.summary()["iou"])
        self._progress.log(f"The initial model has an IoU of {iou:.4f} on the validation chips.")
        return iou

    def _batches(self, kinds: Kinds, epoch: int, steps: int, *, vary: bool) -> Any:
        return epoch_batches(
            self._data,
            self._store,
            kinds,
            (self.start.scale, self.start.offset),
            crop=self.crop,
            batch_size=self._options.batch_size,
            steps=steps,
            vary=vary,
            seed=(self._options.seed, epoch),
        )

    def _check_memory(self) -> None:
        shape = self._options.batch_size, self.crop, self.crop
        self._progress.update(0.01, "Preparing the network")
        step = peak_bytes(self.trainer.step_graph(shape, self._data.bands, self.targets.planes))
        check_memory(step, self._options.batch_size, self.crop, available_bytes())

    def samples(self, evaluation: Evaluation, threshold: float) -> list[Sample]:
        """Return validation chips that show something for a reader to look at: the best ones, then the worst."""
        scored = [
            (overlap, index)
            for index, counts in enumerate(evaluation.chips)
            if (overlap := counts.overlap(threshold)) is not None
        ]
        ranked = sorted(scored, reverse=True)
        chosen = ranked[:_SAMPLES] + ranked[max(_SAMPLES, len(ranked) - _SAMPLES) :]
        return [self._sample(self._data.validation[index], iou) for iou, index in chosen]

    def _validate(self) -> Evaluation:
        def chips() -> Iterator[tuple[NDArray[Any], NDArray[np.uint8]]]:
            for chip in self._data.validation:
                self._progress.check()
                yield self._store.read(chip)

        return evaluate(chips(), self.trainer.predict, self.targets.shown if self.targets.classes else ())

    def _sample(self, chip: Chip, iou: float) -> Sample:
        image, target = self._store.read(chip)
        probability = self.trainer.predict(image)
        shown = np.clip((image * np.array(self.start.scale) + np.array(self.start.offset) + 1.0) / 2.0, 0.0, 1.0)
        return Sample(chip.title, iou, (shown * 255).astype(np.uint8), target[..., 0], probability)


def _a(name: str) -> str:
    return f"a {name}" if name == BUILDING else name


def _all(targets: Targets) -> str:
    return "one of the classes" if targets.classes else "buildings"
