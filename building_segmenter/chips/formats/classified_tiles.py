"""The format classified-tiles: ArcGIS' Classified_Tiles, one raster of class values a chip.

    images/000000000.tif  labels/000000000.tif  contacts/000000000.tif  (a world file beside each)

0 is ground, 255 unknown (this project's addition). Second images stand in `images2`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.chips import manifest
from building_segmenter.chips.chip import GROUND, IGNORE, Chip, ExportFacts, WrittenChip
from building_segmenter.chips.formats import arcgis, reading
from building_segmenter.chips.formats.contacts import contact_set, marked_contacts
from building_segmenter.chips.formats.images import ImagePair, label_set, read_layers
from building_segmenter.chips.formats.reading import ChipEntry, Kind
from building_segmenter.chips.statistics import ExportStatistics
from building_segmenter.errors import InputUnreadableError

TAKES_SECOND_IMAGE = True


class Writer:
    """Writes classified tiles. See `formats.Writer`."""

    def __init__(self, folder: Path, facts: ExportFacts) -> None:
        self._folder, self._facts = folder, facts
        self._images = ImagePair(folder, facts)
        wide = max((one.value for one in facts.classes), default=0) > IGNORE
        self._dtype = np.dtype(np.uint16 if wide else np.uint8)
        self._labels = label_set(folder, "labels", facts.tile_size, self._dtype.name, facts.crs)
        self._contacts = contact_set(folder, facts)

    def write(self, chip: Chip, name: str) -> dict[str, Any]:
        """Write a chip."""
        files = self._images.write(name, chip)
        files.append(self._labels.write(name, chip.label.astype(self._dtype, copy=False), chip.transform))
        self._contacts.write(name, marked_contacts(chip), chip.transform)
        return {"files": files}

    def finish(self, entries: Sequence[WrittenChip], statistics: ExportStatistics) -> None:
        """Write the side files."""
        arcgis.write_side_files(self._folder, self._facts, entries, statistics)
        manifest.write_export_manifest(self._folder, self._facts, entries, statistics)


class Reader(reading.Reader):
    """Reads classified tiles."""

    labels = frozenset[Kind]({"classes"})

    def label_paths(self, entry: ChipEntry) -> tuple[str, ...]:
        """Return the path of the label; a foreign chip without one is all ground."""
        return (f"labels/{entry.name}.tif",) if entry.labels is None else entry.labels

    def label(self, entry: ChipEntry) -> NDArray[Any]:
        """Read class values, 255 where unknown."""
        paths = self.label_paths(entry)
        if not paths:
            width, height = self.image_facts(entry)[:2]
            return np.full((height, width), GROUND, np.uint8)
        values = read_layers(self.folder / paths[0])[0]
        return values if self.description.is_own else self._translated(values, paths[0])

    def _translated(self, values: NDArray[Any], path: str) -> NDArray[np.uint8]:
        label = np.zeros(values.shape, np.uint8)
        for value in np.unique(values).tolist():
            if value == GROUND:
                continue
            if value == IGNORE == self.description.values.get(IGNORE):
                label[values == IGNORE] = IGNORE
                continue
            if value != int(value):
                raise InputUnreadableError(f"{path} of {self.folder} holds {value}, no class.", "Export it again.")
            label[values == value] = self.description.value(int(value), path)
        return label
