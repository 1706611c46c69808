"""What fails in a tile, told with where in the image it lies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from building_segmenter.errors import InputUnreadableError, ModelError
from building_segmenter.rasters.grid import Axis, ModelGrid
from building_segmenter.rasters.overlay import Window
from building_segmenter.rasters.source import words_of


@contextmanager
def told_where(image: str, grid: ModelGrid, window: Window) -> Iterator[None]:
    """Add to what fails in the block where in the image it did.

    Args:
        image: Name of the image.
        grid: Its grid of model pixels.
        window: The tile (column, row, width, height) in model pixels.

    Raises:
        InputUnreadableError: Reading failed.
        ModelError: The network failed.
    """
    try:
        yield
    except RasterioError as error:
        raise InputUnreadableError(
            f"The image {image} cannot be read at {place_in_image(grid, window)}: {words_of(error)}",
            "Check that it opens in QGIS; a file that breaks off was probably not copied to its end. Copy it again, or"
            " leave the place out with EXTENT or AREA.",
        ) from error
    except ModelError as error:
        message = f"{error.message.rstrip('.')}, at {place_in_image(grid, window)} of the image {image}."
        raise type(error)(message, error.hint) from error


def checked_numbers(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a network gave, if all of it are numbers.

    Raises:
        ModelError: Any is infinite or none; bytes would make a probability of it.
    """
    # A sum tells of any of them in a tenth of the time that a look at each takes.
    if not math.isfinite(probability.sum()):
        raise ModelError(
            "The network gave values that are no numbers.",
            "Its weights are damaged, or too large for the arithmetic: try INFERENCE_PRECISION f32, or another model.",
        )
    return probability


def place_in_image(grid: ModelGrid, window: Window) -> str:
    """Return a window of model pixels in words, as rows and columns of the image, counted from 0."""
    left, right = _pixels(grid.columns, window[0], window[2], mirrored=False)
    top, bottom = _pixels(grid.rows, window[1], window[3], mirrored=grid.mirrored)
    return f"rows {top} to {bottom}, columns {left} to {right}"


def _pixels(axis: Axis, first: int, count: int, *, mirrored: bool) -> tuple[int, int]:
    """Return the first and the last pixel of the image under a run of model pixels."""
    start = axis.offset + first * axis.factor
    stop = start + count * axis.factor
    if mirrored:
        start, stop = axis.length - stop, axis.length - start
    return max(int(start), 0), min(max(round(stop) - 1, 0), axis.length - 1)
