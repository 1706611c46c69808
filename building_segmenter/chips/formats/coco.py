"""The format coco: instances with polygons, in one file of annotations a split.

    images/000000000.tif  contacts/000000000.tif  annotations/instances_train.json  instances_validation.json

After cocodataset.org, Data format: `segmentation` is a list of polygons, or run lengths where a polygon has holes,
which COCO's polygons cannot have; `bbox` is x, y, width, height. Pixels that nobody knows are an annotation with
`iscrowd` 1 of each class, which COCO's tools leave out of training and scores. `object_id` is this project's: the
footprint's id, the same on every chip that shows it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.chips import manifest
from building_segmenter.chips.chip import IGNORE, Chip, ChipObject, ExportFacts, WrittenChip
from building_segmenter.chips.formats import reading, rle
from building_segmenter.chips.formats.boxes import corners_of
from building_segmenter.chips.formats.contacts import contact_set, marked_contacts
from building_segmenter.chips.formats.files import read_json, write_parts, write_text
from building_segmenter.chips.formats.images import image_set
from building_segmenter.chips.formats.parts import PARTS, is_put_together, remove_parts
from building_segmenter.chips.formats.polygons import Ring, burn, parts_of
from building_segmenter.chips.formats.reading import ChipEntry, Instances, Kind
from building_segmenter.chips.statistics import ExportStatistics
from building_segmenter.errors import InputUnreadableError

TAKES_SECOND_IMAGE = False
_FOLDER = "annotations"


class Writer:
    """Writes images and annotations. See `formats.Writer`.

    The annotations of a chip wait in a file of their own until all are put together, so that memory does not grow.

    Args:
        folder: The export.
        facts: Of the export; the choice `segmentation` is `run-lengths` to write every object so, not those with
            holes only.
    """

    def __init__(self, folder: Path, facts: ExportFacts) -> None:
        self._folder, self._facts = folder, facts
        self._run_lengths = facts.choices.get("segmentation") == "run-lengths"
        self._images = image_set(folder, "images", facts.image_format, facts.tile_size, facts.image, facts.crs)
        self._contacts = contact_set(folder, facts)
        if not is_put_together(folder):
            (folder / PARTS).mkdir(exist_ok=True)

    def write(self, chip: Chip, name: str) -> dict[str, Any]:
        """Write a chip."""
        image = self._images.write(name, chip.image, chip.transform)
        self._contacts.write(name, marked_contacts(chip), chip.transform)
        annotations = [
            self._annotation(one, corners.tolist(), chip.label.shape)
            for one, corners in zip(chip.objects, corners_of(chip.objects), strict=True)
        ]
        annotations += _unknown(chip, self._facts)
        write_text(self._folder / PARTS / f"{name}.json", json.dumps(annotations))
        return {"file_name": Path(image).name, "annotations": len(annotations)}

    def finish(self, entries: Sequence[WrittenChip], statistics: ExportStatistics) -> None:
        """Put the annotations together, a file a split."""
        if is_put_together(self._folder):
            return
        (self._folder / _FOLDER).mkdir(exist_ok=True)
        for split in sorted({entry.split for entry in entries}):
            chosen = [entry for entry in entries if entry.split == split]
            path = self._folder / _FOLDER / f"instances_{split}.json"
            write_parts(path, self._whole(chosen, split))
        manifest.write_export_manifest(self._folder, self._facts, entries, statistics)
        remove_parts(self._folder)

    def _annotation(self, one: ChipObject, corners: list[float], shape: tuple[int, ...]) -> dict[str, Any]:
        parts = parts_of(one.polygon)
        left, top, right, bottom = corners
        segmentation: Any = [outer.ravel().tolist() for outer, _ in parts]
        if self._run_lengths or any(holes for _, holes in parts):
            rings = [ring for outer, holes in parts for ring in (outer, *holes)]
            segmentation = rle.encoded(burn([rings], (shape[1], shape[0])) > 0)
        return {
            "category_id": one.value,
            "bbox": [left, top, right - left, bottom - top],
            "area": one.polygon.area,
            "iscrowd": 0,
            "object_id": one.id,
            "segmentation": segmentation,
        }

    def _whole(self, entries: Sequence[WrittenChip], split: str) -> Any:
        """Yield the file piece by piece; images and annotations are numbered from 1."""
        width, height = self._facts.tile_size
        images = [
            {"id": number, "file_name": entry.record["file_name"], "width": width, "height": height}
            for number, entry in enumerate(entries, 1)
        ]
        categories = [{"id": one.value, "name": one.name, "supercategory": ""} for one in self._facts.classes]
        info = {"description": f"Training chips, {split}", "version": "1.0"}
        head = {"info": info, "licenses": [], "categories": categories, "images": images}
        yield json.dumps(head, ensure_ascii=False).removesuffix("}").encode() + b', "annotations": ['
        count = 0
        for number, entry in enumerate(entries, 1):
            part = self._folder / PARTS / f"{entry.name}.json"
            for annotation in read_json(part, "part of the annotations"):
                count += 1
                numbered = {"id": count, "image_id": number} | annotation
                yield (b"\n" if count == 1 else b",\n") + json.dumps(numbered).encode()
        yield b"\n]}\n"


def _unknown(chip: Chip, facts: ExportFacts) -> list[dict[str, Any]]:
    unknown = chip.label == IGNORE
    if not unknown.any():
        return []
    rows, columns = np.flatnonzero(unknown.any(axis=1)), np.flatnonzero(unknown.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    crowd = {
        "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
        "area": int(unknown.sum()),
        "iscrowd": 1,
        "object_id": 0,
        "segmentation": rle.encoded(unknown),
    }
    return [{"category_id": one.value} | crowd for one in facts.classes]


class Reader(reading.Reader):
    """Reads annotations."""

    labels = frozenset[Kind]({"classes", "instances", "boxes"})

    def label_paths(self, entry: ChipEntry) -> tuple[str, ...]:
        """Return the path of the annotations of the chip's split."""
        return (f"{_FOLDER}/instances_{entry.split}.json",) if entry.labels is None else entry.labels

    def instances(self, entry: ChipEntry) -> Instances:
        """Read the objects with their masks; unknown pixels show none."""
        width, height = self.description.size
        found = [one for one in self._annotations.get(Path(self.image_path(entry)).name, []) if not one["iscrowd"]]
        numbers = np.zeros((height, width), np.int32)
        for number, one in enumerate(found, 1):
            numbers[self._mask(one, (width, height))] = number
        unknown = self.unknown(entry)
        if unknown is not None:
            numbers[unknown] = 0
        ids = [int(one.get("object_id", 0)) for one in found]
        values = [self.description.value(one["category_id"], _FOLDER) for one in found]
        return Instances(numbers, np.array(ids, np.int64), np.array(values, np.int64))

    def unknown(self, entry: ChipEntry) -> NDArray[np.bool_] | None:
        """Read which pixels nobody knows: those of crowds."""
        width, height = self.description.size
        unknown = np.zeros((height, width), np.bool_)
        for one in self._annotations.get(Path(self.image_path(entry)).name, []):
            if one["iscrowd"]:
                unknown |= self._mask(one, (width, height))
        return unknown

    def _mask(self, one: dict[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
        segmentation = one["segmentation"]
        try:
            if isinstance(segmentation, dict):
                return rle.decoded(segmentation)
            rings: list[Ring] = [np.array(ring, np.float64).reshape(-1, 2) for ring in segmentation]
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise InputUnreadableError(
                f"An annotation of {self.folder} has a segmentation that cannot be read: {error}.",
                "Export the chips again.",
            ) from error
        # Each part by itself: where two touch or overlap, the even-odd rule would take their common ground out.
        return burn([[ring] for ring in rings], size) > 0

    @cached_property
    def _annotations(self) -> dict[str, list[dict[str, Any]]]:
        """All annotations by the name of their image."""
        found: dict[str, list[dict[str, Any]]] = {}
        for path in sorted((self.folder / _FOLDER).glob("instances_*.json")):
            content = read_json(path, "file of annotations")
            try:
                names = {image["id"]: image["file_name"] for image in content["images"]}
                for one in content["annotations"]:
                    found.setdefault(names[one["image_id"]], []).append(one)
            except (KeyError, TypeError) as error:
                raise InputUnreadableError(
                    f"The file of annotations {path} lacks or garbles {error}.", "Export the chips again."
                ) from error
        return found
