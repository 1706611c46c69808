"""The format rcnn-masks: ArcGIS' RCNN_Masks, for each class on a chip a raster of numbered objects.

    images/000000000.tif  labels/building/000000000.tif  contacts/000000000.tif  (a world file beside each)

Numbers begin at 1 on each chip and in each class; `objects.csv` says which footprint a number is. A chip without a
class has no file in its folder. In ArcGIS' own exports a label may have several bands, where objects overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.chips import manifest
from building_segmenter.chips.chip import Chip, ChipObject, ExportFacts, WrittenChip
from building_segmenter.chips.formats import arcgis, reading
from building_segmenter.chips.formats.contacts import contact_set, marked_contacts
from building_segmenter.chips.formats.images import ImageSet, image_set, label_set, read_layers
from building_segmenter.chips.formats.objects import object_rows, write_object_table
from building_segmenter.chips.formats.reading import ChipEntry, Instances, Kind
from building_segmenter.chips.statistics import ExportStatistics

TAKES_SECOND_IMAGE = False


class Writer:
    """Writes instance masks. See `formats.Writer`."""

    def __init__(self, folder: Path, facts: ExportFacts) -> None:
        self._folder, self._facts = folder, facts
        self._images = image_set(folder, "images", facts.image_format, facts.tile_size, facts.image, facts.crs)
        self._contacts = contact_set(folder, facts)
        self._labels = {
            (value, dtype): label_set(folder, f"labels/{name}", facts.tile_size, dtype, facts.crs)
            for value, name in arcgis.class_folders(facts.classes).items()
            for dtype in ("uint8", "uint16")
        }

    def write(self, chip: Chip, name: str) -> dict[str, Any]:
        """Write a chip."""
        files = [self._images.write(name, chip.image, chip.transform)]
        self._contacts.write(name, marked_contacts(chip), chip.transform)
        rows = ""
        for value in sorted({one.value for one in chip.objects}):
            objects = [one for one in chip.objects if one.value == value]
            numbers = numbered(chip.instances, objects)
            files.append(self._set(value, numbers.dtype).write(name, numbers, chip.transform))
            rows += object_rows(name, objects)
        return {"files": files, "objects": rows}

    def finish(self, entries: Sequence[WrittenChip], statistics: ExportStatistics) -> None:
        """Write the side files."""
        arcgis.write_side_files(self._folder, self._facts, entries, statistics)
        write_object_table(self._folder, entries)
        manifest.write_export_manifest(self._folder, self._facts, entries, statistics)

    def _set(self, value: int, dtype: np.dtype[Any]) -> ImageSet:
        return self._labels[value, dtype.name]


def numbered(instances: NDArray[np.int32], objects: Sequence[ChipObject]) -> NDArray[Any]:
    """Return the pixels of objects, numbered from 1 in their order; 0 elsewhere."""
    small = len(objects) <= np.iinfo(np.uint8).max
    ids = [one.id for one in objects]
    # As long as the highest id of any object of the chip, of this class or not.
    table = np.zeros(max(int(instances.max(initial=0)), *ids, 0) + 1, np.uint8 if small else np.uint16)
    table[ids] = np.arange(1, len(ids) + 1)
    numbers: NDArray[Any] = table.take(instances)
    return numbers


class Reader(reading.Reader):
    """Reads instance masks."""

    labels = frozenset[Kind]({"classes", "instances", "boxes"})
    needs_contacts = True

    def label_paths(self, entry: ChipEntry) -> tuple[str, ...]:
        """Return the paths of the label of each class that the chip has."""
        if entry.labels is not None:
            return entry.labels
        present = {row.value for row in self.objects.of(entry.name)}
        return tuple(
            f"labels/{one['folder']}/{entry.name}.tif" for one in self.description.classes if one["value"] in present
        )

    def instances(self, entry: ChipEntry) -> Instances:
        """Read the objects with their masks, class by class."""
        layers = [
            (self.description.value_of_name(Path(path).parent.name, path), layer)
            for path in self.label_paths(entry)
            for layer in read_layers(self.folder / path)
        ]
        width, height = self.description.size
        numbers = np.zeros(layers[0][1].shape if layers else (height, width), np.int32)
        ids: list[int] = []
        values: list[int] = []
        for value, layer in layers:
            footprints = {row.number: row.id for row in self.objects.of(entry.name) if row.value == value}
            present = np.unique(layer[layer > 0])
            table = np.zeros(int(present.max(initial=0)) + 1, np.int32)
            table[present] = np.arange(len(ids) + 1, len(ids) + 1 + len(present))
            np.copyto(numbers, table[layer], where=layer > 0)
            ids += [footprints.get(number, 0) for number in present.tolist()]
            values += [value] * len(present)
        return Instances(numbers, np.array(ids, np.int64), np.array(values, np.int64))
