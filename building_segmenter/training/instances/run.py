"""One training of Mask R-CNN: from its chips and networks to its outcome."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from building_segmenter import tasks
from building_segmenter.networks.mask_rcnn.front_door import MaskRCNN
from building_segmenter.networks.mask_rcnn.learning import Example
from building_segmenter.progress import Progress
from building_segmenter.reports.instances import InstanceSample
from building_segmenter.training.datasets import Chip, TrainingData
from building_segmenter.training.diary import Diary
from building_segmenter.training.instances.batches import example_batches
from building_segmenter.training.instances.loop import InstanceTrainer, settle_batch_norms
from building_segmenter.training.instances.measures import LEAST_SCORE, InstanceEvaluation, evaluate
from building_segmenter.training.instances.samples import ObjectStore, find_objects, objects_that_fit
from building_segmenter.training.instances.starting import config_of, crop_of, new_start
from building_segmenter.training.loop import Outcome, Plan, run_epochs
from building_segmenter.training.sampling import draw_epoch, kinds_of
from building_segmenter.training.targets import targets_of

_SAMPLES = 6
_SETTLING_CHIPS = 8
_LEAST_STEPS = 16


class InstanceRun:
    """One training.

    Args:
        options: Of the task.
        data: Chips to train on.
        progress: Told of every step, and asked whether to stop.
    """

    def __init__(self, options: tasks.TrainModel, data: TrainingData, progress: Progress) -> None:
        # Seeds the first weights, and makes TensorFlow's parallel sums come out alike each time.
        keras.utils.set_random_seed(options.seed)
        tf.config.experimental.enable_op_determinism()
        for one in data.datasets:
            one.require("instances")
        self._options, self._data, self._progress = options, data, progress
        self.targets, notes = targets_of(data, options.classes)
        for note in notes:
            progress.log(note)
        self.chips, self.crop = sum(map(len, data.train)), crop_of(options, data)
        self._steps = max(_LEAST_STEPS, round(self.chips / options.batch_size))
        self.classes = self.targets.shown
        self._store = ObjectStore(data, self.targets)
        shown, most = find_objects(data, self._store, len(self.classes), progress.part(0.0, 0.01))
        self._kinds = kinds_of(shown)
        self._tell(shown, most)
        progress.update(0.01, "Preparing the network")
        room = objects_that_fit(most, self.crop)
        self.start = start = new_start(
            options, data, config_of(options, data.bands, len(self.classes), most, room), progress
        )
        if not start.source:
            settle_batch_norms(start.networks, next(self._pieces(self._first_chips(), _SETTLING_CHIPS)).image)
        plan = Plan(
            options.epochs, start.head_epochs, self._steps, start.learning_rate, options.patience, start.backbone_share
        )
        self.trainer = InstanceTrainer(
            start.networks, start.averaged, start.config, plan, self.crop, options.seed, options.layers
        )
        measured = dataclasses.replace(start.config, DETECTION_MIN_CONFIDENCE=LEAST_SCORE)
        self._detector = MaskRCNN(measured, start.averaged)

    def train(self, diary: Diary) -> Outcome:
        """Train to the end, from where a stopped run left it.

        Args:
            diary: Where every epoch is written down.

        Raises:
            CancelledError: The caller asked to stop.
        """
        outcome = diary.restore(self.chips, self.trainer)
        if diary.place is not None:
            # Said now: who is stopped in the middle of a long step has no time to say it.
            self._progress.log(f"Finished epochs are kept in {diary.place}: a stopped run goes on from there.")

        def learn(epoch: int, share: Progress) -> dict[str, Any]:
            return self.trainer.learn(epoch, self._batches(epoch), share)

        def measure(share: Progress) -> tuple[InstanceEvaluation, dict[str, float]]:
            judged = self.trainer.judge(self._pieces(self._data.validation, self._options.batch_size), share)
            evaluation = self._evaluation()
            return evaluation, judged | {f"val_{name}": value for name, value in evaluation.metrics.items()}

        run_epochs(
            self.trainer.plan,
            learn,
            measure,
            self.trainer.get_weights,
            _line,
            self._progress.part(0.01, 0.99),
            outcome,
            lambda outcome: diary.keep(self.chips, self.trainer, outcome),
        )
        self.trainer.set_weights(outcome.best_weights)
        if outcome.evaluation is None:
            outcome.evaluation = self._evaluation()
        return outcome

    def samples(self, evaluation: InstanceEvaluation) -> list[InstanceSample]:
        """Return validation chips that show something for a reader to look at: the best ones, then the worst."""
        scored = [(f1, index) for index, f1 in enumerate(evaluation.chips) if f1 is not None]
        ranked = sorted(scored, reverse=True)
        chosen = ranked[:_SAMPLES] + ranked[max(_SAMPLES, len(ranked) - _SAMPLES) :]
        threshold = evaluation.metrics["threshold"]
        return [self._sample(self._data.validation[index], f1, threshold) for f1, index in chosen]

    def _tell(self, shown: Sequence[NDArray[np.bool_]], most: int) -> None:
        for name, chips in zip(self.classes, np.concatenate(shown).sum(axis=0), strict=True):
            if not chips:
                self._progress.warn(f"No training chip shows an object of the class {name}: the model will find none.")
        self._progress.log(
            f"{self.chips} training chips, {sum(map(np.count_nonzero, self._kinds))} of them with objects, {most} on"
            f" one at most; {len(self._data.validation)} validation chips; crop {self.crop} px, {self._steps} batches"
            " an epoch."
        )

    def _first_chips(self) -> list[Chip]:
        return [chip for chips in self._data.train for chip in chips][:_SETTLING_CHIPS]

    def _batches(self, epoch: int) -> Iterator[Example]:
        size, seed = self._options.batch_size, (self._options.seed, epoch)
        drawn = draw_epoch(self._kinds, self._steps * size, np.random.default_rng(list(seed)))
        chips = [self._data.train[dataset][index] for dataset, index in drawn]
        return self._pieces(chips, size, seed, vary=self._options.augmentation == "default")

    def _pieces(
        self, chips: Sequence[Chip], size: int, seed: tuple[int, int] = (0, 0), vary: bool = False
    ) -> Iterator[Example]:
        scaling = self.start.scale, self.start.offset
        return example_batches(
            self._data,
            self._store,
            chips,
            self.start.config,
            scaling,
            crop=self.crop,
            batch_size=size,
            vary=vary,
            seed=seed,
        )

    def _detect(self, image: NDArray[Any]) -> dict[str, NDArray[Any]]:
        self._progress.check()
        return self._detector.detect([image])[0]

    def _evaluation(self) -> InstanceEvaluation:
        return evaluate((self._store.read(chip) for chip in self._data.validation), self._detect, self.classes)

    def _sample(self, chip: Chip, f1: float, threshold: float) -> InstanceSample:
        read, found = self._store.read(chip), self._detect(self._store.read(chip).image)
        sure = found["scores"] >= threshold
        shown = (read.image * np.array(self.start.scale) + np.array(self.start.offset) + 1.0) / 2.0
        masks = np.moveaxis(found["masks"], -1, 0)[sure]
        picture = (np.clip(shown, 0.0, 1.0) * 255).astype(np.uint8)
        return InstanceSample(chip.title, f1, picture, read.numbers, masks, found["scores"][sure])


def _line(row: dict[str, Any], epochs: int) -> str:
    return (
        f"Epoch {row['epoch']}/{epochs} ({row['phase']}): {_losses(row, '')}; validation: {_losses(row, 'val_')};"
        f" AP50 {row['val_ap50']:.4f}, AP75 {row['val_ap75']:.4f}; {row['chips_per_second']:.1f} chips/s"
    )


def _losses(row: dict[str, Any], prefix: str) -> str:
    return f"loss {row[f'{prefix}loss']:.4f}" + (
        f" (regions {row[f'{prefix}rpn_class_loss']:.3f} + {row[f'{prefix}rpn_bbox_loss']:.3f}, objects"
        f" {row[f'{prefix}mrcnn_class_loss']:.3f} + {row[f'{prefix}mrcnn_bbox_loss']:.3f} +"
        f" {row[f'{prefix}mrcnn_mask_loss']:.3f})"
    )
