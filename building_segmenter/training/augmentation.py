"""Variations of a chip: where it is cut, how it is turned, and how its colours look.

All chance is drawn here with NumPy, so that a seed fixes it; TensorFlow only carries it out, in few native operations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from building_segmenter.training.datasets import IGNORE

_ZOOM = (0.5, 2.0)
_AIR = 0.75
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Variation:
    """How one chip is varied.

    Args:
        transform: Eight numbers of the affine map from output to input pixels, as TensorFlow wants them.
        matrix: (bands, bands), mixes the bands of a pixel whose values run from about 0 to 1.
        bias: (bands,), added to them.
        gamma: Exponent of the values.
        blur: Share of the 3x3 mean that replaces a pixel; negative sharpens.
        noise: Standard deviation of the noise.
        noise_seed: Two whole numbers.
        light: (3, 3), logarithm of the light over the piece, spread smoothly; zeros for even light.
        haze: Share of white air before the ground.
        coarseness: Ground pixels of the sensor in pixels of the piece, 1 or more.
        patch: Top, left, height and width in pixels of what the next piece of the batch covers: see `mixing`.
        style: Share of the next piece's mean and spread of the bands.
    """

    transform: NDArray[np.float32]
    matrix: NDArray[np.float32]
    bias: NDArray[np.float32]
    gamma: float
    blur: float
    noise: float
    noise_seed: NDArray[np.int32]
    light: NDArray[np.float32]
    haze: float
    coarseness: float
    patch: NDArray[np.int32]
    style: float


def draw_variation(rng: np.random.Generator, size: tuple[int, int], crop: int, bands: int) -> Variation:
    """Draw a strong variation: any rotation, flip, zoom and place, and another camera, light and air."""
    light = 0.25 * rng.normal(size=(3, 3)) if rng.random() < 0.5 else np.zeros((3, 3))
    angle = rng.uniform(0, 2 * math.pi) if rng.random() < 0.5 else rng.integers(4) * math.pi / 2
    zoom = math.exp(rng.uniform(math.log(_ZOOM[0]), math.log(_ZOOM[1])))
    matrix, bias = _draw_colour(rng, bands)
    return Variation(
        transform=draw_transform(rng, size, crop, angle, zoom, flip=bool(rng.random() < 0.5)),
        matrix=matrix,
        bias=bias,
        gamma=math.exp(rng.uniform(-0.35, 0.35)) if rng.random() < 0.5 else 1.0,
        blur=rng.uniform(-0.6, 0.9) if rng.random() < 0.4 else 0.0,
        noise=rng.uniform(0.0, 0.04) if rng.random() < 0.3 else 0.0,
        noise_seed=rng.integers(0, 2**31 - 1, 2, dtype=np.int32),
        light=light.astype(np.float32),
        haze=rng.uniform(0.0, 0.5) if rng.random() < 0.15 else 0.0,
        coarseness=1.0 / rng.uniform(0.4, 0.9) if rng.random() < 0.25 else 1.0,
        patch=_draw_patch(rng, crop) if rng.random() < 0.5 else np.zeros(4, np.int32),
        style=rng.uniform() if rng.random() < 0.5 else 0.0,
    )


def draw_place(rng: np.random.Generator, size: tuple[int, int], crop: int, bands: int) -> Variation:
    """Draw only the place of the crop; the chip stays as it is."""
    return Variation(
        transform=draw_transform(rng, size, crop, 0.0, 1.0, flip=False),
        matrix=np.eye(bands, dtype=np.float32),
        bias=np.zeros(bands, np.float32),
        gamma=1.0,
        blur=0.0,
        noise=0.0,
        noise_seed=np.zeros(2, np.int32),
        light=np.zeros((3, 3), np.float32),
        haze=0.0,
        coarseness=1.0,
        patch=np.zeros(4, np.int32),
        style=0.0,
    )


def warp(image: Any, target: Any, transform: Any, crop: int, beyond: int = IGNORE) -> tuple[Any, Any]:
    """Cut and turn an image and its labels in one step.

    Args:
        image: (H, W, bands), any number type.
        target: (H, W, channels) labels, uint8 or int32.
        transform: Eight numbers from `Variation`.
        crop: Side of the result in pixels.
        beyond: What labels are beyond the chip.

    Returns:
        Image (crop, crop, bands) float32, bilinear, mirrored beyond the chip; labels nearest, `beyond` beyond it.
    """
    shape, matrix = tf.constant([crop, crop]), transform[tf.newaxis]
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(image, tf.float32)[tf.newaxis],
        transforms=matrix,
        output_shape=shape,
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    labels = tf.raw_ops.ImageProjectiveTransformV3(
        images=target[tf.newaxis],
        transforms=matrix,
        output_shape=shape,
        fill_value=float(beyond),
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )
    return warped[0], labels[0]


def recolour(image: Any, variation: dict[str, Any], clip: bool) -> Any:
    """Change the look of an image.

    Args:
        image: (H, W, bands) float32, values about 0..1.
        variation: The fields of a `Variation` as tensors.
        clip: The values of the sensor end at 0 and 1, so those of the result do too.
    """
    lit = tf.cond(tf.reduce_any(variation["light"] != 0.0), lambda: _lit(image, variation["light"]), lambda: image)
    hazy = lit + variation["haze"] * (_AIR - lit)
    seen = tf.cond(variation["coarseness"] > 1.0, lambda: _coarse(hazy, variation["coarseness"]), lambda: hazy)
    mixed = tf.tensordot(seen, variation["matrix"], 1) + variation["bias"]
    mixed = tf.cond(tf.equal(variation["gamma"], 1.0), lambda: mixed, lambda: _with_gamma(mixed, variation["gamma"]))
    mixed = tf.cond(tf.equal(variation["blur"], 0.0), lambda: mixed, lambda: _blurred(mixed, variation["blur"]))
    mixed = tf.cond(tf.equal(variation["noise"], 0.0), lambda: mixed, lambda: _noisy(mixed, variation))
    return tf.clip_by_value(mixed, 0.0, 1.0) if clip else mixed


def draw_transform(
    rng: np.random.Generator, size: tuple[int, int], crop: int, angle: float, zoom: float, flip: bool
) -> NDArray[np.float32]:
    """Draw the place of a piece of a chip and return the map to it, as of `Variation`.

    Args:
        rng: Source of chance.
        size: Height and width of the chip.
        crop: Side of the piece in pixels.
        angle: By which it is turned, in radians.
        zoom: How many times larger things become.
        flip: Mirror it.
    """
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) / zoom
    if flip:
        rotation[:, 0] *= -1
    # Rows of an image come first in its size but second in the transform.
    spare = np.array([size[1], size[0]]) - crop / zoom
    centre = (np.array([size[1], size[0]]) - 1) / 2 + rng.uniform(-0.5, 0.5, 2) * np.maximum(spare, 0.0)
    if angle == 0.0 and zoom == 1.0 and not flip:
        centre = np.floor(centre - (crop - 1) / 2) + (crop - 1) / 2  # whole pixels: nothing is interpolated
    shift = centre - rotation @ np.full(2, (crop - 1) / 2)
    return np.array([*rotation[0], shift[0], *rotation[1], shift[1], 0.0, 0.0], np.float32)


def _draw_colour(rng: np.random.Generator, bands: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    grey = np.tile(_LUMA[:, None], (1, 3)) if bands == 3 else np.full((bands, bands), 1.0 / bands)
    saturation = 0.0 if rng.random() < 0.08 else rng.uniform(0.4, 1.6)
    matrix = saturation * np.eye(bands) + (1.0 - saturation) * grey
    if bands == 3:
        matrix = matrix @ _hue_rotation(rng.uniform(-0.35, 0.35))
    matrix = matrix * np.exp(rng.normal(0.0, 0.08, bands))
    contrast, brightness = math.exp(rng.uniform(-0.4, 0.4)), rng.uniform(-0.18, 0.18)
    return (matrix * contrast).astype(np.float32), np.full(bands, 0.5 * (1 - contrast) + brightness, np.float32)


def _hue_rotation(angle: float) -> NDArray[np.float64]:
    # Rodrigues' rotation about the grey axis, which leaves greys alone.
    third, root = 1.0 / 3.0, math.sqrt(1.0 / 3.0)
    cross = root * np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    turned: NDArray[np.float64] = (
        math.cos(angle) * np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * np.full((3, 3), third)
    )
    return turned


def _draw_patch(rng: np.random.Generator, crop: int) -> NDArray[np.int32]:
    sides = (rng.uniform(0.25, 0.65, 2) * crop).astype(np.int32)
    corner = (rng.uniform(size=2) * (crop - sides)).astype(np.int32)
    return np.concatenate([corner, sides])


def _lit(image: Any, light: Any) -> Any:
    return image * tf.exp(tf.image.resize(light[..., tf.newaxis], tf.shape(image)[:2], "bicubic"))


def _coarse(image: Any, coarseness: Any) -> Any:
    size = tf.shape(image)[:2]
    small = tf.cast(tf.cast(size, tf.float32) / coarseness, tf.int32)
    return tf.image.resize(tf.image.resize(image, small, antialias=True), size)


def _with_gamma(image: Any, gamma: Any) -> Any:
    return tf.pow(tf.maximum(image, 1e-4), gamma)


def _blurred(image: Any, share: Any) -> Any:
    mean = tf.nn.avg_pool2d(image[tf.newaxis], 3, 1, "SAME")[0]
    return image + share * (mean - image)


def _noisy(image: Any, variation: dict[str, Any]) -> Any:
    return image + variation["noise"] * tf.random.stateless_normal(tf.shape(image), variation["noise_seed"])
