"""Boxes of objects, for the formats that hold them in a text a chip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.chips.chip import ChipObject
from building_segmenter.chips.formats import reading
from building_segmenter.chips.formats.objects import ObjectRow
from building_segmenter.chips.formats.reading import Boxes, ChipEntry, Kind


def corners_of(objects: Sequence[ChipObject]) -> NDArray[np.float64]:
    """Return left, top, right, bottom of each object in pixels, (n, 4)."""
    corners: NDArray[np.float64] = shapely.bounds(np.array([one.polygon for one in objects], dtype=object))
    return corners.reshape(-1, 4)


def boxes_of(found: Sequence[tuple[int, Sequence[float]]], rows: Sequence[ObjectRow]) -> Boxes:
    """Return boxes from class values and corners, with the ids of a table that has the objects in the same order."""
    ids: list[Any] = [row.id for row in rows] if len(rows) == len(found) else [0] * len(found)
    corners = np.array([corners for _, corners in found], np.float64).reshape(-1, 4)
    return Boxes(corners, np.array(ids, np.int64), np.array([value for value, _ in found], np.int64))


class Reader(reading.Reader):
    """Reads boxes from a text a chip; a format says how."""

    labels = frozenset[Kind]({"boxes"})
    text_ending = ""

    def label_paths(self, entry: ChipEntry) -> tuple[str, ...]:
        """Return the path of the text; a foreign chip without one has no objects."""
        return (f"labels/{entry.name}{self.text_ending}",) if entry.labels is None else entry.labels

    def boxes(self, entry: ChipEntry) -> Boxes:
        """Read the objects with their boxes."""
        found = [
            (self.description.value_of_name(name, path), corners)
            for path in self.text_paths(entry)
            for name, corners in self.read_text(self.folder / path)
        ]
        return boxes_of(found, self.objects.of(entry.name))

    def text_paths(self, entry: ChipEntry) -> tuple[str, ...]:
        """Return those of the labels that hold boxes."""
        return self.label_paths(entry)

    def read_text(self, path: Path) -> list[tuple[str, list[float]]]:
        """Read the class, by name or value, and the left, top, right and bottom of each object of a text.

        Raises:
            InputUnreadableError: It is missing or broken.
        """
        raise NotImplementedError
