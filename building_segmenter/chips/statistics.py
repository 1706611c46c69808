"""Figures over chips: what is counted on each, and what side files and manifest say of all together.

A chip is counted once, when it is written; its figures are small and ready for JSON, so that an export which was
stopped goes on without reading its chips again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.chips.buffers import thread_array
from building_segmenter.chips.chip import IGNORE, Chip, ChipClass
from building_segmenter.chips.sums import plane_sums

BandFigures = dict[str, float]
"""min, max, mean and std of a band."""


@dataclass(frozen=True)
class Spread:
    """Of one figure over many chips or objects."""

    count: int
    low: float
    high: float
    total: float

    @property
    def mean(self) -> float:
        """Mean, 0 where there is nothing."""
        return self.total / self.count if self.count else 0.0

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Measure values."""
        return Spread(len(values), min(values, default=0), max(values, default=0), sum(values))


@dataclass(frozen=True)
class ClassFigures:
    """What a class has on all chips.

    Args:
        value: Class value.
        images: Chips with pixels of it.
        pixels: Pixels a chip, over all chips.
        feature_images: Chips with objects of it.
        areas: Areas of its objects on chips, in square units of the CRS.
    """

    value: int
    images: int
    pixels: Spread
    feature_images: int
    areas: Spread


@dataclass(frozen=True)
class ExportStatistics:
    """Figures of a whole export.

    Args:
        chips: Number of chips.
        bands: Of the images, over their known pixels.
        bands2: Of the second images; empty where there are none.
        classes: Of each class, in the order of the facts.
        unknown: Of the pixels that nobody knows.
        classes_per_image: Classes with pixels, over all chips; unknown pixels count as one more.
        features_per_image: Objects, over the chips that have any.
        cell: Smallest and largest width and height of a pixel in units of the CRS, as ((x, y), (x, y)).
        known_pixels: Pixels behind `bands`.
    """

    chips: int
    bands: list[BandFigures]
    bands2: list[BandFigures]
    classes: tuple[ClassFigures, ...]
    unknown: ClassFigures
    classes_per_image: Spread
    features_per_image: Spread
    cell: tuple[tuple[float, float], tuple[float, float]]
    known_pixels: int


def chip_statistics(chip: Chip, classes: Sequence[ChipClass]) -> dict[str, Any]:
    """Count a chip.

    Returns:
        Ready for JSON: `transform`, `pixels` by class value (255: unknown), `areas` of objects by class value in
        square units of the CRS as [count, low, high, total], and for each band of `bands` (and `bands2`)
        [minimum, maximum, mean, sum of squared deviations] over the `known` pixels.
    """
    unknown = int(np.count_nonzero(chip.label == IGNORE))
    values = sorted({chip_object.value for chip_object in chip.objects})
    pixels = {str(value): int(np.count_nonzero(chip.label == value)) for value in values}
    pixels |= {str(IGNORE): unknown} if unknown else {}
    known = None if unknown in (0, chip.label.size) else chip.label != IGNORE
    return {
        "transform": list(chip.transform[:6]),
        "pixels": {value: count for value, count in pixels.items() if count},
        "areas": _areas(chip),
        "known": chip.label.size - (unknown if known is not None else 0),
        "bands": _band_figures(chip.image, known),
        **({} if chip.image2 is None else {"bands2": _band_figures(chip.image2, known)}),
    }


def summarize(statistics: Iterable[dict[str, Any]], classes: Sequence[ChipClass]) -> ExportStatistics:
    """Put the figures of chips together."""
    chips = list(statistics)
    counts = [[part["areas"][value][0] for value in part["areas"]] for part in chips]
    present = [len(part["pixels"]) for part in chips]
    transforms = np.array([part["transform"] for part in chips], np.float64).reshape(-1, 6)
    cells = np.hypot(transforms[:, [0, 1]], transforms[:, [3, 4]])
    return ExportStatistics(
        chips=len(chips),
        bands=_joined(chips, "bands"),
        bands2=_joined(chips, "bands2"),
        classes=tuple(_class_figures(chips, one.value) for one in classes),
        unknown=_class_figures(chips, IGNORE),
        classes_per_image=Spread.of(present),
        features_per_image=Spread.of([sum(count) for count in counts if count]),
        cell=(_pair(cells.min(axis=0)), _pair(cells.max(axis=0))) if len(chips) else ((0.0, 0.0), (0.0, 0.0)),
        known_pixels=sum(part["known"] for part in chips),
    )


def image_figures(images: Iterable[NDArray[Any]]) -> list[BandFigures]:
    """Return the figures of the bands of images (height, width, bands)."""
    parts = [{"known": image[..., 0].size, "bands": _band_figures(image, None)} for image in images]
    return _joined(parts, "bands")


def _areas(chip: Chip) -> dict[str, list[float]]:
    if not chip.objects:
        return {}
    areas = shapely.area([one.polygon for one in chip.objects]) * abs(chip.transform.determinant)
    values = np.array([one.value for one in chip.objects])
    spreads = {}
    for value in np.unique(values):
        part = areas[values == value]
        spreads[str(value)] = [len(part), float(part.min()), float(part.max()), float(part.sum())]
    return spreads


def _band_figures(image: NDArray[Any], known: NDArray[np.bool_] | None) -> list[list[float]]:
    planes = np.moveaxis(image, -1, 0)
    if known is not None:
        planes = np.stack([plane[known] for plane in planes])[:, None]
    if planes.dtype.kind in "iu" and planes.itemsize <= 2:
        measured: list[list[float]] = plane_sums(planes).tolist()
        return measured
    sums = planes.sum(axis=(1, 2), dtype=np.float64)
    pixels = planes[0].size
    away = thread_array(planes.shape, np.float64)
    np.copyto(away, planes, casting="unsafe")
    away -= (sums / pixels)[:, None, None]
    deviations = np.einsum("brc,brc->br", away, away).sum(axis=1, dtype=np.float64)
    columns = (planes.min(axis=(1, 2)), planes.max(axis=(1, 2)), sums / pixels, deviations)
    return [[float(value) for value in band] for band in zip(*columns, strict=True)]


def _joined(parts: Sequence[dict[str, Any]], key: str) -> list[BandFigures]:
    figures = np.array([part[key] for part in parts if key in part], np.float64)
    if figures.size == 0:
        return []
    weights = np.array([part["known"] for part in parts if key in part], np.float64)[:, None]
    low, high, means, deviations = np.moveaxis(figures, -1, 0)
    mean = (means * weights).sum(axis=0) / weights.sum()
    spread = deviations.sum(axis=0) + (weights * (means - mean) ** 2).sum(axis=0)
    columns = (low.min(axis=0), high.max(axis=0), mean, np.sqrt(spread / weights.sum()))
    names = ("min", "max", "mean", "std")
    return [dict(zip(names, map(float, band), strict=True)) for band in zip(*columns, strict=True)]


def _class_figures(chips: Sequence[dict[str, Any]], value: int) -> ClassFigures:
    key = str(value)
    pixels = [part["pixels"].get(key, 0) for part in chips]
    spreads = [part["areas"][key] for part in chips if key in part["areas"]]
    counts, lows, highs, totals = (list(column) for column in zip(*spreads, strict=True)) if spreads else ([],) * 4
    areas = Spread(int(sum(counts)), min(lows, default=0.0), max(highs, default=0.0), sum(totals))
    return ClassFigures(value, sum(count > 0 for count in pixels), Spread.of(pixels), len(spreads), areas)


def _pair(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values[0]), float(values[1])
