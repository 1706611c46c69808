"""Pieces of a batch that lend each other ground and light, so that what surrounds a building teaches less.

All chance is in the `Variation` of each piece. The next piece of the last one is the first.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_SMALLEST_SPREAD = 1.0 / 255.0


def mix(images: Any, targets: Any, patches: Any, styles: Any, *, clip: bool) -> tuple[Any, Any]:
    """Lay a patch of the next piece over each, then give each a share of the next one's mean and spread of bands.

    The first is CutMix (Yun et al. 2019, https://arxiv.org/abs/1905.04899) with labels of pixels; the second is
    MixStyle (Zhou et al. 2021, https://arxiv.org/abs/2104.02008) in the space of pixels.

    Args:
        images: (batch, H, W, bands) float32, values about 0..1.
        targets: (batch, H, W, planes) labels.
        patches: (batch, 4) whole numbers: top, left, height and width in pixels; a height of 0 covers nothing.
        styles: (batch,) shares; 0 leaves a piece as it is.
        clip: The values of the sensor end at 0 and 1.
    """
    covered = _covered(patches, tf.shape(images)[1], tf.shape(images)[2])
    images = tf.where(covered, tf.roll(images, -1, 0), images)
    targets = tf.where(covered, tf.roll(targets, -1, 0), targets)
    mean, variance = tf.nn.moments(images, [1, 2], keepdims=True)
    spread, share = tf.sqrt(variance + _SMALLEST_SPREAD**2), styles[:, tf.newaxis, tf.newaxis, tf.newaxis]
    wanted_mean = mean + share * (tf.roll(mean, -1, 0) - mean)
    wanted_spread = spread + share * (tf.roll(spread, -1, 0) - spread)
    styled = (images - mean) * (wanted_spread / spread) + wanted_mean
    return tf.clip_by_value(styled, 0.0, 1.0) if clip else styled, targets


def _covered(patches: Any, height: Any, width: Any) -> Any:
    top, left, rows, columns = (patches[:, index, tf.newaxis, tf.newaxis] for index in range(4))
    row, column = tf.range(height)[tf.newaxis, :, tf.newaxis], tf.range(width)[tf.newaxis, tf.newaxis, :]
    inside = (row >= top) & (row < top + rows) & (column >= left) & (column < left + columns)
    return inside[..., tf.newaxis]
