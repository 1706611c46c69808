"""What training reads: one or more folders of chips that go together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from building_segmenter.chips.dataset import ChipDataset, ChipEntry
from building_segmenter.errors import BandsError, InputUnreadableError, InvalidParameterError, NoDataError

IGNORE = 255
"""Value of label pixels that nobody knows; they count neither in the loss nor in a metric."""

_GSD_TOLERANCE = 0.25


@dataclass(frozen=True)
class Chip:
    """One chip and the dataset it comes from."""

    dataset: ChipDataset
    entry: ChipEntry

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
        gsd: Ground pixel in metres.
        tile_size: Side of the largest chip in pixels.
    """

    datasets: tuple[ChipDataset, ...]
    train: tuple[tuple[Chip, ...], ...]
    validation: tuple[Chip, ...]
    bands: int
    dtype: str
    statistics: tuple[dict[str, float], ...]
    gsd: float
    tile_size: int


def join_datasets(datasets: Sequence[ChipDataset]) -> TrainingData:
    """Check that datasets go together and gather their chips.

    Raises:
        BandsError: They differ in their number of bands or in data type.
        InvalidParameterError: Their ground pixels differ by more than a quarter.
        InvalidParameterError: A dataset has no classes of pixels, but boxes only, or images only.
        InputUnreadableError: A dataset has no statistics for its bands.
        NoDataError: There is no chip to train with, or none to validate with.
    """
    first = datasets[0]
    for one in datasets:
        one.require("classes")
    for other in datasets[1:]:
        _check_alike(first, other)
    _check_ground_pixels(datasets)
    train = tuple(tuple(Chip(one, entry) for entry in one.split("train")) for one in datasets)
    validation = tuple(Chip(one, entry) for one in datasets for entry in one.split("validation"))
    _check_splits(datasets, sum(map(len, train)), len(validation))
    return TrainingData(
        datasets=tuple(datasets),
        train=train,
        validation=validation,
        bands=first.bands,
        dtype=first.dtype,
        statistics=_joined_statistics(datasets),
        gsd=float(np.exp(np.mean([math.log(_ground_pixel(one)) for one in datasets]))),
        tile_size=max(one.tile_size for one in datasets),
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


def _check_ground_pixels(datasets: Sequence[ChipDataset]) -> None:
    finest, coarsest = min(datasets, key=_ground_pixel), max(datasets, key=_ground_pixel)
    if _ground_pixel(coarsest) > _ground_pixel(finest) * (1 + _GSD_TOLERANCE):
        raise InvalidParameterError(
            f"The ground pixels are too far apart: {_ground_pixel(finest):.3g} m in {finest.folder},"
            f" {_ground_pixel(coarsest):.3g} m in {coarsest.folder}.",
            "Export all datasets with the same GSD.",
        )


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
