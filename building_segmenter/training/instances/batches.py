"""From chips on disk to batches of examples for Mask R-CNN."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import tensorflow as tf

from building_segmenter.networks.mask_rcnn.boxes import anchor_boxes
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.learning import Example
from building_segmenter.training import augmentation
from building_segmenter.training.augmentation import Variation
from building_segmenter.training.datasets import Chip, TrainingData
from building_segmenter.training.instances.samples import UNKNOWN, ObjectStore, example_of
from building_segmenter.training.pipeline import Scaling, signature

_ZOOM = (0.6, 1.6)


def draw_variation(rng: np.random.Generator, size: tuple[int, int], crop: int, bands: int) -> Variation:
    """Draw a variation of a chip with objects: flip, quarter turn, zoom and place, and another camera, light and air.

    Colours are those of `augmentation.draw_variation`. Patches of other chips are left out: they would cut objects in
    ways that no building is cut.
    """
    varied = augmentation.draw_variation(rng, size, crop, bands)
    angle, flip = int(rng.integers(4)) * math.pi / 2, bool(rng.random() < 0.5)
    zoom = math.exp(rng.uniform(math.log(_ZOOM[0]), math.log(_ZOOM[1])))
    transform = augmentation.draw_transform(rng, size, crop, angle, zoom, flip)
    return dataclasses.replace(varied, transform=transform)


def example_batches(
    data: TrainingData,
    store: ObjectStore,
    chips: Sequence[Chip],
    config: Config,
    scaling: Scaling,
    *,
    crop: int,
    batch_size: int,
    vary: bool,
    seed: Sequence[int],
) -> Iterator[Example]:
    """Give a piece of each chip, in batches; the last one may be smaller. The seed alone decides what is in them.

    Args:
        data: The datasets.
        store: Where chips are read.
        chips: In the order in which they are to be seen.
        config: Of the network.
        scaling: Scale and offset of each band that take pixel values to about -1..1.
        crop: Side of the pieces in pixels.
        batch_size: Pieces in a batch.
        vary: Augment the chips, or only choose the place of the piece.
        seed: Whole numbers.
    """
    draw = draw_variation if vary else augmentation.draw_place
    classes: list[Any] = []

    def samples() -> Iterator[dict[str, Any]]:
        rng = np.random.default_rng(list(seed))
        for chip in chips:
            read = store.read(chip)
            classes.append(read.class_ids)
            variation = draw(rng, (read.image.shape[0], read.image.shape[1]), crop, data.bands)
            parts = {field.name: getattr(variation, field.name) for field in dataclasses.fields(variation)}
            yield {"image": read.image, "target": read.numbers[..., np.newaxis]} | parts

    pieces = tf.data.Dataset.from_generator(samples, output_signature=signature(data, 1, tf.int32))
    pieces = pieces.map(
        lambda sample: _piece(sample, crop, data, scaling, vary), num_parallel_calls=2, deterministic=True
    ).prefetch(2 * batch_size)
    rng, anchors = np.random.default_rng([*seed, 1]), anchor_boxes(config, crop, crop)
    # A piece is asked for only after its chip was read, so its classes are there.
    examples = (
        example_of(image, numbers, classes[index], config, rng, anchors)
        for index, (image, numbers) in enumerate(pieces.as_numpy_iterator())
    )
    while group := list(islice(examples, batch_size)):
        yield Example(*(np.stack(parts) for parts in zip(*group, strict=True)))


def _piece(sample: dict[str, Any], crop: int, data: TrainingData, scaling: Scaling, vary: bool) -> tuple[Any, Any]:
    """Return an image (crop, crop, bands) float32 in raw values and its numbered objects (crop, crop)."""
    image, numbers = augmentation.warp(sample["image"], sample["target"], sample["transform"], crop, UNKNOWN)
    if vary:
        scale, offset = (np.array(values, np.float32) for values in scaling)
        shown = augmentation.recolour((image * scale + offset + 1.0) / 2.0, sample, clip=data.dtype == "uint8")
        image = (shown * 2.0 - 1.0 - offset) / scale
    return tf.ensure_shape(image, (crop, crop, data.bands)), tf.ensure_shape(numbers[..., 0], (crop, crop))
