"""What readers give: labels as rasters, instances or boxes, whatever the format keeps them as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from building_segmenter.chips.chip import IGNORE
from building_segmenter.chips.formats.images import image_facts, read_image, read_layers
from building_segmenter.chips.formats.objects import ObjectTable
from building_segmenter.errors import InputUnreadableError, InvalidParameterError

Kind = Literal["classes", "instances", "boxes", "tile"]
"""What labels say: the class of every pixel, objects with masks, objects with boxes, or one class a chip."""

CONTACTS = "contacts"
UNKNOWN = 255
"""In a file of contacts: nobody knows this pixel."""


@dataclass(frozen=True)
class ChipEntry:
    """A chip of a dataset, not yet read.

    Args:
        name: Of its files, without ending.
        split: `train`, `validation`, or `none` where it overlaps both.
        image: Path of its image in the dataset; empty: where its format has it.
        labels: Paths of its labels in the dataset, as `map.txt` of a foreign dataset names them; None: where its
            format has them.
    """

    name: str
    split: str
    image: str = ""
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Instances:
    """The objects of a chip with their masks.

    Args:
        numbers: (height, width) int32: 1 for a pixel of the first object, 2 for the second; 0 where there is none.
            Where objects overlap, the later one.
        ids: (n,) int64: id of each object's footprint, the same on all chips that show it; 0 where the dataset
            does not say.
        values: (n,) int64: class value of each object.
    """

    numbers: NDArray[np.int32]
    ids: NDArray[np.int64]
    values: NDArray[np.int64]

    def masks(self) -> NDArray[np.bool_]:
        """Return a mask for each object: (n, height, width)."""
        masks: NDArray[np.bool_] = np.arange(1, len(self.ids) + 1)[:, None, None] == self.numbers
        return masks


@dataclass(frozen=True)
class Boxes:
    """The objects of a chip with their boxes.

    Args:
        corners: (n, 4) float64: left, top, right, bottom in pixels; the chip's corner is (0, 0).
        ids: As of `Instances`.
        values: As of `Instances`.
    """

    corners: NDArray[np.float64]
    ids: NDArray[np.int64]
    values: NDArray[np.int64]


@dataclass(frozen=True)
class Description:
    """What a reader has to know of its dataset.

    Args:
        folder: Where it lies.
        size: Width and height of a chip in pixels.
        classes: `{value, name, folder}` of each class; `folder` is its name in paths.
        values: From class values in files to those of `classes`, where they differ (see `arcgis_reading`).
        ending: Of images.
        is_own: Made by this program, so with contacts and a table of objects.
    """

    folder: Path
    size: tuple[int, int]
    classes: Sequence[Mapping[str, Any]]
    values: Mapping[int, int] = field(default_factory=dict)
    ending: str = ".tif"
    is_own: bool = True

    def value(self, in_file: int, where: str) -> int:
        """Return the class value that a file's value means.

        Raises:
            InputUnreadableError: No class has it.
        """
        value = self.values.get(in_file, in_file)
        if all(one["value"] != value for one in self.classes):
            raise InputUnreadableError(
                f"{where} of {self.folder} names the class {in_file}; the dataset has"
                f" {', '.join(str(one['value']) for one in self.classes)}.",
                "Export the chips again, or correct the class.",
            )
        return value

    def value_of_name(self, name: str, where: str) -> int:
        """Return the value of a class by its value written out, its name or its folder. Errors as `value`."""
        for one in self.classes:
            if name in (one["name"], one.get("folder")):
                return int(one["value"])
        return self.value(int(name) if name.lstrip("-").isdigit() else -1, where)


class Reader:
    """Reads chips of a folder whose images are files; the base of all readers but that of HDF5.

    A format overrides what it holds; labels that follow from others are made here.

    Args:
        description: The dataset.
    """

    labels: frozenset[Kind] = frozenset()
    sizes_differ = False
    """Whether chips of different sizes are normal in datasets that others made."""
    needs_contacts = False
    """Whether nothing but the raster of contacts says what is unknown."""

    def __init__(self, description: Description) -> None:
        self.description = description
        self.folder = description.folder

    def image_path(self, entry: ChipEntry) -> str:
        """Return the path of a chip's image in the dataset."""
        return entry.image or f"images/{entry.name}{self.description.ending}"

    def label_paths(self, entry: ChipEntry) -> tuple[str, ...]:
        """Return the paths of the label files that a chip must have."""
        return entry.labels or ()

    def image(self, entry: ChipEntry) -> NDArray[Any]:
        """Read the image (height, width, bands)."""
        return read_image(self.folder / self.image_path(entry))

    def image_facts(self, entry: ChipEntry) -> tuple[int, int, int, str]:
        """Return width, height, bands and type of the image."""
        return image_facts(self.folder / self.image_path(entry))

    def label_sizes(self, entry: ChipEntry) -> list[tuple[int, int]]:
        """Return width and height of each label that is a raster."""
        rasters = [path for path in self.label_paths(entry) if path.lower().endswith((".tif", ".tiff", ".png"))]
        return [image_facts(self.folder / path)[:2] for path in rasters]

    def files(self, entry: ChipEntry) -> list[str]:
        """Return the paths of all files that a chip must have."""
        contacts = [f"{CONTACTS}/{entry.name}.tif"] if self.has_contacts else []
        return [self.image_path(entry), *self.label_paths(entry), *contacts]

    def label(self, entry: ChipEntry) -> NDArray[Any]:
        """Read class values (height, width), 255 where unknown."""
        if "instances" not in self.labels:
            raise self.lacks("classes")
        found = self.instances(entry)
        wide = found.values.max(initial=0) > np.iinfo(np.uint8).max
        table = np.concatenate([[0], found.values]).astype(np.uint16 if wide else np.uint8)
        label: NDArray[Any] = table[found.numbers]
        unknown = self.unknown(entry)
        if unknown is not None:
            label[unknown] = IGNORE
        return label

    def instances(self, entry: ChipEntry) -> Instances:
        """Read the objects with their masks."""
        raise self.lacks("instances")

    def boxes(self, entry: ChipEntry) -> Boxes:
        """Read the objects with their boxes; of masks, the boxes that enclose their pixels."""
        if "instances" not in self.labels:
            raise self.lacks("boxes")
        found = self.instances(entry)
        corners = np.zeros((len(found.ids), 4), np.float64)
        for index, mask in enumerate(found.masks()):
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            if len(rows):
                corners[index] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        return Boxes(corners, found.ids, found.values)

    def tile_class(self, entry: ChipEntry) -> int:
        """Return the class value of the object that a chip was cut for."""
        raise self.lacks("tile")

    def tile_mask(self, entry: ChipEntry) -> NDArray[np.bool_] | None:
        """Read which pixels show the object that a chip was cut for; None where the dataset does not say."""
        raise self.lacks("tile")

    def contact(self, entry: ChipEntry) -> NDArray[np.uint8] | None:
        """Read where buildings meet (height, width), 0 or 1; None where the dataset does not say."""
        marked = self._marked(entry)
        return None if marked is None else (marked == 1).astype(np.uint8)

    def unknown(self, entry: ChipEntry) -> NDArray[np.bool_] | None:
        """Read which pixels nobody knows; None where the dataset does not say."""
        marked = self._marked(entry)
        return None if marked is None else np.equal(marked, UNKNOWN)

    def lacks(self, kind: Kind) -> InvalidParameterError:
        """Return the error that tells that this dataset has no labels of a kind."""
        names = {
            "classes": "classes of pixels",
            "instances": "masks of objects",
            "boxes": "boxes of objects",
            "tile": "one class a chip",
        }
        there = ", ".join(names[one] for one in sorted(self.labels)) or "images only"
        return InvalidParameterError(
            f"The dataset {self.folder} has no {names[kind]}; it holds {there}.",
            "Export the chips again in another format: rcnn-masks, coco, yolo and hdf5 hold classes, masks and boxes.",
        )

    @cached_property
    def objects(self) -> ObjectTable:
        """Which footprint each object is."""
        return ObjectTable.read(self.folder) if self.description.is_own else ObjectTable({})

    @cached_property
    def has_contacts(self) -> bool:
        """Whether the dataset marks where buildings meet."""
        return self.description.is_own and (self.folder / CONTACTS).is_dir()

    def _marked(self, entry: ChipEntry) -> NDArray[Any] | None:
        if not self.has_contacts:
            return None
        marked: NDArray[Any] = read_layers(self.folder / CONTACTS / f"{entry.name}.tif")[0]
        return marked
