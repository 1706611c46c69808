"""Boxes of objects, for the formats that hold nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.chips.chip import ChipObject
from building_segmenter.chips.formats.objects import ObjectRow
from building_segmenter.chips.formats.reading import Boxes


def corners_of(objects: Sequence[ChipObject]) -> NDArray[np.float64]:
    """Return left, top, right, bottom of each object in pixels, (n, 4)."""
    corners: NDArray[np.float64] = shapely.bounds(np.array([one.polygon for one in objects], dtype=object))
    return corners.reshape(-1, 4)


def boxes_of(found: Sequence[tuple[int, Sequence[float]]], rows: Sequence[ObjectRow]) -> Boxes:
    """Return boxes from class values and corners, with the ids of a table that has the objects in the same order."""
    ids: list[Any] = [row.id for row in rows] if len(rows) == len(found) else [0] * len(found)
    corners = np.array([corners for _, corners in found], np.float64).reshape(-1, 4)
    return Boxes(corners, np.array(ids, np.int64), np.array([value for value, _ in found], np.int64))
