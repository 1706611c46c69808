"""The parts of a training's report that tell of several classes."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.reports import pictures
from building_segmenter.reports.page import escape, table

_UNKNOWN = 255
_SHARE_OF_COLOUR = 0.55
# About the golden section: neighbours in the list differ most, and no colour comes twice.
_HUE_STEP = 0.382


@dataclass(frozen=True)
class ClassFigures:
    """How the classes were told apart on validation chips.

    Args:
        names: Of the channels, the background first.
        confusion: Pixels by class in truth (rows) and prediction (columns).
        metrics: Metrics of each class that occurs, by its name.
    """

    names: Sequence[str]
    confusion: NDArray[np.int64]
    metrics: Mapping[str, Mapping[str, float]]


def class_tables(figures: ClassFigures, metric_names: Mapping[str, str]) -> str:
    """Return the metrics of each class and the confusion matrix.

    Args:
        figures: Of the validation chips.
        metric_names: What each metric is called in the page.
    """
    rows: list[list[Any]] = []
    for index, name in enumerate(figures.names[1:], start=1):
        measured = figures.metrics.get(name, {})
        pixels = int(figures.confusion[index].sum())
        rows.append([name, *(measured.get(metric, "does not occur") for metric in metric_names), pixels])
    head = ("Class", *metric_names.values(), "Pixels in truth")
    matrix = [
        [name, *(_cell(int(count), int(line.sum())) for count in line)]
        for name, line in zip(figures.names, figures.confusion, strict=True)
    ]
    called = ("In truth", *(f"called {name}" for name in figures.names))
    return table(rows, head, "Classes") + table(matrix, called, "Confusion: pixels, and their share of the row")


def class_pictures(
    image: NDArray[np.uint8], label: NDArray[np.uint8], called: NDArray[np.uint8], title: str, iou: float
) -> str:
    """Return a chip, its truth and what was predicted as three figures.

    Args:
        image: (H, W, bands) bytes.
        label: (H, W) channel numbers in truth, 255 not judged.
        called: (H, W) channel numbers in the prediction.
        title: Name of the chip.
        iou: Mean IoU of its classes.
    """
    return (
        f'<div class="row">{pictures.picture(pictures.as_rgb(image), title)}'
        f"{pictures.picture(_painted(image, label), 'truth')}"
        f"{pictures.picture(_painted(image, called), f'prediction, mean IoU {iou:.3f}')}</div>"
    )


def class_key(names: Sequence[str]) -> str:
    """Return a legend of the classes, the background first: it has no colour."""
    entries = [(_colour(number), name) for number, name in enumerate(names) if number]
    return "".join(
        f'<span class="key" style="background:rgb{colour}"></span>{escape(name)}'
        for colour, name in [*entries, (pictures.UNKNOWN, "not judged")]
    )


def _cell(count: int, whole: int) -> str:
    return f"{count:,} ({count / whole:.1%})" if whole else "0"


def _colour(number: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb((number - 1) * _HUE_STEP % 1.0, 0.75, 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


def _painted(image: NDArray[np.uint8], numbers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = np.repeat(pictures.as_rgb(image).mean(axis=-1, keepdims=True), 3, axis=-1)
    for number in np.unique(numbers[numbers > 0]):
        colour = pictures.UNKNOWN if number == _UNKNOWN else _colour(int(number))
        mask = numbers == number
        grey[mask] = (1 - _SHARE_OF_COLOUR) * grey[mask] + _SHARE_OF_COLOUR * np.array(colour)
    return grey.astype(np.uint8)
