"""The format labeled-tiles: ArcGIS' Labeled_Tiles, one object a chip.

    images/000000000.tif  labels/000000000.xml  labels/building/000000000.tif

The annotation names the class and the box of the object that the chip was cut for, which is how arcgis.learn reads
this format; the tile in the folder of its class is the object's mask (1, ground 0). `objects.csv` says which footprint
it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.chips import manifest
from building_segmenter.chips.chip import Chip, ChipObject, ExportFacts, WrittenChip
from building_segmenter.chips.formats import arcgis, pascal_voc, reading
from building_segmenter.chips.formats.boxes import boxes_of, corners_of
from building_segmenter.chips.formats.files import write_text
from building_segmenter.chips.formats.images import image_set, label_set
from building_segmenter.chips.formats.objects import object_rows, write_object_table
from building_segmenter.chips.formats.rcnn_masks import numbered
from building_segmenter.chips.formats.reading import Boxes, ChipEntry, Kind
from building_segmenter.chips.statistics import ExportStatistics, summarize
from building_segmenter.errors import InputUnreadableError

TAKES_SECOND_IMAGE = False


class Writer:
    """Writes labelled tiles. See `formats.Writer`."""

    def __init__(self, folder: Path, facts: ExportFacts) -> None:
        self._folder, self._facts = folder, facts
        self._images = image_set(folder, "images", facts.image_format, facts.tile_size, facts.image, facts.crs)
        self._tiles = {
            value: label_set(folder, f"labels/{name}", facts.tile_size, "uint8", facts.crs)
            for value, name in arcgis.class_folders(facts.classes).items()
        }

    def write(self, chip: Chip, name: str) -> dict[str, Any]:
        """Write a chip, labelled by the object in its middle.

        Raises:
            ValueError: The chip has no object; such chips must not be cut for this format.
        """
        one = middle_object(chip)
        image = self._images.write(name, chip.image, chip.transform)
        self._tiles[one.value].write(name, numbered(chip.instances, [one]), chip.transform)
        label = f"labels/{name}.xml"
        box = (one.value, corners_of([one])[0].tolist())
        write_text(self._folder / label, pascal_voc.annotation(Path(image).name, chip.image.shape, [box]))
        area = float(shapely.area(one.polygon)) * abs(chip.transform.determinant)
        areas = {str(one.value): [1, area, area, area]}
        return {"files": [image, label], "objects": object_rows(name, [one]), "areas": areas}

    def finish(self, entries: Sequence[WrittenChip], statistics: ExportStatistics) -> None:
        """Write the side files, whose figures count the one object of each chip."""
        entries = [replace(one, statistics=one.statistics | {"areas": one.record["areas"]}) for one in entries]
        statistics = summarize([one.statistics for one in entries], self._facts.classes)
        arcgis.write_side_files(self._folder, self._facts, entries, statistics)
        write_object_table(self._folder, entries)
        manifest.write_export_manifest(self._folder, self._facts, entries, statistics)


def middle_object(chip: Chip) -> ChipObject:
    """Return the object nearest to the middle of a chip, the largest one of several as near.

    Raises:
        ValueError: The chip has no object.
    """
    if not chip.objects:
        raise ValueError("a chip without objects has no label")
    height, width = chip.label.shape
    polygons = np.array([one.polygon for one in chip.objects], dtype=object)
    away = shapely.distance(polygons, shapely.Point(width / 2, height / 2))
    order: NDArray[np.intp] = np.lexsort((-shapely.area(polygons), away))
    return chip.objects[int(order[0])]


class Reader(reading.Reader):
    """Reads labelled tiles: their class, and the box of their object where there is one."""

    labels = frozenset[Kind]({"tile", "boxes"})
    sizes_differ = True

    def label_paths(self, entry: ChipEntry) -> tuple[str, ...]:
        """Return the path of the annotation."""
        return (f"labels/{entry.name}.xml",) if entry.labels is None else entry.labels

    def label_sizes(self, entry: ChipEntry) -> list[tuple[int, int]]:
        """Return nothing: a foreign tile may be cut to its object."""
        return []

    def boxes(self, entry: ChipEntry) -> Boxes:
        """Read the object with its box."""
        found = [
            (self.description.value_of_name(name, path), corners)
            for path in self.label_paths(entry)
            if path.lower().endswith(".xml")
            for name, corners in pascal_voc.read_annotation(self.folder / path)
        ]
        return boxes_of(found, self.objects.of(entry.name))

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
