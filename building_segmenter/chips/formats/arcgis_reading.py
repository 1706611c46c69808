"""Datasets that ArcGIS exported: what their side files say, in the terms of this program.

A folder is one when it has the EMD template, `map.txt` and the accumulated statistics. What they leave open is
concluded here, and told in `notes`: which chips are for validation, and what a pixel measures on the ground.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pyproj
from affine import Affine

from building_segmenter.chips.chip import IGNORE
from building_segmenter.chips.formats.arcgis import ACCUMULATED, DEFINITION, MAP, MODES, UNKNOWN_CLASS
from building_segmenter.chips.formats.arcgis_split import split_by_place
from building_segmenter.chips.formats.files import read_json
from building_segmenter.chips.formats.images import image_place, read_image
from building_segmenter.chips.formats.reading import ChipEntry
from building_segmenter.chips.statistics import BandFigures, image_figures
from building_segmenter.errors import InputUnreadableError
from building_segmenter.geo.ground import ground_pixel

SIDE_FILES = (MAP, DEFINITION, ACCUMULATED)
"""By these ArcGIS knows its exports."""

# Blanks stand between paths, and in names of classes.
_PATHS = re.compile(r"\s+(?=(?:images2?|labels)[\\/])", re.IGNORECASE)
_FORMATS = {mode.lower(): name for name, mode in MODES.items()}
_SAMPLED = 200
"""Images that are read where no side file has the figures of their bands."""


@dataclass(frozen=True)
class ForeignExport:
    """What is known of a dataset that ArcGIS exported. See `dataset.ChipDataset`."""

    format: str
    entries: list[ChipEntry]
    classes: list[dict[str, Any]]
    values: dict[int, int]
    gsd: tuple[float, float]
    crs: str | None
    statistics: list[BandFigures]
    notes: tuple[str, ...]


def is_arcgis_export(folder: Path) -> bool:
    """Tell whether a folder has the three files by which ArcGIS knows its exports."""
    return all((folder / name).is_file() for name in SIDE_FILES)


def read_arcgis_export(folder: Path) -> ForeignExport:
    """Read the side files of an export of ArcGIS.

    Raises:
        InputUnreadableError: One is broken, names a format that this program does not read, or names no chip.
    """
    definition = _read_object(folder / DEFINITION, "model definition")
    accumulated = _read_object(folder / ACCUMULATED, "statistics")
    name = _format(folder, definition, accumulated)
    classes, values = _classes(folder, definition, accumulated)
    entries = _entries(folder, name)
    places = [_place(folder / entry.image) for entry in entries]
    gsd, crs, notes = _ground(folder, entries[0], places[0], definition, accumulated)
    entries, split_notes = split_by_place(entries, places)
    figures = _statistics(definition, accumulated) or _sampled_figures(folder, entries)
    return ForeignExport(name, entries, classes, values, gsd, crs, figures, (*notes, *split_notes))


def _read_object(path: Path, what: str) -> dict[str, Any]:
    content = read_json(path, what)
    if not isinstance(content, dict):
        raise InputUnreadableError(f"The {what} {path} is no JSON object.", "Export the chips again.")
    return content


def _format(folder: Path, definition: Mapping[str, Any], accumulated: Mapping[str, Any]) -> str:
    mode = accumulated.get("MetaDataMode") or definition.get("MetaDataMode") or "none"
    name = _FORMATS.get(str(mode).lower())
    if name is None:
        raise InputUnreadableError(
            f"The chips of {folder} are of ArcGIS' format {mode}, which this program does not read.",
            f"Export them as one of {', '.join(MODES.values())}.",
        )
    return name


def _classes(
    folder: Path, definition: Mapping[str, Any], accumulated: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], dict[int, int]]:
    """Return the classes but for ground, and the change of values where they do not fit 1..254.

    0 is ground here, and 255 unknown; in ArcGIS 255 may be a class as any other, unless its name says that this
    program wrote it.
    """
    try:
        listed = [(int(one["Value"]), str(one["Name"]), one.get("Color")) for one in definition.get("Classes", [])]
        if not listed:
            listed = [(int(one["ClassValue"]), str(one["ClassName"]), None) for one in accumulated.get("Classes", [])]
    except (KeyError, TypeError, ValueError) as error:
        raise InputUnreadableError(
            f"The classes of {folder / DEFINITION} lack or garble {error}.", "Export the chips again."
        ) from error
    values = {}
    if (IGNORE, UNKNOWN_CLASS) in [one[:2] for one in listed]:
        values[IGNORE] = IGNORE
    listed = [one for one in listed if one[0] not in (0, *values)]
    if not all(0 < value < IGNORE for value, *_ in listed):
        values |= {value: number for number, (value, *_) in enumerate(listed, 1)}
    classes = [
        {"value": values.get(value, value), "name": name, "folder": name, "color": color}
        for value, name, color in listed
    ]
    return classes, values


def _entries(folder: Path, name: str) -> list[ChipEntry]:
    try:
        lines = (folder / MAP).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise InputUnreadableError(f"{folder / MAP} cannot be read: {error}.", "Export the chips again.") from error
    entries = []
    for line in lines:
        paths = [PureWindowsPath(path).as_posix() for path in _PATHS.split(line.strip())]
        if paths != ["."]:
            labels = tuple(path for path in paths[1:] if path.split("/")[0].lower() != "images2")
            labels = _found_labels(folder, name, paths[0], labels)
            entries.append(ChipEntry(Path(paths[0]).stem, "train", paths[0], labels))
    if not entries:
        raise InputUnreadableError(f"{folder / MAP} names no chips.", "Export the chips again.")
    return entries


def _found_labels(folder: Path, name: str, image: str, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels of a chip; in some exports `map.txt` does not name what lies in the folders."""
    if labels or name not in ("pascal-voc", "labeled-tiles", "kitti"):
        return labels
    ending = ".txt" if name == "kitti" else ".xml"
    beside = f"labels/{Path(image).stem}{ending}"
    return (beside,) if (folder / beside).is_file() else ()


