"""`objects.csv`: which footprint each object of a chip is, beside formats that have no place for it.

Columns: chip, number (of the object on its chip: the line of a text label, the pixel value of a mask of its class),
id (of the footprint: the same on every chip that shows it), class value, area on the chip in pixels, and share of the
footprint's area that is on the chip.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import shapely

from building_segmenter.chips.chip import ChipObject, WrittenChip
from building_segmenter.chips.formats.files import write_text
from building_segmenter.errors import InputUnreadableError

FILE = "objects.csv"
_COLUMNS = ("chip", "number", "id", "value", "area", "share")


class ObjectRow(NamedTuple):
    """An object of a chip."""

    number: int
    id: int
    value: int


class ObjectTable:
    """The objects of all chips.

    Args:
        rows: By name of the chip, in the order of the file.
    """

    def __init__(self, rows: dict[str, list[ObjectRow]]) -> None:
        self._rows = rows

    def of(self, chip: str) -> Sequence[ObjectRow]:
        """Return the objects of a chip, in order."""
        return self._rows.get(chip, ())

    @staticmethod
    def read(folder: Path) -> ObjectTable:
        """Read the table of a dataset; one without it has no objects.

        Raises:
            InputUnreadableError: It is broken.
        """
        path = folder / FILE
        rows: dict[str, list[ObjectRow]] = {}
        if not path.is_file():
            return ObjectTable(rows)
        try:
            with open(path, newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    found = ObjectRow(int(row["number"]), int(row["id"]), int(row["value"]))
                    rows.setdefault(row["chip"], []).append(found)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputUnreadableError(f"The table {path} is broken: {error}.", "Export the chips again.") from error
        return ObjectTable(rows)


def object_rows(name: str, objects: Sequence[ChipObject], numbers: Iterable[int] | None = None) -> str:
    """Return the lines of a chip's objects, numbered from 1 in their order where no numbers are given."""
    areas = shapely.area([one.polygon for one in objects]) if objects else ()
    numbers = range(1, len(objects) + 1) if numbers is None else numbers
    return "".join(
        f"{name},{number},{one.id},{one.value},{area:.2f},{one.share:.4f}\n"
        for number, one, area in zip(numbers, objects, areas, strict=True)
    )


def write_object_table(folder: Path, entries: Sequence[WrittenChip]) -> None:
    """Write the table from the `objects` of each chip's record."""
    write_text(folder / FILE, ",".join(_COLUMNS) + "\n" + "".join(one.record["objects"] for one in entries))
