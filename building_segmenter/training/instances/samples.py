"""Chips with their objects as training reads them, and what Mask R-CNN learns from one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from building_segmenter.errors import InputUnreadableError
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.learning import Example, anchor_rule
from building_segmenter.networks.mask_rcnn.mini_masks import minimize_numbers
from building_segmenter.networks.mask_rcnn.rpn_targets import anchor_targets
from building_segmenter.progress import Progress
from building_segmenter.training.datasets import IGNORE, Chip, TrainingData
from building_segmenter.training.pipeline import CACHE_BYTES
from building_segmenter.training.resampling import resized_image, resized_labels
from building_segmenter.training.targets import Targets

UNKNOWN = -1
"""In a picture of numbered objects: nobody knows what this pixel shows."""

CELL = 64
"""Ground that nobody knows is handed on in boxes of at most so many pixels a side."""

_FEWEST = 32


@dataclass(frozen=True)
class ObjectChip:
    """A chip in memory.

    Args:
        image: (height, width, bands) in raw pixel values.
        numbers: (height, width) int32: 1 for a pixel of the first object, 2 for the second; 0 on the ground, and
            `UNKNOWN`.
        class_ids: (n,) int32: of each object, its number in the network, from 1 on.
    """

    image: NDArray[Any]
    numbers: NDArray[np.int32]
    class_ids: NDArray[np.int32]

    def masks(self) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
        """Return the masks (m, height, width) of the objects that have a pixel, and their classes (m,)."""
        shown = np.setdiff1d(self.numbers, (0, UNKNOWN))
        return self.numbers == shown[:, None, None], self.class_ids[shown - 1]


class ObjectStore:
    """Reads chips with their objects, and remembers them where memory allows.

    Args:
        data: The datasets; each has objects with masks.
        targets: From class values to the numbers of classes.
        cache_bytes: Memory that remembered chips may take.
    """

    def __init__(self, data: TrainingData, targets: Targets, cache_bytes: int = CACHE_BYTES) -> None:
        self._targets = targets
        chips = sum(map(len, data.train)) + len(data.validation)
        pixel = data.bands * np.dtype(data.dtype).itemsize + np.dtype(np.int32).itemsize
        self._remember = chips * data.tile_size**2 * pixel <= cache_bytes
        self._known: dict[tuple[str, str], ObjectChip] = {}

    def read(self, chip: Chip) -> ObjectChip:
        """Read a chip at the ground pixel of the run.

        Raises:
            InputUnreadableError: A file is missing or broken, or an object is of a class that the dataset lacks.
            InvalidParameterError: The dataset has no objects with masks.
        """
        key = str(chip.dataset.folder), chip.entry.name
        if key in self._known:
            return self._known[key]
        read = self._read(chip)
        if self._remember:
            self._known[key] = read
        return read

    def _read(self, chip: Chip) -> ObjectChip:
        image, label, _ = chip.dataset.read(chip.entry)
        found = chip.dataset.read_instances(chip.entry)
        numbers = np.where((label == IGNORE) & (found.numbers == 0), UNKNOWN, found.numbers).astype(np.int32)
        class_ids = _class_ids(chip, found.values, self._targets)
        if chip.zoom != 1.0:
            image, numbers = resized_image(image, chip.zoom), resized_labels(numbers, chip.zoom)
        return ObjectChip(image, numbers, class_ids)


def find_objects(
    data: TrainingData, store: ObjectStore, things: int, progress: Progress
) -> tuple[list[NDArray[np.bool_]], int]:
    """Read every training chip once.

    Args:
        data: The datasets.
        store: Where chips are read.
        things: Classes of objects.
        progress: Told of every chip.

    Returns:
        For each dataset (chips, things) which classes each chip shows, and the most objects on a chip.
    """
    total, done, most, shown = sum(map(len, data.train)), 0, 0, []
    for chips in data.train:
        found = np.zeros((len(chips), things), bool)
        for index, chip in enumerate(chips):
            read = store.read(chip)
            numbers = np.setdiff1d(read.numbers, (0, UNKNOWN))
            found[index, read.class_ids[numbers - 1] - 1] = True
            most, done = max(most, len(numbers)), done + 1
            progress.update(done / total, f"Reading chip {done} of {total}")
        shown.append(found)
    return shown, most


def objects_that_fit(most: int, crop: int) -> int:
    """Return for how many objects of an image there must be room: buildings, and cells that nobody knows.

    Args:
        most: Objects on a chip at most.
        crop: Side of the image in pixels.
    """
    cells = (-(-crop // CELL)) ** 2
    return -(-(max(most, 1) + cells) // _FEWEST) * _FEWEST


def example_of(
    image: NDArray[Any],
    numbers: NDArray[np.int32],
    class_ids: NDArray[np.int32],
    config: Config,
    rng: np.random.Generator,
    anchors: NDArray[np.float64],
) -> Example:
    """Make an example of an image and the picture of its objects, without a full mask for each of them.

    Ground that nobody knows becomes crowds, of which neither objects nor ground are learned.

    Args:
        image: (height, width, bands) in raw pixel values.
        numbers: (height, width) as of `ObjectChip`.
        class_ids: (n,) of the objects.
        config: Of the network. Where there are more than `MAX_GT_INSTANCES` objects, so many are drawn.
        rng: Draws anchors, and objects.
        anchors: All anchors of such an image, see `boxes.anchor_boxes`.
    """
    boxes, masks = minimize_numbers(np.maximum(numbers, 0), len(class_ids), config.MINI_MASK_SHAPE[0])
    crowds = unknown_boxes(numbers)
    shown, most = np.flatnonzero(boxes[:, 2] > boxes[:, 0]), config.MAX_GT_INSTANCES
    if len(shown) > most:
        # All of them keep their anchors from being called ground; the heads learn from as many as there is room for.
        drawn = np.sort(rng.choice(shown, most, replace=False))
    else:
        drawn = shown
    every = np.concatenate([boxes[shown], crowds]), np.concatenate([class_ids[shown], np.full(len(crowds), -1)])
    matches, deltas = anchor_targets(anchors, *every, rng, anchor_rule(config))
    kept = crowds[: most - len(drawn)]
    padding = most - len(drawn) - len(kept)
    return Example(
        (image - np.array(config.mean_pixel)).astype(np.float32),
        matches,
        deltas,
        np.concatenate([class_ids[drawn], np.full(len(kept), -1), np.zeros(padding)]).astype(np.int32),
        np.concatenate([boxes[drawn], kept, np.zeros((padding, 4))]).astype(np.int32),
        np.concatenate([masks[drawn], np.zeros((most - len(drawn), *config.MINI_MASK_SHAPE), bool)]),
        np.ones(config.NUM_CLASSES, np.int32),
    )


def unknown_boxes(numbers: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return boxes (n, 4) y1, x1, y2, x2 that hold all unknown pixels, one for each cell that has some."""
    unknown = numbers == UNKNOWN
    rows, columns = (np.arange(side) // CELL for side in numbers.shape)
    across = int(columns[-1]) + 1
    cells = np.where(unknown, rows[:, None] * across + columns[None] + 1, 0)
    places = [place for place in ndimage.find_objects(cells) if place is not None]
    boxes = [(down.start, right.start, down.stop, right.stop) for down, right in places]
    return np.array(boxes, np.int32).reshape(-1, 4)


def _class_ids(chip: Chip, values: NDArray[np.int64], targets: Targets) -> NDArray[np.int32]:
    if not targets.classes:
        return np.ones(len(values), np.int32)
    listed = {int(one["value"]) for one in chip.dataset.classes}
    strange = sorted({int(value) for value in values} - listed)
    if strange:
        raise InputUnreadableError(
            f"The chip {chip.title} holds class {strange[0]}, which its dataset does not list.",
            "Export the chips again.",
        )
    return targets.tables[chip.dataset.folder][values].astype(np.int32)
