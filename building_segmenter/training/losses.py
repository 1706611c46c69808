"""The loss of a training step, and the counts behind its running metrics."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from building_segmenter.training.datasets import IGNORE

_CONTACT_WEIGHT = 0.2
_CONTACT_POSITIVE_WEIGHT = 5.0


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
