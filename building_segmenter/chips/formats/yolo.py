"""The format yolo: segmentation labels as Ultralytics reads them.

    data.yaml  images/train/000000000.tif  labels/train/000000000.txt  images/val/...  contacts/000000000.tif

After docs.ultralytics.com, Instance segmentation datasets: a line an object with the index of its class (from 0, in
the order of `names`) and the corners of one polygon in shares of the image's width and height. Holes and further
parts hang on bridges of no width (see `polygons.one_ring`). `objects.csv` says which footprint a line is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from building_segmenter.chips import manifest
from building_segmenter.chips.chip import Chip, ExportFacts, WrittenChip
from building_segmenter.chips.formats import reading
from building_segmenter.chips.formats.contacts import contact_set, marked_contacts
from building_segmenter.chips.formats.files import write_text
from building_segmenter.chips.formats.images import image_set
from building_segmenter.chips.formats.objects import object_rows, write_object_table
from building_segmenter.chips.formats.polygons import Ring, burn, one_ring
from building_segmenter.chips.formats.reading import ChipEntry, Instances, Kind
from building_segmenter.chips.statistics import ExportStatistics
from building_segmenter.errors import InputUnreadableError

TAKES_SECOND_IMAGE = False
SPLITS = {"train": "train", "validation": "val"}
"""Names of the splits in paths."""
_DIGITS = 12
# What twelve digits leave of a pixel; corners on halves of pixels, where rounding would tell, come back exactly.
_PIXEL_DIGITS = 8


class Writer:
    """Writes images and polygons. See `formats.Writer`."""

    def __init__(self, folder: Path, facts: ExportFacts) -> None:
        self._folder, self._facts = folder, facts
        self._images = {
            split: image_set(folder, f"images/{name}", facts.image_format, facts.tile_size, facts.image, facts.crs)
            for split, name in SPLITS.items()
        }
        self._contacts = contact_set(folder, facts)
        self._index = {one.value: index for index, one in enumerate(facts.classes)}
        for name in SPLITS.values():
            (folder / "labels" / name).mkdir(parents=True, exist_ok=True)

    def write(self, chip: Chip, name: str) -> dict[str, Any]:
        """Write a chip."""
        self._images[chip.split].write(name, chip.image, chip.transform)
        self._contacts.write(name, marked_contacts(chip), chip.transform)
        size = np.array(self._facts.tile_size, np.float64)
        lines = [f"{self._index[one.value]} {_text(one_ring(one.polygon) / size)}\n" for one in chip.objects]
        write_text(self._folder / "labels" / SPLITS[chip.split] / f"{name}.txt", "".join(lines))
        return {"objects": object_rows(name, chip.objects)}

    def finish(self, entries: Sequence[WrittenChip], statistics: ExportStatistics) -> None:
        """Write the side files."""
        names = "".join(
            f"  {index}: {json.dumps(one.name, ensure_ascii=False)}\n" for index, one in enumerate(self._facts.classes)
        )
        there = {entry.split for entry in entries}
        # Ultralytics asks for both; an export without validation chips is checked on what it learned from.
        splits = {"train": "train" if "train" in there else "validation"}
        splits["val"] = "validation" if "validation" in there else "train"
        paths = "".join(f"{key}: images/{SPLITS[split]}\n" for key, split in splits.items())
        # Without `path`, which Ultralytics would look for where it was started, paths begin at the file itself.
        write_text(self._folder / "data.yaml", f"{paths}names:\n{names}")
        write_object_table(self._folder, entries)
        manifest.write_export_manifest(self._folder, self._facts, entries, statistics)


def _text(shares: Ring) -> str:
    return " ".join(f"{min(max(share, 0.0), 1.0):.{_DIGITS}f}".rstrip("0") for share in shares.ravel().tolist())


class Reader(reading.Reader):
    """Reads polygons."""

    labels = frozenset[Kind]({"classes", "instances", "boxes"})
    needs_contacts = True

    def image_path(self, entry: ChipEntry) -> str:
        """Return the path of the image in the folder of its split."""
        return entry.image or f"images/{SPLITS[entry.split]}/{entry.name}{self.description.ending}"

    def label_paths(self, entry: ChipEntry) -> tuple[str, ...]:
        """Return the path of the text."""
        return (f"labels/{SPLITS[entry.split]}/{entry.name}.txt",) if entry.labels is None else entry.labels

    def instances(self, entry: ChipEntry) -> Instances:
        """Read the objects with their masks; unknown pixels show none."""
        size = np.array(self.description.size, np.float64)
        found = [row for path in self.label_paths(entry) for row in self._rows(self.folder / path)]
        rings = [[np.round(shares * size, _PIXEL_DIGITS)] for _, shares in found]
        numbers = burn(rings, self.description.size)
        unknown = self.unknown(entry)
        if unknown is not None:
            numbers[unknown] = 0
        rows = self.objects.of(entry.name)
        ids = [row.id for row in rows] if len(rows) == len(found) else [0] * len(found)
        return Instances(numbers, np.array(ids, np.int64), np.array([value for value, _ in found], np.int64))

    def _rows(self, path: Path) -> list[tuple[int, Ring]]:
        try:
            lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            return [
                (
                    int(self.description.classes[int(index)]["value"]),
                    np.array(shares, np.float64).reshape(-1, 2),
                )
                for index, *shares in lines
            ]
        except (OSError, ValueError, IndexError) as error:
            raise InputUnreadableError(
                f"The label {path} cannot be read: {error}.", "Export the chips again."
            ) from error
