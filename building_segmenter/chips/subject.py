"""Chips of one object each, as the format labeled-tiles has them: cut for one footprint, whatever else they show."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from shapely.affinity import translate

from building_segmenter.chips.chip import IGNORE, Chip, ChipObject
from building_segmenter.rasters.overlay import PixelPolygons

_NO_PIXEL = 1e-6
"""Part of a pixel that is rounding."""


def shown_alone(chip: Chip, subject: int, *, blacken: bool, crop: bool) -> Chip | None:
    """Return a chip whose only object is the one that it was cut for.

    `blacken` and `crop` are BLACKEN_AROUND_FEATURE and the crop mode BOUNDING_BOX of ArcGIS' Export Training Data For
    Deep Learning (pro.arcgis.com, Spatial Analyst tools).

    Args:
        chip: A chip without second image.
        subject: Id of the object.
        blacken: Set the image to 0 in all bands, but for the object's own pixels.
        crop: Leave of the chip the fewest whole pixels that hold what it shows of the object.

    Returns:
        The chip, its other objects ground; the object has all its known pixels, also those that lie under others.
        None where it is no object of the chip.
    """
    one = next((one for one in chip.objects if one.id == subject), None)
    if one is None:
        return None
    mask = _pixels(chip, one)
    label = np.where(chip.label == IGNORE, chip.label, chip.label.dtype.type(0))
    label[mask] = one.value
    alone = dataclasses.replace(
        chip,
        image=np.where(mask[..., None], chip.image, chip.image.dtype.type(0)) if blacken else chip.image,
        label=label,
        contact=np.zeros_like(chip.contact),
        instances=np.where(mask, np.int32(subject), np.int32(0)),
        objects=(one,),
    )
    return _cropped(alone) if crop else alone


def _pixels(chip: Chip, one: ChipObject) -> NDArray[np.bool_]:
    """Return the known pixels of an object; where others lie over it, those whose centres it holds."""
    height, width = chip.label.shape
    whole = PixelPolygons(np.array([one.polygon], object)).burn((0, 0, width, height), np.array([0]), np.array([1]))
    mask: NDArray[np.bool_] = (chip.instances == one.id) | ((chip.instances > 0) & (whole > 0))
    return mask


def _cropped(chip: Chip) -> Chip:
    """Return the part of a chip that holds its one object."""
    (one,) = chip.objects
    height, width = chip.label.shape
    low_x, low_y, high_x, high_y = one.polygon.bounds
    left, top = max(math.floor(low_x + _NO_PIXEL), 0), max(math.floor(low_y + _NO_PIXEL), 0)
    right, bottom = min(math.ceil(high_x - _NO_PIXEL), width), min(math.ceil(high_y - _NO_PIXEL), height)
    part = slice(top, bottom), slice(left, right)
    return dataclasses.replace(
        chip,
        image=chip.image[part],
        label=chip.label[part],
        contact=chip.contact[part],
        instances=chip.instances[part],
        objects=(dataclasses.replace(one, polygon=translate(one.polygon, -left, -top)),),
        transform=chip.transform @ Affine.translation(left, top),
    )
