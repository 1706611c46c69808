"""From chips on disk to batches for the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from building_segmenter.progress import Progress
from building_segmenter.training import augmentation
from building_segmenter.training.datasets import Chip, TrainingData
from building_segmenter.training.mixing import mix
from building_segmenter.training.sampling import Kinds, draw_epoch
from building_segmenter.training.targets import Targets

Scaling = tuple[Sequence[float], Sequence[float]]
"""Scale and offset of each band."""

CACHE_BYTES = 2 << 30
"""Chips that take less than this are kept in memory; more are read from disk each time."""

_NUMBERS = ("gamma", "blur", "noise", "haze", "coarseness", "style")
_SHAPES = dict.fromkeys(_NUMBERS, ()) | {"transform": (8,), "noise_seed": (2,), "light": (3, 3), "patch": (4,)}
_WHOLE_NUMBERS = ("noise_seed", "patch")


class ChipStore:
    """Reads chips as an image and one stack of labels, and remembers them where memory allows.

    Args:
        data: The datasets.
        targets: What the labels are made into.
        cache_bytes: Memory that remembered chips may take.
    """

    def __init__(self, data: TrainingData, targets: Targets, cache_bytes: int = CACHE_BYTES) -> None:
        self._targets = targets
        chips = sum(map(len, data.train)) + len(data.validation)
        pixel = data.bands * np.dtype(data.dtype).itemsize + targets.planes
        self._remember = chips * data.tile_size**2 * pixel <= cache_bytes
        self._known: dict[tuple[str, str], tuple[NDArray[Any], NDArray[np.uint8]]] = {}

    def read(self, chip: Chip) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Return image (H, W, bands) and labels (H, W, planes); see `Targets.of`."""
        key = str(chip.dataset.folder), chip.entry.name
        if key in self._known:
            return self._known[key]
        image, label, contact = chip.read()
        target = self._targets.of(chip, label, contact)
        if self._remember:
            self._known[key] = image, target
        return image, target


def find_shown(data: TrainingData, store: ChipStore, targets: Targets, progress: Progress) -> list[NDArray[np.bool_]]:
    """Read every training chip once and tell which of `targets.shown` it shows: (chips, things) for each dataset."""
    total, done, shown = sum(map(len, data.train)), 0, []
    for chips in data.train:
        found = np.zeros((len(chips), len(targets.shown)), bool)
        for index, chip in enumerate(chips):
            numbers = np.bincount(store.read(chip)[1][..., 0].ravel(), minlength=found.shape[1] + 1)
            found[index] = numbers[1 : found.shape[1] + 1] > 0
            done += 1
            progress.update(done / total, f"Reading chip {done} of {total}")
        shown.append(found)
    return shown


def epoch_batches(
    data: TrainingData,
    store: ChipStore,
    kinds: Kinds,
    scaling: Scaling,
    *,
    crop: int,
    batch_size: int,
    steps: int,
    vary: bool,
    seed: Sequence[int],
) -> Any:
    """Return the batches of an epoch as a `tf.data.Dataset`; the seed alone decides what is in them.

    Args:
        data: The datasets.
        store: Where chips are read.
        kinds: Kind of each chip, from `sampling.kinds_of`.
        scaling: Scale and offset of each band, as in the network.
        crop: Side of the pieces in pixels.
        batch_size: Pieces in a batch.
        steps: Batches.
        vary: Augment the chips, or only choose the place of the piece.
        seed: Seed of the run and number of the epoch.

    Returns:
        Pairs of images (batch, crop, crop, bands) float32 in raw values and labels (batch, crop, crop, planes).
    """
    draw = augmentation.draw_variation if vary else augmentation.draw_place

    def samples() -> Iterator[dict[str, Any]]:
        rng = np.random.default_rng(list(seed))
        for dataset, index in draw_epoch(kinds, steps * batch_size, rng):
            image, target = store.read(data.train[dataset][index])
            variation = draw(rng, (image.shape[0], image.shape[1]), crop, data.bands)
            yield {"image": image, "target": target} | {f.name: getattr(variation, f.name) for f in fields(variation)}

    planes = store.read(next(chip for chips in data.train for chip in chips))[1].shape[-1]
    batches = tf.data.Dataset.from_generator(samples, output_signature=signature(data, planes))
    pieces = batches.map(
        lambda sample: _piece(sample, crop, data, scaling, vary), num_parallel_calls=2, deterministic=True
    )
    together = pieces.batch(batch_size, drop_remainder=True)
    return together.map(
        lambda images, targets, patches, styles: _finished(images, targets, patches, styles, data, scaling, vary)
    ).prefetch(2)


def signature(data: TrainingData, planes: int, labels: Any = tf.uint8) -> dict[str, Any]:
    """Return the types and shapes of a chip with its variation, as generators give it to TensorFlow.

    Args:
        data: The datasets.
        planes: Planes of its labels.
        labels: Their type.
    """
    shapes = _SHAPES | {"matrix": (data.bands, data.bands), "bias": (data.bands,)}
    parts = {
        name: tf.TensorSpec(shape, tf.int32 if name in _WHOLE_NUMBERS else tf.float32) for name, shape in shapes.items()
    }
    parts["image"] = tf.TensorSpec((None, None, data.bands), tf.as_dtype(data.dtype))
    parts["target"] = tf.TensorSpec((None, None, planes), labels)
    return parts


def _piece(sample: dict[str, Any], crop: int, data: TrainingData, scaling: Scaling, vary: bool) -> tuple[Any, ...]:
    """Return an image (crop, crop, bands), about 0..1 if varied, its labels, and what is left to do in the batch."""
    image, target = augmentation.warp(sample["image"], sample["target"], sample["transform"], crop)
    if vary:
        scale, offset = (np.array(values, np.float32) for values in scaling)
        image = augmentation.recolour((image * scale + offset + 1.0) / 2.0, sample, clip=data.dtype == "uint8")
    planes = sample["target"].shape[-1]
    target = tf.ensure_shape(target, (crop, crop, planes))
    return tf.ensure_shape(image, (crop, crop, data.bands)), target, sample["patch"], sample["style"]


def _finished(
    images: Any, targets: Any, patches: Any, styles: Any, data: TrainingData, scaling: Scaling, vary: bool
) -> tuple[Any, Any]:
    if not vary:
        return images, targets
    scale, offset = (np.array(values, np.float32) for values in scaling)
    images, targets = mix(images, targets, patches, styles, clip=data.dtype == "uint8")
    return (images * 2.0 - 1.0 - offset) / scale, targets
