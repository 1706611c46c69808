"""Steps of learning of a Mask R-CNN, and its average over them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.learning import (
    LOSSES,
    Example,
    five_losses,
    loss_gradients,
    roi_rule,
    set_trainable,
    trainable_weights,
)
from building_segmenter.networks.mask_rcnn.network import Networks
from building_segmenter.progress import Progress
from building_segmenter.training.loop import Plan, new_optimizer, without_memory
from building_segmenter.training.schedule import averaging_momentum


class InstanceTrainer:
    """Trains one network, and a second one of the same shape that holds the moving average of its weights.

    Args:
        networks: To train.
        averaged: Of the same shape; they are the result.
        config: Of both.
        plan: How long and how fast.
        crop: Side of the images in pixels.
        seed: Of the draw of regions.
        stage: Which layers learn after the epochs of the heads: one of `learning.STAGES`.
    """

    def __init__(
        self,
        networks: Networks,
        averaged: Networks,
        config: Config,
        plan: Plan,
        crop: int,
        seed: int,
        stage: str = "all",
    ) -> None:
        self.averaged, self.plan, self._networks, self._config = averaged, plan, networks, config
        for one, other in zip(averaged, networks, strict=True):
            one.set_weights(other.get_weights())
        self._stage = stage
        self._heads, self._trunk = _parts(networks, stage)
        self._head_optimizer, self._trunk_optimizer = new_optimizer(self._heads), new_optimizer(self._trunk)
        self._seed = keras.random.SeedGenerator(seed)
        pairs = zip(_weights(averaged), _weights(networks), strict=True)
        self._pairs = [(mean, weight) for mean, weight in pairs if weight.trainable]
        self._shape = crop
        example, momentum = self._signature(), tf.TensorSpec((), tf.float32)
        self._step_heads, self._step_all = (
            tf.function(partial(self._learn, whole=whole), [example, momentum]) for whole in (False, True)
        )
        self._judge = tf.function(self._losses, [example])

    def variables(self) -> dict[str, list[Any]]:
        """Return everything that changes in training, by what it belongs to."""
        return {
            "networks": _weights(self._networks),
            "averaged": _weights(self.averaged),
            "heads": list(self._head_optimizer.variables),
            "trunk": list(self._trunk_optimizer.variables),
            "regions": [self._seed.state],
        }

    def learn(self, epoch: int, batches: Iterable[Example], progress: Progress) -> dict[str, Any]:
        """Train an epoch, counted from 1, and return its row of the history: the loss, then the five losses."""
        began, whole, pieces, seen = time.monotonic(), epoch > self.plan.head_epochs, 0, []
        step = self._step_all if whole else self._step_heads
        for index, batch in enumerate(batches):
            number = (epoch - 1) * self.plan.steps + index
            rate = self._set_rates(number)
            momentum = tf.constant(averaging_momentum(number, self.plan.steps), tf.float32)
            seen.append(step(_tensors(batch), momentum).numpy())
            pieces += len(batch.image)
            progress.update(
                0.96 * (index + 1) / self.plan.steps,
                f"Epoch {epoch}/{self.plan.epochs}, batch {index + 1}/{self.plan.steps}:"
                f" {losses_in_words(np.mean(seen, axis=0))}",
            )
        seconds = time.monotonic() - began
        return {
            "epoch": epoch,
            "phase": "all" if whole else "heads",
            "learning_rate": rate,
            **loss_row(np.mean(seen, axis=0)),
            "seconds": round(seconds, 2),
            "chips_per_second": round(pieces / seconds, 2),
        }

    def judge(self, batches: Iterable[Example], progress: Progress) -> dict[str, float]:
        """Return the losses of the average over examples; the regions that they are taken of are not drawn."""
        sums, pieces = np.zeros(len(LOSSES)), 0
        for batch in batches:
            progress.check()
            sums += self._judge(_tensors(batch)).numpy() * len(batch.image)
            pieces += len(batch.image)
        return {f"val_{name}": value for name, value in loss_row(sums / max(pieces, 1)).items()}

    def get_weights(self) -> list[NDArray[Any]]:
        """Return the weights of the average."""
        return [weight for network in self.averaged for weight in network.get_weights()]

    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """Give the average such weights as `get_weights` returns."""
        first = 0
        for network in self.averaged:
            last = first + len(network.weights)
            network.set_weights(weights[first:last])
            first = last

    def _signature(self) -> Example:
        """Return the types and shapes of a batch of any number of examples."""
        config, room = self._config, self._config.MAX_GT_INSTANCES
        anchors = sum(
            len(config.RPN_ANCHOR_RATIOS) * (-(-self._shape // stride)) ** 2 for stride in config.BACKBONE_STRIDES
        )
        return Example(
            tf.TensorSpec((None, self._shape, self._shape, config.IMAGE_CHANNEL_COUNT), tf.float32),
            tf.TensorSpec((None, anchors), tf.int32),
            tf.TensorSpec((None, config.RPN_TRAIN_ANCHORS_PER_IMAGE, 4), tf.float32),
            tf.TensorSpec((None, room), tf.int32),
            tf.TensorSpec((None, room, 4), tf.int32),
            tf.TensorSpec((None, room, *config.MINI_MASK_SHAPE), tf.bool),
            tf.TensorSpec((None, config.NUM_CLASSES), tf.int32),
        )

    def _set_rates(self, step: int) -> float:
        rate, trunk = self.plan.rates(step)
        self._head_optimizer.learning_rate.assign(rate)
        self._trunk_optimizer.learning_rate.assign(trunk)
        return rate

    def _learn(self, batch: Example, momentum: Any, *, whole: bool) -> Any:
        set_trainable(self._networks, self._stage if whole else "heads")
        order = {id(weight): place for place, weight in enumerate(trainable_weights(self._networks))}
        # Ground fills what objects leave of a sample, so that chips without buildings teach what is none.
        rule = roi_rule(self._config, fill=True)
        found, gradients = loss_gradients(self._networks, self._config, batch, rule, self._seed, decay=0.0)
        gradients, _ = tf.clip_by_global_norm(gradients, self._config.GRADIENT_CLIP_NORM)
        self._head_optimizer.apply([gradients[order[id(weight)]] for weight in self._heads], self._heads)
        if whole and self._trunk:
            self._trunk_optimizer.apply([gradients[order[id(weight)]] for weight in self._trunk], self._trunk)
        for mean, weight in self._pairs:
            mean.assign(momentum * mean + (1.0 - momentum) * weight)
        return tf.stack([found[name] for name in LOSSES])

    def _losses(self, batch: Example) -> Any:
        rule = roi_rule(self._config, fill=True, shuffle=False)
        found, _ = five_losses(self.averaged, self._config, batch, rule)
        return tf.stack([found[name] for name in LOSSES])


def settle_batch_norms(networks: Networks, images: NDArray[np.float32]) -> None:
    """Give the batch norms of a trunk that starts at random the statistics of images, as the trunk takes them.

    They stay as they are from then on, as the original leaves those of its pretrained trunk.

    Args:
        networks: Whose trunk it is.
        images: (batch, height, width, bands).
    """
    norms = [layer for layer in networks.trunk.layers if isinstance(layer, keras.layers.BatchNormalization)]
    with without_memory(norms):
        networks.trunk(images, training=True)


def loss_row(values: NDArray[np.floating]) -> dict[str, float]:
    """Return the sum of the five losses as `loss`, and each by its name."""
    return {"loss": float(values.sum()), **dict(zip(LOSSES, map(float, values), strict=True))}


def losses_in_words(values: NDArray[np.floating]) -> str:
    """Return the sum and the five losses, one by one."""
    rpn_class, rpn_box, box_class, box, mask = values
    return (
        f"loss {values.sum():.3f} = regions: class {rpn_class:.3f}, box {rpn_box:.3f};"
        f" objects: class {box_class:.3f}, box {box:.3f}, mask {mask:.3f}"
    )


def _parts(networks: Networks, stage: str) -> tuple[list[Any], list[Any]]:
    """Return the weights of heads and pyramid, and those of the backbone that learn at a stage."""
    set_trainable(networks, "heads")
    heads = trainable_weights(networks)
    known = {id(weight) for weight in heads}
    set_trainable(networks, stage)
    return heads, [weight for weight in trainable_weights(networks) if id(weight) not in known]


def _weights(networks: Networks) -> list[Any]:
    return [weight for network in networks for weight in network.weights]


def _tensors(batch: Example) -> Example:
    return Example(*map(tf.convert_to_tensor, batch))
