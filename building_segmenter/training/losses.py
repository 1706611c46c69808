"""The loss of a training step, and the counts behind its running metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from building_segmenter.networks.facts import Activation
from building_segmenter.training.datasets import IGNORE

_CONTACT_WEIGHT = 0.2
_CONTACT_POSITIVE_WEIGHT = 5.0


class Measures(NamedTuple):
    """What a batch is judged by.

    Args:
        loss: Returns the loss, given what the pixels are (batch, H, W, channels) and logits of that shape.
        overlap: Returns the pixels in both and in either of truth and prediction, given the same.
    """

    loss: Callable[[Any, Any], Any]
    overlap: Callable[[Any, Any], tuple[Any, Any]]


def measures_of(activation: Activation) -> Measures:
    """Return the loss and the overlap counts that go with what a network ends in.

    With `softmax` the labels are numbers of channels.
    """
    if activation == "softmax":
        return Measures(class_loss, class_overlap_counts)
    return Measures(segmentation_loss, overlap_counts)


def segmentation_loss(target: Any, logits: Any) -> Any:
    """Return cross-entropy plus Dice of the buildings, and a little cross-entropy of their contacts.

    Cross-entropy makes the probabilities honest, Dice (Milletari et al. 2016, https://arxiv.org/abs/1606.04797)
    keeps rare buildings from being voted down by the ground. Contacts are thin and rare: their pixels count
    more, the whole term little.

    Args:
        target: (batch, H, W, channels) uint8: 0, 1 or `IGNORE`; channel 0 buildings, channel 1 contacts.
        logits: (batch, H, W, channels) float.
    """
    logits = tf.cast(logits, tf.float32)
    loss = _cross_entropy(target[..., 0], logits[..., 0], 1.0) + _dice(target[..., 0], logits[..., 0])
    if logits.shape[-1] > 1:
        loss += _CONTACT_WEIGHT * _cross_entropy(target[..., 1], logits[..., 1], _CONTACT_POSITIVE_WEIGHT)
    return loss


def overlap_counts(target: Any, logits: Any) -> tuple[Any, Any]:
    """Return the valid pixels in both and in either of truth and prediction (logit above 0), buildings only."""
    valid, truth = _valid_and_truth(target[..., 0])
    found = tf.cast(logits[..., 0] > 0, tf.float32) * valid
    both = tf.reduce_sum(found * truth)
    return both, tf.reduce_sum(found) + tf.reduce_sum(truth) - both


def class_loss(target: Any, logits: Any) -> Any:
    """Return cross-entropy over all classes, plus the mean Dice of those that the batch shows.

    In the mean a class of few pixels weighs as much as one of many, so it is not voted down (Milletari et al. 2016,
    as in `segmentation_loss`). A class that the batch does not show has no Dice: what is falsely called so is missing
    from the others, and in the cross-entropy.

    Args:
        target: (batch, H, W, 1) uint8: number of the channel, or `IGNORE`.
        logits: (batch, H, W, channels) float.
    """
    valid, truth = _valid_and_one_hot(target, logits.shape[-1])
    logarithms = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    losses = -tf.reduce_sum(truth * logarithms, axis=-1)
    cross_entropy = tf.reduce_sum(losses) / tf.maximum(tf.reduce_sum(valid), 1.0)
    probability = tf.exp(logarithms) * valid[..., tf.newaxis]
    both, true, called = (_by_class(values) for values in (probability * truth, truth, probability))
    shown = tf.cast(true > 0, tf.float32)
    dice = 1.0 - (2.0 * both + 1.0) / (true + called + 1.0)
    return cross_entropy + tf.reduce_sum(dice * shown) / tf.maximum(tf.reduce_sum(shown), 1.0)


def class_overlap_counts(target: Any, logits: Any) -> tuple[Any, Any]:
    """Return the valid pixels in both and in either of truth and prediction, for each class but the background."""
    valid, truth = _valid_and_one_hot(target, logits.shape[-1])
    called = tf.one_hot(tf.argmax(logits, axis=-1), logits.shape[-1]) * valid[..., tf.newaxis]
    both = _by_class(called * truth)
    return both[1:], (_by_class(called) + _by_class(truth) - both)[1:]


def mean_overlap(both: Any, either: Any) -> float:
    """Return the mean IoU of what occurs in truth or prediction, from summed overlap counts; 1 if nothing does."""
    both, either = np.atleast_1d(both), np.atleast_1d(either)
    occurs = either > 0
    return float((both[occurs] / either[occurs]).mean()) if occurs.any() else 1.0


def _cross_entropy(target: Any, logits: Any, positive_weight: float) -> Any:
    valid, truth = _valid_and_truth(target)
    losses = tf.nn.weighted_cross_entropy_with_logits(truth, logits, positive_weight)
    return tf.reduce_sum(losses * valid) / tf.maximum(tf.reduce_sum(valid), 1.0)


def _dice(target: Any, logits: Any) -> Any:
    valid, truth = _valid_and_truth(target)
    probability = tf.sigmoid(logits) * valid
    both = tf.reduce_sum(probability * truth)
    return 1.0 - (2.0 * both + 1.0) / (tf.reduce_sum(probability) + tf.reduce_sum(truth) + 1.0)


def _valid_and_truth(target: Any) -> tuple[Any, Any]:
    return tf.cast(target != IGNORE, tf.float32), tf.cast(target == 1, tf.float32)


def _valid_and_one_hot(target: Any, channels: int) -> tuple[Any, Any]:
    valid = target[..., 0] != IGNORE
    # A number beyond the channels has no one: unknown pixels belong to no class.
    return tf.cast(valid, tf.float32), tf.one_hot(tf.cast(target[..., 0], tf.int32), channels)


def _by_class(values: Any) -> Any:
    return tf.reduce_sum(values, axis=(0, 1, 2))
