"""Datasets both ways: our chips for code written for `mrcnn.utils.Dataset`, and such a dataset for ours."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from building_segmenter.chips.dataset import ChipDataset, ChipEntry, Instances
from building_segmenter.errors import InvalidParameterError

_GROUND = {"source": "", "id": 0, "name": "BG"}


class InstanceSource(Protocol):
    """What has chips with objects: a `ChipDataset` or a `ForeignChips`."""

    @property
    def classes(self) -> list[dict[str, Any]]:
        """`{value, name}` of each class."""

    def read_image(self, chip: ChipEntry) -> NDArray[Any]:
        """Read the image of a chip (height, width, bands)."""

    def read_instances(self, chip: ChipEntry) -> Instances:
        """Read the objects of a chip."""


def class_numbers(source: InstanceSource) -> dict[int, int]:
    """Return the number of each class value in a network: 1 for the smallest, then on; 0 is the ground."""
    return {value: number for number, value in enumerate(sorted(int(one["value"]) for one in source.classes), 1)}


def read_objects(source: InstanceSource, chip: ChipEntry) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.int32]]:
    """Read a chip as Mask R-CNN learns from it.

    Returns:
        The image (height, width, bands), masks (n, height, width) of the objects that have a pixel, and the numbers
        (n,) of their classes by `class_numbers`.

    Raises:
        InputUnreadableError: A file is missing or broken.
        InvalidParameterError: The dataset has no objects with masks.
    """
    image, instances = source.read_image(chip), source.read_instances(chip)
    numbers = class_numbers(source)
    ids = np.array([numbers[int(value)] for value in instances.values], np.int32)
    masks = instances.masks()
    shown = masks.any(axis=(1, 2))
    return image, masks[shown], ids[shown]


class MatterportDataset:
    """Chips in the shape of a prepared `mrcnn.utils.Dataset`, for whatever was written for that.

    Args:
        dataset: Chips with objects, of bytes.
        split: `train` or `validation`; without, all chips.
        source: Name that the images and classes go by.

    Raises:
        InvalidParameterError: The dataset has no objects with masks, or its images are not of bytes.
    """

    def __init__(self, dataset: ChipDataset, split: str | None = None, source: str = "chips") -> None:
        dataset.require("instances")
        if dataset.dtype != "uint8" or dataset.bands == 2:
            raise InvalidParameterError(
                f"The images of {dataset.folder} have {dataset.bands} bands of {dataset.dtype}.",
                "Export them with one or three bands of bytes, which is what Matterport's code takes.",
            )
        self._dataset = dataset
        self._chips = dataset.chips if split is None else dataset.split(split)
        names = {int(one["value"]): str(one["name"]) for one in dataset.classes}
        known = [{"source": source, "id": value, "name": names[value]} for value in class_numbers(dataset)]
        self.class_info: list[dict[str, Any]] = [dict(_GROUND), *known]
        self.image_info: list[dict[str, Any]] = [
            {"id": chip.name, "source": source, "path": chip.image or str(dataset.folder)} for chip in self._chips
        ]
        self.sources = ["", source]
        self.prepare()

    def prepare(self, class_map: Any = None) -> None:
        """Make the tables of the original; done already. `class_map` is ignored there too."""
        self.num_classes, self.num_images = len(self.class_info), len(self.image_info)
        self.class_ids, self.image_ids = np.arange(self.num_classes), np.arange(self.num_images)
        self.class_names = [one["name"] for one in self.class_info]
        self.class_from_source_map = {f"{one['source']}.{one['id']}": n for n, one in enumerate(self.class_info)}
        self.image_from_source_map = {f"{one['source']}.{one['id']}": n for n, one in enumerate(self.image_info)}
        own = list(range(self.num_classes))
        # As in the original, every source has the ground.
        self.source_class_ids = {"": [0], self.sources[1]: own}

    def load_image(self, image_id: int) -> NDArray[np.uint8]:
        """Read an image: (height, width, 3), the first three bands, or the only one three times."""
        image = self._dataset.read_image(self._chips[image_id])
        return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else np.ascontiguousarray(image[..., :3])

    def load_mask(self, image_id: int) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
        """Read the masks of an image: (height, width, n), and the classes (n,)."""
        _, masks, class_ids = read_objects(self._dataset, self._chips[image_id])
        return np.ascontiguousarray(masks.transpose(1, 2, 0)), class_ids

    def map_source_class_id(self, source_class_id: str) -> int:
        """Return the number of a class from its source and value: `chips.1`."""
        return self.class_from_source_map[source_class_id]

    def get_source_class_id(self, class_id: int, source: str) -> int:
        """Return the value of a class from its number."""
        info = self.class_info[class_id]
        if info["source"] != source:
            raise InvalidParameterError(
                f"Class {class_id} is not of the source {source!r}.", f"Give {info['source']!r}."
            )
        return int(info["id"])

    def image_reference(self, image_id: int) -> str:
        """Return the name of a chip."""
        return str(self.image_info[image_id]["id"])

    def source_image_link(self, image_id: int) -> str:
        """Return where the image of a chip lies."""
        return str(self.image_info[image_id]["path"])


class ForeignChips:
    """A prepared `mrcnn.utils.Dataset` read as chips with objects.

    Args:
        dataset: With `image_ids`, `class_info`, `load_image` and `load_mask`.
        split: Of all its chips.
    """

    def __init__(self, dataset: Any, split: str = "train") -> None:
        self._dataset = dataset
        self.classes: list[dict[str, Any]] = [
            {"value": number, "name": str(one["name"])} for number, one in enumerate(dataset.class_info) if number
        ]
        self.chips = [ChipEntry(str(image_id), split) for image_id in dataset.image_ids]
        self.labels = frozenset({"instances"})

    def split(self, name: str) -> list[ChipEntry]:
        """Return the chips of one split, in order."""
        return [chip for chip in self.chips if chip.split == name]

    def read_image(self, chip: ChipEntry) -> NDArray[Any]:
        """Read the image of a chip (height, width, bands)."""
        return np.asarray(self._dataset.load_image(int(chip.name)))

    def read_instances(self, chip: ChipEntry) -> Instances:
        """Read the objects of a chip. Where masks overlap, a pixel is the later object's; ids are not known (0)."""
        masks, class_ids = self._dataset.load_mask(int(chip.name))
        masks = np.asarray(masks, bool)
        numbers = np.zeros(masks.shape[:2], np.int32)
        for number in range(masks.shape[2]):
            numbers[masks[..., number]] = number + 1
        values = np.asarray(class_ids, np.int64)
        return Instances(numbers, np.zeros(len(values), np.int64), values)
