"""The format kitti: ArcGIS' KITTI_rectangles, boxes of objects in text.

    images/000000000.tif  labels/000000000.txt

A line an object with 15 columns, as in the KITTI object development kit: class value, truncated (the share of the
footprint that is not on the chip), occluded, alpha, left, top, right, bottom in pixels counted from the chip's corner,
and seven columns for three dimensions that hold 0. `objects.csv` says which footprint a line is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from building_segmenter.chips import manifest
from building_segmenter.chips.chip import Chip, ExportFacts, WrittenChip
from building_segmenter.chips.formats import arcgis, boxes
from building_segmenter.chips.formats.boxes import corners_of
from building_segmenter.chips.formats.files import write_text
from building_segmenter.chips.formats.images import image_set
from building_segmenter.chips.formats.objects import object_rows, write_object_table
from building_segmenter.chips.statistics import ExportStatistics
from building_segmenter.errors import InputUnreadableError

TAKES_SECOND_IMAGE = False
_COLUMNS = 15


class Writer:
    """Writes boxes in text. See `formats.Writer`."""

    def __init__(self, folder: Path, facts: ExportFacts) -> None:
        self._folder, self._facts = folder, facts
        self._images = image_set(folder, "images", facts.image_format, facts.tile_size, facts.image, facts.crs)
        (folder / "labels").mkdir(exist_ok=True)

    def write(self, chip: Chip, name: str) -> dict[str, Any]:
        """Write a chip."""
        image = self._images.write(name, chip.image, chip.transform)
        label = f"labels/{name}.txt"
        lines = [
            f"{one.value} {1 - one.share:.2f} 0 0 {' '.join(f'{corner:.2f}' for corner in corners)} 0 0 0 0 0 0 0\n"
            for one, corners in zip(chip.objects, corners_of(chip.objects), strict=True)
        ]
        write_text(self._folder / label, "".join(lines))
        return {"files": [image, label], "objects": object_rows(name, chip.objects)}

    def finish(self, entries: Sequence[WrittenChip], statistics: ExportStatistics) -> None:
        """Write the side files."""
        arcgis.write_side_files(self._folder, self._facts, entries, statistics)
        write_object_table(self._folder, entries)
        manifest.write_export_manifest(self._folder, self._facts, entries, statistics)


class Reader(boxes.Reader):
    """Reads boxes from text."""

    text_ending = ".txt"

    def read_text(self, path: Path) -> list[tuple[str, list[float]]]:
        """Read class and box of each line."""
        return [(columns[0], [float(column) for column in columns[4:8]]) for columns in _rows(path)]


def _rows(path: Path) -> list[list[str]]:
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputUnreadableError(f"The label {path} cannot be read: {error}.", "Export the chips again.") from error
    short = [row for row in rows if len(row) < _COLUMNS]
    if short:
        raise InputUnreadableError(
            f"The label {path} has {len(short[0])} columns in a line where KITTI has {_COLUMNS}.",
            "Export the chips again.",
        )
    return rows
