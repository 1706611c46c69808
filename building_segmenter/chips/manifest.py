"""`dataset.json`, the manifest of an export: what the side files of its format do not say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from building_segmenter import __version__
from building_segmenter.chips.chip import IGNORE, ExportFacts, WrittenChip
from building_segmenter.chips.formats.arcgis import class_folders
from building_segmenter.chips.formats.files import read_json, write_text
from building_segmenter.chips.statistics import ExportStatistics
from building_segmenter.errors import InputNotFoundError, InputUnreadableError

MANIFEST = "dataset.json"
VERSION = 1


def write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """Write the manifest of an export.

    Args:
        folder: The export.
        facts: Ready for JSON; `chips` has one dictionary a chip and stands last, a line a chip.
    """
    head = {"version": VERSION, "engine": __version__} | {key: facts[key] for key in facts if key != "chips"}
    lines = ",\n  ".join(json.dumps(chip, ensure_ascii=False) for chip in facts["chips"])
    opened = json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}")
    write_text(folder / MANIFEST, f'{opened},\n "chips": [\n  {lines}\n ]\n}}\n')


def write_export_manifest(
    folder: Path, facts: ExportFacts, entries: Sequence[WrittenChip], statistics: ExportStatistics
) -> None:
    """Write the manifest of an export as its format's writer knows it."""
    splits = Counter(entry.split for entry in entries)
    seconds: dict[str, Any] = {}
    if facts.image2 is not None:
        seconds = {"image2": _image(facts.image2), "statistics2": statistics.bands2}
    content: dict[str, Any] = {
        "format": facts.format,
        "image_format": facts.image_format,
        "tile_size": _one_or_two(facts.tile_size),
        "stride": _one_or_two(facts.stride),
        "rotation": facts.rotation,
        "crs": None if facts.crs is None else facts.crs.to_wkt(),
        "gsd": list(facts.gsd),
        "dtype": facts.image.dtype,
        "image": _image(facts.image),
        "statistics": statistics.bands,
        **seconds,
        "classes": _classes(facts, statistics),
        "counts": {"chips": len(entries), **splits, "objects": int(statistics.features_per_image.total)},
        "unknown_pixels": int(statistics.unknown.pixels.total),
        **facts.choices,
        "sources": dict(facts.sources),
        "chips": [_chip(entry) for entry in entries],
    }
    write_manifest(folder, content)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of an export.

    Raises:
        InputNotFoundError: The folder or its manifest does not exist.
        InputUnreadableError: The manifest is broken or of a later version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        missing = (
            f"The dataset {folder} does not exist."
            if not folder.is_dir()
            else f"The folder {folder} has no {MANIFEST}."
        )
        raise InputNotFoundError(missing, "Choose a folder made by Export training chips.")
    content = read_json(path, "manifest")
    if not isinstance(content, dict) or "version" not in content:
        raise InputUnreadableError(f"The manifest {path} is broken: it has no version.", "Export the chips again.")
    if content["version"] != VERSION:
        raise InputUnreadableError(
            f"The manifest {path} is of version {content['version']}; this program reads version {VERSION}.",
            "Update Building Segmenter, or export the chips again.",
        )
    return content


def _image(image: Any) -> dict[str, Any]:
    return {"dtype": image.dtype, "bands": list(image.band_names), "nodata": image.nodata}


def _one_or_two(pair: tuple[int, int]) -> int | list[int]:
    return pair[0] if pair[0] == pair[1] else list(pair)


def _classes(facts: ExportFacts, statistics: ExportStatistics) -> list[dict[str, Any]]:
    folders = class_folders(facts.classes)
    return [
        {
            "value": one.value,
            "name": one.name,
            "color": list(one.color),
            "folder": folders[one.value],
            "chips": max(figures.images, figures.feature_images),
            "pixels": int(figures.pixels.total),
            "objects": int(figures.areas.count),
        }
        for one, figures in zip(facts.classes, statistics.classes, strict=True)
    ]


def _chip(entry: WrittenChip) -> dict[str, Any]:
    pixels = {value: count for value, count in entry.statistics["pixels"].items() if value != str(IGNORE)}
    return {
        "name": entry.name,
        "split": entry.split,
        "angle": entry.angle,
        "transform": entry.statistics["transform"],
        "pixels": pixels,
        "unknown": entry.statistics["pixels"].get(str(IGNORE), 0),
        "objects": sum(int(spread[0]) for spread in entry.statistics["areas"].values()),
    }
