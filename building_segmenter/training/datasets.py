"""What training reads: one or more folders of chips that go together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.chips.dataset import ChipDataset, ChipEntry
from building_segmenter.errors import BandsError, InputUnreadableError, InvalidParameterError, NoDataError
from building_segmenter.training.resampling import resized_image, resized_labels

IGNORE = 255
"""Value of label pixels that nobody knows; they count neither in the loss nor in a metric."""

_ALIKE = 1.1
"""Ground pixels that differ by less are taken for one: every step varies the scale of its chips by more."""

_FAR_APART = 2.0


@dataclass(frozen=True)
class Chip:
    """One chip and the dataset it comes from.

    Args:
        dataset: The dataset.
        entry: The chip in it.
        zoom: How many times as many pixels it is to have each way, at the ground pixel of the run.
    """

    dataset: ChipDataset
    entry: ChipEntry
    zoom: float = 1.0

    def read(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.uint8] | None]:
        """Read image, classes and contacts as `ChipDataset.read` does, at the ground pixel of the run."""
        image, label, contact = self.dataset.read(self.entry)
        if self.zoom == 1.0:
            return image, label, contact
        contact = None if contact is None else resized_labels(contact, self.zoom)
        return resized_image(image, self.zoom), resized_labels(label, self.zoom), contact

    @property
    def title(self) -> str:
        """Name of the chip for a reader of the report."""
        return f"{self.dataset.folder.name}/{self.entry.name}"


@dataclass(frozen=True)
class TrainingData:
    """All chips of a run and what their datasets agree on.

    Args:
        datasets: The datasets, in the order they were named.
        train: Chips of each dataset to learn from, one list a dataset.
        validation: Chips to measure with.
        bands: Bands of every image.
        dtype: Data type of every image.
        statistics: `min`, `max`, `mean` and `std` of each band over all datasets.
        gsd: Ground pixel in metres that chips are read at.
        tile_size: Side of the largest chip in pixels of that size.
    """

    datasets: tuple[ChipDataset, ...]
    train: tuple[tuple[Chip, ...], ...]
    validation: tuple[Chip, ...]
    bands: int
    dtype: str
    statistics: tuple[dict[str, float], ...]
    gsd: float
    tile_size: int


def join_datasets(datasets: Sequence[ChipDataset], gsd: float | None = None) -> TrainingData:
    """Check that datasets go together and gather their chips.

    Args:
        datasets: At least one.
        gsd: Ground pixel in metres to read their chips at. None: the geometric mean of theirs.

    Raises:
        BandsError: They differ in their number of bands or in data type.
        InvalidParameterError: A ground pixel is more than twice that of the run, or less than half of it.
        InvalidParameterError: A dataset has no classes of pixels, but boxes only, or images only.
        InputUnreadableError: A dataset has no statistics for its bands.
        NoDataError: There is no chip to train with, or none to validate with.
    """
    first = datasets[0]
    for one in datasets:
        one.require("classes")
    for other in datasets[1:]:
        _check_alike(first, other)
    gsd = gsd or float(np.exp(np.mean([math.log(_ground_pixel(one)) for one in datasets])))
    zooms = [_zoom(one, gsd) for one in datasets]
    pairs = list(zip(datasets, zooms, strict=True))
    train = tuple(tuple(Chip(one, entry, zoom) for entry in one.split("train")) for one, zoom in pairs)
    validation = tuple(Chip(one, entry, zoom) for one, zoom in pairs for entry in one.split("validation"))
    _check_splits(datasets, sum(map(len, train)), len(validation))
    return TrainingData(
        datasets=tuple(datasets),
        train=train,
        validation=validation,
        bands=first.bands,
        dtype=first.dtype,
        statistics=_joined_statistics(datasets),
        gsd=gsd,
        tile_size=max(round(one.tile_size * zoom) for one, zoom in pairs),
    )


def _ground_pixel(dataset: ChipDataset) -> float:
    return math.sqrt(dataset.gsd[0] * dataset.gsd[1])


def _check_alike(first: ChipDataset, other: ChipDataset) -> None:
    if other.bands != first.bands:
        raise BandsError(
            f"The chips of {first.folder} have {first.bands} bands, those of {other.folder} have {other.bands}.",
            "Export all datasets with the same BANDS.",
        )
    if other.dtype != first.dtype:
        raise BandsError(
            f"The chips of {first.folder} are {first.dtype}, those of {other.folder} are {other.dtype}.",
            "Export all datasets from images of one data type.",
        )


def _zoom(dataset: ChipDataset, gsd: float) -> float:
    zoom = _ground_pixel(dataset) / gsd
    if not 1.0 / _FAR_APART <= zoom <= _FAR_APART:
        raise InvalidParameterError(
            f"The ground pixel of {dataset.folder}, {_ground_pixel(dataset):.3g} m, is too far from {gsd:.3g} m, which"
            " the model is to work at.",
            f"Export its chips again with GSD {gsd:.3g}, or leave this dataset out.",
        )
    return 1.0 if 1.0 / _ALIKE < zoom < _ALIKE else zoom


def _check_splits(datasets: Sequence[ChipDataset], train: int, validation: int) -> None:
    folders = ", ".join(str(one.folder) for one in datasets)
    if not train:
        raise NoDataError(f"There are no training chips in {folders}.", "Export one with VALIDATION below 1.")
    if not validation:
        raise NoDataError(
            f"There are no validation chips in {folders}, so neither the best epoch nor a threshold can be chosen.",
            "Export with VALIDATION above 0, or add a dataset exported with VALIDATION 1.",
        )


def _joined_statistics(datasets: Sequence[ChipDataset]) -> tuple[dict[str, float], ...]:
    for one in datasets:
        if len(one.statistics) != one.bands:
            raise InputUnreadableError(
                f"The dataset {one.folder} has statistics of {len(one.statistics)} bands for {one.bands} bands.",
                "Export the chips again.",
            )
    weights = np.array([max(1, len(one.split("train"))) for one in datasets], np.float64)
    return tuple(_joined_band([one.statistics[band] for one in datasets], weights) for band in range(datasets[0].bands))


def _joined_band(parts: Sequence[dict[str, float]], weights: NDArray[np.float64]) -> dict[str, float]:
    means, stds = np.array([part["mean"] for part in parts]), np.array([part["std"] for part in parts])
    mean = float(np.average(means, weights=weights))
    variance = float(np.average(stds**2 + (means - mean) ** 2, weights=weights))
    return {
        "min": float(min(part["min"] for part in parts)),
        "max": float(max(part["max"] for part in parts)),
        "mean": mean,
        "std": math.sqrt(variance),
    }