@dataclass(frozen=True)
class Place:
    """Where an image lies, by its header and world file."""

    transform: Affine
    crs: Any
    size: tuple[int, int]

    @property
    def is_known(self) -> bool:
        """Whether the image is georeferenced at all."""
        return not self.transform.is_identity


def _place(path: Path) -> Place | None:
    """Return where an image lies, or None where there is no such file; what is missing is told later, all at once."""
    return Place(*image_place(path)) if path.is_file() else None


def _ground(
    folder: Path,
    entry: ChipEntry,
    place: Place | None,
    definition: Mapping[str, Any],
    accumulated: Mapping[str, Any],
) -> tuple[tuple[float, float], str | None, list[str]]:
    """Return the ground pixel in metres, the CRS as WKT, and what was concluded."""
    cells = (definition.get("MinCellSize"), accumulated.get("MinCellSize"))
    cell = next((one for one in cells if isinstance(one, dict)), {})
    crs = (place.crs if place else None) or _crs_of(cell.get("spatialReference") or {})
    if place is not None and place.is_known and crs is not None:
        step, (width, height) = place.transform, place.size
        corners = [step @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))]
        xs, ys = zip(*corners, strict=True)
        gsd = ground_pixel(crs, (step.a, step.d), (step.b, step.e), (min(xs), min(ys), max(xs), max(ys)))
        return gsd, pyproj.CRS.from_user_input(crs).to_wkt(), []
    if place is not None and place.is_known:
        step = place.transform
        sides = float(np.hypot(step.a, step.d)), float(np.hypot(step.b, step.e))
        source = f"the world file of {entry.image}"
    elif _has_numbers(cell, ("x", "y")):
        sides, source = (float(cell["x"]), float(cell["y"])), DEFINITION
    else:
        raise InputUnreadableError(
            f"Nothing in {folder} tells how large a pixel is: no CRS, world file or cell size.",
            "Export the chips again as TIFF, or put the world files back beside the images.",
        )
    factor, unit = (1.0, "metres") if crs is None else _unit(folder, crs)
    note = (
        f"The chips of {folder} lie nowhere: their pixel of {sides[0]:g} x {sides[1]:g} in {source} is taken as {unit}."
    )
    return (sides[0] * factor, sides[1] * factor), None, [note]


def _crs_of(reference: Mapping[str, Any]) -> Any:
    """Return the CRS of a spatial reference in ArcGIS' JSON, or None."""
    candidates: list[Any] = [("EPSG", reference[key]) for key in ("latestWkid", "wkid") if reference.get(key)]
    candidates += [("ESRI", reference["wkid"])] if reference.get("wkid") else []
    candidates += [reference["wkt"]] if reference.get("wkt") else []
    for candidate in candidates:
        try:
            return pyproj.CRS.from_user_input(candidate)
        except pyproj.exceptions.CRSError:
            continue
    return None


def _unit(folder: Path, crs: pyproj.CRS) -> tuple[float, str]:
    if not crs.is_projected:
        raise InputUnreadableError(
            f"The pixels of {folder} are measured in degrees, and nothing tells where they lie.",
            "Put the world files back beside the images, or export the chips again as TIFF.",
        )
    axis = crs.axis_info[0]
    return float(axis.unit_conversion_factor), f"{axis.unit_name} of {crs.name}"


def _statistics(definition: Mapping[str, Any], accumulated: Mapping[str, Any]) -> list[BandFigures]:
    """Return the figures of the bands from the side file that has them, or nothing."""
    tiles = definition.get("AllTilesStats") or []
    keys = {"min": "Min", "max": "Max", "mean": "Mean", "std": "StdDev"}
    # A template says "e.g." where it has no figures.
    if isinstance(tiles, list) and tiles and all(_has_numbers(band, keys.values()) for band in tiles):
        return [{ours: float(band[theirs]) for ours, theirs in keys.items()} for band in tiles]
    normal = definition.get("NormalizationStats") or {}
    columns = [normal.get(f"band_{name}_values") for name in ("min", "max", "mean", "std")]
    if all(columns):
        bands = zip(*columns, strict=True)  # type: ignore[arg-type]
        return [dict(zip(keys, map(float, band), strict=True)) for band in bands]
    states = accumulated.get("BandStatsState") or []
    if states and all(_has_numbers(state, ("Min", "Max", "M1", "M2", "Num")) and state["Num"] for state in states):
        return [
            {
                "min": float(state["Min"]),
                "max": float(state["Max"]),
                "mean": float(state["M1"]),
                "std": float((state["M2"] / state["Num"]) ** 0.5),
            }
            for state in states
        ]
    return []


def _has_numbers(band: Any, keys: Iterable[str]) -> bool:
    return isinstance(band, dict) and all(isinstance(band.get(key), int | float) for key in keys)


def _sampled_figures(folder: Path, entries: Sequence[ChipEntry]) -> list[BandFigures]:
    there = [entry for entry in entries if (folder / entry.image).is_file()]
    every = max(1, len(there) // _SAMPLED)
    return image_figures(read_image(folder / entry.image) for entry in there[::every])
