"""What of a raster band is inside, and its rows as excess over that level."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from building_segmenter.errors import BandsError, InputUnreadableError, InvalidParameterError
from building_segmenter.footprints.contours.marching import Excess
from building_segmenter.progress import Progress

_READ_PIXELS = 1 << 22
_BAND_PIXELS = 1 << 20

# Resampling may overshoot 0 and 1 a little; beyond this the values are no probabilities.
_OVERSHOOT = 0.25

# A band of integers with more values than this among every so many pixels is hardly a mask.
_MOST_CLASSES, _SAMPLE_STEP = 32, 4


@dataclass(frozen=True)
class Field:
    """The rule that tells what of a band is inside. Made by `field_of`.

    Args:
        band: The band, counted from 1.
        value: For a mask: the stored value that is inside, or None for every value but 0.
        cut: For probabilities: the stored value where inside begins, or None for a mask. Between two values that
            the raster can hold where those are integers; a float equal to it is inside.
        scale: Probability of one stored unit.
        level: Probability at `cut`.
    """

    band: int
    value: int | None
    cut: float | None
    scale: float = 1.0
    level: float = 0.5

    @property
    def is_mask(self) -> bool:
        """Whether pixels are in or out, with nothing between."""
        return self.cut is None

    def excess(self, stored: NDArray[Any], valid: NDArray[np.bool_] | None) -> Excess:
        """Return the excess over the level of stored values (any shape); NaN where not valid."""
        if self.cut is None:
            inside = stored != 0 if self.value is None else stored == self.value
            excess = np.where(inside, np.float32(0.5), np.float32(-0.5))
        else:
            wide = stored.dtype if stored.dtype.kind == "f" else np.float32 if stored.itemsize <= 2 else np.float64
            # NumPy rounds a Python number to the array's type, so that a stored 0.7 equals the threshold 0.7.
            excess = stored.astype(wide, copy=False) - self.cut
            excess *= self.scale
            excess = excess.astype(np.float32, copy=False)
        if valid is not None and not valid.all():
            excess[~valid] = np.nan
        return excess


def field_of(dataset: DatasetReader, band: int, threshold: float, value: int | None) -> Field:
    """Return what is inside in a band of an open raster.

    Args:
        dataset: Probabilities (floats 0..1, or integers with a scale) or a mask.
        band: Band, counted from 1.
        threshold: Probability from which a pixel is inside.
        value: The value that is inside in a mask. None: probabilities, or a mask of every value but 0 where the band
            holds integers without a scale.

    Raises:
        BandsError: There is no such band, or it holds complex numbers.
        InvalidParameterError: `value` is the raster's nodata value.
    """
    if not 1 <= band <= dataset.count:
        raise BandsError(f"BAND is {band}; the raster {dataset.name} has {dataset.count}.", "Choose one that it has.")
    kind, nodata = np.dtype(dataset.dtypes[band - 1]), dataset.nodatavals[band - 1]
    scale, offset = float(dataset.scales[band - 1]), float(dataset.offsets[band - 1])
    if kind.kind == "c":
        raise BandsError(f"Band {band} of {dataset.name} holds complex numbers.", "Choose a band of real numbers.")
    if value is not None and nodata == value:
        raise InvalidParameterError(
            f"VALUE is {value}, which is the nodata value of {dataset.name}.",
            "Choose another value, or unset nodata (gdal_edit.py -unsetnodata).",
        )
    if value is not None or (kind.kind in "iub" and (scale, offset) == (1.0, 0.0)) or scale == 0.0:
        return Field(band, value, None)
    if kind.kind == "f":
        return Field(band, None, (threshold - offset) / scale, scale, threshold)
    cut = _between_integers((threshold - offset) / scale, scale)
    return Field(band, None, cut, scale, cut * scale + offset)


def excess_bands(dataset: DatasetReader, field: Field, progress: Progress) -> Iterator[Excess]:
    """Read a raster from top to bottom as bands of excess over the level.

    Rows are read by whole blocks of the file and handed out in smaller bands. Memory: some four million pixels, or
    one row of blocks.

    Yields:
        Arrays (rows, width), as `contours.marching` takes them.

    Raises:
        InputUnreadableError: Reading breaks off; names the rows.
        InvalidParameterError: The values are no probabilities.
        CancelledError: The user asked to stop.
    """
    height, width = dataset.shape
    rows = _rows_per_read(dataset, field.band)
    rows_per_band = max(1, _BAND_PIXELS // width)
    warned = not field.is_mask or field.value is not None
    for first in range(0, height, rows):
        progress.update(first / height, "Tracing outlines")
        stored, valid = _read(dataset, field.band, first, min(first + rows, height))
        if not warned and _looks_graded(stored):
            warned = True
            progress.warn(
                f"Band {field.band} of {dataset.name} holds many values without a scale: every value but 0 is inside."
                " If these are probabilities, set the scale of the raster (gdal_edit.py -scale); for a mask, VALUE."
            )
        for top in range(0, len(stored), rows_per_band):
            band = slice(top, top + rows_per_band)
            excess = field.excess(stored[band], None if valid is None else valid[band])
            if not field.is_mask:
                _check_probabilities(dataset, field, excess)
            yield excess
    progress.update(1.0, "Tracing outlines")


def class_bands(dataset: DatasetReader, bands: tuple[int, ...], progress: Progress) -> Iterator[Excess]:
    """Read the probabilities of classes from top to bottom.

    Args:
        dataset: One band for each class, floats or integers with a scale; what the classes leave is the background.
        bands: The bands, counted from 1.
        progress: Told how far it is.

    Yields:
        Arrays (1 + bands, rows, width) of probabilities, that of the background first; NaN where any is nodata.
        Memory as for `excess_bands`, for each band.

    Raises:
        InputUnreadableError: Reading breaks off; names the rows.
        CancelledError: The user asked to stop.
    """
    fields = [Field(band, None, *_stored_zero(dataset, band)) for band in bands]
    height, width = dataset.shape
    rows = max(1, _rows_per_read(dataset, bands[0]) // len(bands))
    rows_per_band = max(1, _BAND_PIXELS // (width * len(bands)))
    for first in range(0, height, rows):
        progress.update(first / height, "Tracing outlines")
        stored = [_read(dataset, band, first, min(first + rows, height)) for band in bands]
        for top in range(0, len(stored[0][0]), rows_per_band):
            part = slice(top, top + rows_per_band)
            planes = np.stack([
                field.excess(values[part], None if valid is None else valid[part])
                for field, (values, valid) in zip(fields, stored, strict=True)
            ])  # fmt: skip
            planes[:, np.isnan(planes).any(axis=0)] = np.nan
            yield np.concatenate([np.maximum(1 - planes.sum(axis=0, keepdims=True), 0), planes])
    progress.update(1.0, "Tracing outlines")


def _stored_zero(dataset: DatasetReader, band: int) -> tuple[float, float, float]:
    """Return the stored value of probability 0, the probability of one stored unit, and 0 as the level."""
    scale = float(dataset.scales[band - 1]) or 1.0
    return -float(dataset.offsets[band - 1]) / scale, scale, 0.0


def _between_integers(number: float, scale: float) -> float:
    # A scale such as 1/254 is not exact: without the hair's breadth k/254 would for some k become k + 1.
    hair = 1e-6
    return math.ceil(number - hair) - 0.5 if scale > 0 else math.floor(number + hair) + 0.5


def _rows_per_read(dataset: DatasetReader, band: int) -> int:
    block, width = int(dataset.block_shapes[band - 1][0]), int(dataset.width)
    if block * width > 4 * _READ_PIXELS:
        return max(1, _READ_PIXELS // width)
    return block * max(1, _READ_PIXELS // (block * width))


def _read(dataset: DatasetReader, band: int, first: int, stop: int) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    window = Window(0, first, dataset.width, stop - first)
    try:
        stored = dataset.read(band, window=window)
        valid = valid_pixels(dataset, band, window, stored)
    except RasterioError as error:
        raise InputUnreadableError(
            f"The raster {dataset.name} cannot be read in rows {first + 1} to {stop}: {error}",
            "The file is damaged or was not copied to its end: copy or make it again.",
        ) from error
    return stored, valid


def valid_pixels(dataset: DatasetReader, band: int, window: Window, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return where the stored values of a window are valid; None for everywhere. Nodata of integers costs no reading.

    Args:
        dataset: The open raster.
        band: Band, counted from 1.
        window: Of the raster.
        stored: What was read there.
    """
    flags, nodata = dataset.mask_flag_enums[band - 1], dataset.nodatavals[band - 1]
    if MaskFlags.all_valid in flags:
        return None
    if flags == [MaskFlags.nodata] and stored.dtype.kind in "iu" and nodata is not None:
        valid: NDArray[np.bool_] = stored != nodata
        return valid
    return np.asarray(dataset.read_masks(band, window=window) != 0)


def _check_probabilities(dataset: DatasetReader, field: Field, excess: Excess) -> None:
    low = field.level + float(np.fmin.reduce(excess, axis=None))
    high = field.level + float(np.fmax.reduce(excess, axis=None))
    # Without a known pixel both are no numbers, and none of this is true.
    if low < -_OVERSHOOT or high > 1 + _OVERSHOOT:
        raise InvalidParameterError(
            f"Band {field.band} of {dataset.name} holds values from {low:g} to {high:g}; THRESHOLD is for"
            " probabilities from 0 to 1.",
            "For a mask name the value that is inside with VALUE; else scale the raster to 0..1 first.",
        )


def _looks_graded(stored: NDArray[Any]) -> bool:
    sample = stored[::_SAMPLE_STEP, ::_SAMPLE_STEP]
    return len(np.unique(sample)) > _MOST_CLASSES
