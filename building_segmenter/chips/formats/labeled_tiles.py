"""The format labeled-tiles: ArcGIS' Labeled_Tiles, one object a chip.

    images/000000000.tif  labels/000000000.xml  labels/building/000000000.tif

The annotation names the class and the box of the object that the chip was cut for, which is how arcgis.learn reads
this format; the tile in the folder of its class is the object's mask (1, ground 0). `objects.csv` says which footprint
it is. Chips that were cut to their objects differ in size.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.chips import manifest
from building_segmenter.chips.chip import Chip, ExportFacts, WrittenChip
from building_segmenter.chips.formats import arcgis, pascal_voc
from building_segmenter.chips.formats.boxes import corners_of
from building_segmenter.chips.formats.files import write_text
from building_segmenter.chips.formats.images import ImageSet, image_set, label_set, read_layers
from building_segmenter.chips.formats.objects import object_rows, write_object_table
from building_segmenter.chips.formats.reading import ChipEntry, Kind
from building_segmenter.chips.statistics import ExportStatistics
from building_segmenter.errors import InputUnreadableError

TAKES_SECOND_IMAGE = False

_SIZES = 256
"""So many sizes of chips are at hand at a time; each writes its files with a header of its own."""


class Writer:
    """Writes labelled tiles. See `formats.Writer`."""

    def __init__(self, folder: Path, facts: ExportFacts) -> None:
        self._folder, self._facts = folder, facts
        self._folders = arcgis.class_folders(facts.classes)
        self._images, self._masks = lru_cache(_SIZES)(self._image_set), lru_cache(_SIZES)(self._mask_set)
        # Images that the format cannot hold are told before there is a chip.
        self._images(facts.tile_size)

    def write(self, chip: Chip, name: str) -> dict[str, Any]:
        """Write a chip, labelled by its one object.

        Raises:
            ValueError: The chip has no object, or more than one; such chips must not be cut for this format.
        """
        if len(chip.objects) != 1:
            raise ValueError(f"a labelled tile has one object, not {len(chip.objects)}")
        (one,) = chip.objects
        height, width = chip.label.shape
        image = self._images((width, height)).write(name, chip.image, chip.transform)
        mask = (chip.instances == one.id).view(np.uint8)
        self._masks((width, height), one.value).write(name, mask, chip.transform)
        label = f"labels/{name}.xml"
        box = (one.value, corners_of([one])[0].tolist())
        write_text(self._folder / label, pascal_voc.annotation(Path(image).name, chip.image.shape, [box]))
        return {"files": [image, label], "objects": object_rows(name, [one])}

    def finish(self, entries: Sequence[WrittenChip], statistics: ExportStatistics) -> None:
        """Write the side files."""
        arcgis.write_side_files(self._folder, self._facts, entries, statistics)
        write_object_table(self._folder, entries)
        manifest.write_export_manifest(self._folder, self._facts, entries, statistics)

    def _image_set(self, size: tuple[int, int]) -> ImageSet:
        return image_set(self._folder, "images", self._facts.image_format, size, self._facts.image, self._facts.crs)

    def _mask_set(self, size: tuple[int, int], value: int) -> ImageSet:
        return label_set(self._folder, f"labels/{self._folders[value]}", size, "uint8", self._facts.crs)


class Reader(pascal_voc.Reader):
    """Reads labelled tiles: their class, the box of their object, and its mask where there is one."""

    labels = frozenset[Kind]({"tile", "boxes"})
    sizes_differ = True

    def label_paths(self, entry: ChipEntry) -> tuple[str, ...]:
        """Return the path of the annotation, and of our own chips that of the mask."""
        paths = super().label_paths(entry)
        mask = self._mask_path(entry)
        return paths if mask is None else (*paths, mask)

    def text_paths(self, entry: ChipEntry) -> tuple[str, ...]:
        """Return the path of the annotation."""
        return tuple(path for path in self.label_paths(entry) if path.lower().endswith(self.text_ending))

    def label_sizes(self, entry: ChipEntry) -> list[tuple[int, int]]:
        """Return width and height of the mask, and nothing of a foreign tile, which may be cut to its object."""
        return super().label_sizes(entry) if self.description.is_own else []

    def tile_class(self, entry: ChipEntry) -> int:
        """Return the class value by the annotation, or by the folder of the tile."""
        found = self.boxes(entry).values
        if len(found):
            return int(found[0])
        paths = [path for path in (*self.label_paths(entry), self.image_path(entry)) if not path.endswith(".xml")]
        folders = [Path(path).parent.name for path in paths if len(Path(path).parts) > 2]
        if not folders:
            raise InputUnreadableError(f"The chip {entry.name} of {self.folder} has no class.", "Export it again.")
        return self.description.value_of_name(folders[0], paths[0])

    def tile_mask(self, entry: ChipEntry) -> NDArray[np.bool_] | None:
        """Read the mask."""
        path = self._mask_path(entry)
        return None if path is None else read_layers(self.folder / path)[0] > 0

    def _mask_path(self, entry: ChipEntry) -> str | None:
        values = {row.value for row in self.objects.of(entry.name)}
        folders = [one["folder"] for one in self.description.classes if one["value"] in values]
        return f"labels/{folders[0]}/{entry.name}.tif" if folders else None
