"""The training loop: heads first, then all layers, the best epoch kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from building_segmenter.networks import backbones
from building_segmenter.networks.deeplabv3plus import OUTPUT_STRIDE, with_logits
from building_segmenter.progress import Progress
from building_segmenter.training.evaluation import Evaluation
from building_segmenter.training.form import training_form
from building_segmenter.training.losses import Measures, mean_overlap
from building_segmenter.training.schedule import averaging_momentum, learning_rate_at

_WEIGHT_DECAY = 0.02
_CLIP_NORM = 5.0


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train.

    Args:
        epochs: Epochs in all.
        head_epochs: Of these, the first ones that leave the backbone alone.
        steps: Steps in an epoch.
        learning_rate: Highest rate of the new layers.
        backbone_share: Rate of the backbone as a share of that; a pretrained one is only nudged.
        patience: Epochs without a better validation IoU after which to stop.
    """

    epochs: int
    head_epochs: int
    steps: int
    learning_rate: float
    patience: int
    backbone_share: float

    def rates(self, step: int) -> tuple[float, float]:
        """Return the learning rates of the new layers and of the backbone at a step, counted from 0 over all epochs."""
        total = self.epochs * self.steps
        warm_up = min(self.steps, max(1, total // 20))
        rate = learning_rate_at(step, total, self.learning_rate, warm_up)
        trunk = learning_rate_at(step, total, self.learning_rate, warm_up, self.head_epochs * self.steps)
        return rate, trunk * self.backbone_share


@dataclass
class Outcome:
    """What a training left behind.

    Args:
        history: One row an epoch.
        best_epoch: The epoch, counted from 1, with the best validation IoU, or average precision of objects; 0 before
            the first.
        evaluation: Validation at that epoch, of the kind that the training makes; None if an earlier process measured
            it.
        best_weights: The averaged weights of that epoch.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    evaluation: Any = None
    best_weights: list[NDArray[Any]] = field(default_factory=list, repr=False)

    @property
    def best_iou(self) -> float:
        """Validation IoU of the best epoch; -1 before the first."""
        return float(self.history[self.best_epoch - 1]["val_iou"]) if self.best_epoch else -1.0

    def add(self, row: dict[str, Any], evaluation: Any, weights: Callable[[], list[NDArray[Any]]]) -> None:
        """Add an epoch, and take its weights if it is the best so far."""
        is_best = not self.best_epoch or _rank(row) > _rank(self.history[self.best_epoch - 1])
        self.history.append(row)
        if is_best:
            self.best_epoch, self.evaluation, self.best_weights = len(self.history), evaluation, weights()


class Trainer:
    """Trains one network, and a second one of the same shape that holds the moving average of its weights.

    Args:
        model: Network to train, from `build_deeplabv3plus`.
        averaged: Another of the same shape; it is the result.
        plan: How long and how fast.
        measures: The loss of a batch, and the counts of its running IoU.
    """

    def __init__(self, model: keras.Model, averaged: keras.Model, plan: Plan, measures: Measures) -> None:
        self.averaged, self.plan, self._model = averaged, plan, model
        self._loss_of, self._overlap_of = measures
        averaged.set_weights(model.get_weights())
        trunk = {id(weight) for layer in backbones.backbone_layers(model) for weight in layer.trainable_weights}
        self._heads = [weight for weight in model.trainable_weights if id(weight) not in trunk]
        self._trunk = [weight for weight in model.trainable_weights if id(weight) in trunk]
        self._head_optimizer, self._trunk_optimizer = new_optimizer(self._heads), new_optimizer(self._trunk)
        self._logits = training_form(with_logits(model))
        self._pairs = list(zip(averaged.weights, model.weights, strict=True))
        self._step_heads = tf.function(lambda *batch: self._learn(*batch, whole=False))
        self._step_all = tf.function(lambda *batch: self._learn(*batch, whole=True))
        self._norms = [layer for layer in averaged.layers if _is_norm(layer) and layer.trainable]
        self._pass = tf.function(lambda image: averaged(image, training=True))
        # Traced for each size of chip: Keras' bilinear upsampling cannot be traced for an unknown size.
        self._infer = tf.function(lambda image: averaged(image, training=False))

    def fit(
        self,
        batches: Callable[[int], Any],
        typical: Sequence[Any],
        validate: Callable[[], Evaluation],
        progress: Progress,
        outcome: Outcome,
        keep: Callable[[Outcome], None],
    ) -> None:
        """Train to the end or until validation stops improving, and leave the best epoch in `averaged`.

        Args:
            batches: Gives the batches of an epoch, counted from 1.
            typical: Batches of images as they will be in use, from the training chips, for `settle_batch_norms`.
            validate: Measures `averaged`.
            progress: Told after every step, and asked whether to stop.
            outcome: What earlier epochs have come to; the further ones are added to it.
            keep: Called after every epoch.

        Raises:
            CancelledError: The caller asked to stop.
        """

        def learn(epoch: int, share: Progress) -> dict[str, Any]:
            return self._epoch(epoch, batches(epoch), share)

        def measure(share: Progress) -> tuple[Evaluation, dict[str, float]]:
            self.settle_batch_norms(typical, share)
            evaluation = validate()
            return evaluation, _validation_row(evaluation)

        run_epochs(self.plan, learn, measure, self.averaged.get_weights, _line, progress, outcome, keep)
        self.averaged.set_weights(outcome.best_weights)
        if outcome.evaluation is None:
            outcome.evaluation = validate()

    def step_graph(self, shape: tuple[int, int, int], bands: int, planes: int) -> Any:
        """Return the graph of the largest step, as TensorFlow will run it.

        Args:
            shape: Pieces in a batch, height and width.
            bands: Bands of the images.
            planes: Planes of the labels.
        """
        step = self._step_all if self.plan.epochs > self.plan.head_epochs else self._step_heads
        image, target = tf.TensorSpec((*shape, bands), tf.float32), tf.TensorSpec((*shape, planes), tf.uint8)
        return step.get_concrete_function(image, target, tf.TensorSpec((), tf.float32)).graph

    def variables(self) -> dict[str, list[Any]]:
        """Return everything that changes in training, by what it belongs to."""
        return {
            # Other than its weights, the variables of a network hold the state of its dropout.
            "model": list(self._model.variables),
            "averaged": list(self.averaged.variables),
            "heads": list(self._head_optimizer.variables),
            "trunk": list(self._trunk_optimizer.variables),
        }

    def settle_batch_norms(self, typical: Sequence[Any], progress: Progress) -> None:
        """Give the averaged network's batch norms the statistics that its own weights bring about.

        Moving statistics belong to weights of some steps ago, varied images, and, in a short run, still to the
        start; measured, validation then swings to zero and back. So they are taken anew for the averaged weights
        ("precise batch norm", Wu and Johnson 2021, https://arxiv.org/abs/2105.07576), from images as they are.

        Args:
            typical: Batches of images (batch, H, W, bands) float32.
            progress: Asked whether to stop.
        """
        sums = [[np.zeros(weight.shape) for weight in _statistics(layer)] for layer in self._norms]
        for images in typical:
            progress.check()
            with without_memory(self._norms):
                self._pass(images)
            for layer, parts in zip(self._norms, sums, strict=True):
                for part, weight in zip(parts, _statistics(layer), strict=True):
                    part += weight.numpy()
        for layer, parts in zip(self._norms, sums, strict=True):
            for part, weight in zip(parts, _statistics(layer), strict=True):
                weight.assign(part / len(typical))

    def predict(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Return the averaged network's probabilities (H, W, channels) of an image of any size (H, W, bands)."""
        height, width = image.shape[:2]
        margins = [(0, -height % OUTPUT_STRIDE), (0, -width % OUTPUT_STRIDE), (0, 0)]
        padded = np.pad(image.astype(np.float32), margins, mode="edge")
        probability: NDArray[np.float32] = self._infer(tf.constant(padded[np.newaxis])).numpy()[0, :height, :width]
        return probability

    def _epoch(self, epoch: int, batches: Any, progress: Progress) -> dict[str, Any]:
        began, whole = time.monotonic(), epoch > self.plan.head_epochs
        step, pieces = self._step_all if whole else self._step_heads, 0
        losses, both, either = [], np.float64(0.0), np.float64(0.0)
        for index, (image, target) in enumerate(batches):
            rate = self._set_rates((epoch - 1) * self.plan.steps + index)
            loss, step_both, step_either = step(image, target, tf.constant(self._momentum(epoch, index), tf.float32))
            losses.append(float(loss))
            both, either, pieces = both + step_both.numpy(), either + step_either.numpy(), pieces + image.shape[0]
            iou = mean_overlap(both, either)
            progress.update(
                0.96 * (index + 1) / self.plan.steps,
                f"Epoch {epoch}/{self.plan.epochs}, batch {index + 1}/{self.plan.steps}:"
                f" loss {np.mean(losses):.3f}, IoU {iou:.3f}",
            )
        seconds = time.monotonic() - began
        return {
            "epoch": epoch,
            "phase": "all" if whole else "heads",
            "learning_rate": rate,
            "loss": float(np.mean(losses)),
            "iou": iou,
            "seconds": round(seconds, 2),
            "chips_per_second": round(pieces / seconds, 2),
        }

    def _momentum(self, epoch: int, index: int) -> float:
        return averaging_momentum((epoch - 1) * self.plan.steps + index, self.plan.steps)

    def _set_rates(self, step: int) -> float:
        rate, trunk = self.plan.rates(step)
        self._head_optimizer.learning_rate.assign(rate)
        self._trunk_optimizer.learning_rate.assign(trunk)
        return rate

    def _learn(self, image: Any, target: Any, momentum: Any, *, whole: bool) -> tuple[Any, Any, Any]:
        weights = self._heads + self._trunk if whole else self._heads
        with tf.GradientTape() as tape:
            logits = self._logits(image, training=True)
            loss = self._loss_of(target, logits)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, weights), _CLIP_NORM)
        self._head_optimizer.apply(gradients[: len(self._heads)], self._heads)
        if whole:
            self._trunk_optimizer.apply(gradients[len(self._heads) :], self._trunk)
        for mean, weight in self._pairs:
            mean.assign(momentum * mean + (1.0 - momentum) * weight)
        return loss, *self._overlap_of(target, logits)


def run_epochs(
    plan: Plan,
    learn: Callable[[int, Progress], dict[str, Any]],
    measure: Callable[[Progress], tuple[Any, dict[str, float]]],
    weights: Callable[[], list[NDArray[Any]]],
    line: Callable[[dict[str, Any], int], str],
    progress: Progress,
    outcome: Outcome,
    keep: Callable[[Outcome], None],
) -> None:
    """Train to the last epoch or until validation stops improving.

    Args:
        plan: How long.
        learn: Trains an epoch, counted from 1, and returns its row; told of its progress, of which validation is the
            last hundredths.
        measure: Returns the validation of what was learned so far, and its part of the row.
        weights: Returns what is to be kept of the best epoch.
        line: Returns a row and the number of epochs in words.
        progress: Asked whether to stop.
        outcome: What earlier epochs have come to; the further ones are added to it.
        keep: Called after every epoch.
    """
    first, last = len(outcome.history) + 1, plan.epochs
    for epoch in range(first, last + 1):
        if epoch - 1 - outcome.best_epoch >= plan.patience:
            progress.log(f"Stopped: no better validation for {plan.patience} epochs.")
            break
        # Of the epochs still to come, so that the time left is right in a run that goes on from another.
        share = progress.part((epoch - first) / (last - first + 1), (epoch - first + 1) / (last - first + 1))
        row = learn(epoch, share)
        share.update(0.97, f"Epoch {epoch}/{last}: validation")
        evaluation, measured = measure(share)
        row |= measured
        outcome.add(row, evaluation, weights)
        progress.log(line(row, last))
        keep(outcome)


def new_optimizer(weights: list[Any]) -> Any:
    """Return an optimizer of such weights."""
    optimizer = keras.optimizers.AdamW(weight_decay=_WEIGHT_DECAY)
    # Decay pulls towards no effect; for the scale of a batch norm, and for a bias, zero is no such thing.
    optimizer.exclude_from_weight_decay(var_list=[weight for weight in weights if len(weight.shape) < 2])
    optimizer.build(weights)
    return optimizer


def _rank(row: dict[str, Any]) -> tuple[float, ...]:
    """Return what the best epoch has most of; objects may all be missed for some epochs, in which the loss tells."""
    return (row["val_ap50"], -row["val_loss"]) if "val_ap50" in row else (row["val_iou"],)


def _is_norm(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _statistics(layer: Any) -> tuple[Any, Any]:
    return layer.moving_mean, layer.moving_variance


@contextmanager
def without_memory(norms: Sequence[Any]) -> Iterator[None]:
    """Let batch norms forget all batches but the last one; counts when the function that runs them is traced."""
    momenta = [layer.momentum for layer in norms]
    try:
        for layer in norms:
            layer.momentum = 0.0
        yield
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum


def _validation_row(evaluation: Evaluation) -> dict[str, float]:
    # Of buildings at the best threshold, since that is the one the model will carry: whether the network is sure at
    # 0.5 of images it has not seen swings from epoch to epoch and says little.
    return {
        "val_loss": evaluation.loss,
        **{f"val_{name}": value for name, value in evaluation.counts.summary().items()},
    }


def _line(row: dict[str, Any], epochs: int) -> str:
    return (
        f"Epoch {row['epoch']}/{epochs} ({row['phase']}): loss {row['loss']:.4f}, IoU {row['iou']:.4f};"
        f" validation loss {row['val_loss']:.4f}, IoU {row['val_iou']:.4f}; {row['chips_per_second']:.1f} chips/s"
    )
