"""From probabilities of contact to one basin for each building of a region."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter, label
from skimage.segmentation import watershed

from building_segmenter.footprints.splitting.joining import joined

Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]

_EIGHT = 2
_SMOOTH_M = 0.3


@dataclass(frozen=True)
class SplitRule:
    """When a region is parted. The defaults were chosen on the training blocks of the shipped model.

    Args:
        contact: Probability of contact from which a pixel is between two buildings rather than in one (0..1).
        core: Metres by which a core is narrowed on each side before cores are counted, so that a bridge narrower
            than twice that does not join them.
        min_piece: Ground m2 of the smallest piece.
    """

    contact: float = 0.3
    core: float = 0.5
    min_piece: float = 10.0


def basins(mask: Mask, contact: NDArray[np.float32], rule: SplitRule, pixel: tuple[float, float]) -> Labels | None:
    """Part a region into the basins of its buildings.

    Markers are what is left of the region without contact; from them the region is flooded by rising probability of
    contact (watershed: F. Meyer, Topographic distance and watershed lines, 1994), so that basins meet where contact
    is most likely. A basin that is too small for a building goes to its neighbours.

    Args:
        mask: (height, width), true inside the region.
        contact: (height, width), probability of contact, 0..1.
        rule: When to part.
        pixel: Width and height of a pixel in ground metres.

    Returns:
        Basin of each pixel (height, width), counted from 1, and 0 outside; None where there is but one.
    """
    if not (contact[mask] >= rule.contact).any():
        return None
    markers, count = _markers(mask, contact, rule, pixel)
    if count < 2:
        return None
    # Smoothing turns plateaus, as sure contacts are, into ridges, so that basins meet in their middle.
    landscape = gaussian_filter(contact, [_SMOOTH_M / pixel[1], _SMOOTH_M / pixel[0]])
    found = _flooded(landscape, markers, mask)
    parts = joined(found, contact, rule.min_piece / (pixel[0] * pixel[1]))
    return parts if len(np.unique(parts[parts > 0])) > 1 else None


def _flooded(landscape: NDArray[np.float32], markers: Labels, mask: Mask) -> Labels:
    """Return the basins of a watershed; markers flood from their rims, since what is inside of them is theirs."""
    between = mask & (markers == 0)
    rims = binary_dilation(between, np.ones((3, 3))) & (markers > 0)
    found: Labels = watershed(landscape, np.where(rims, markers, 0), connectivity=_EIGHT, mask=between | rims)
    return np.where(markers > 0, markers, found)


def _markers(
    mask: Mask, contact: NDArray[np.float32], rule: SplitRule, pixel: tuple[float, float]
) -> tuple[Labels, int]:
    cores = mask & (contact < rule.contact)
    if rule.core > 0:
        cores = narrowed(cores, rule.core, pixel)
    markers, count = label(cores, output=np.int32)
    return markers, int(count)


def narrowed(cores: Mask, reach: float, pixel: tuple[float, float]) -> Mask:
    """Return the pixels that have none that is not among them, nor the array's edge, within a distance.

    For the few pixels of a wall's width this is faster than the distance of every pixel.

    Args:
        cores: (height, width).
        reach: Metres between the middles of pixels.
        pixel: Width and height of a pixel in metres.
    """
    height, width = cores.shape
    most = int(reach / pixel[0]) + 1
    steps = [down for down in range(int(reach / pixel[1]) + 1, -1, -1) if down * pixel[1] <= reach]
    outside = np.pad(~cores, ((steps[0], steps[0]), (most, most)), constant_values=True)
    # Pixels with one outside so far to the left or right, farther and farther as the rows above and below come nearer.
    beside, across = outside[:, most : most + width].copy(), 0
    near = np.zeros(cores.shape, np.bool_)
    for down in steps:
        while across < most and _length((across + 1) * pixel[0], down * pixel[1]) <= reach:
            across += 1
            beside |= outside[:, most - across : most - across + width]
            beside |= outside[:, most + across : most + across + width]
        near |= beside[steps[0] - down : steps[0] - down + height]
        near |= beside[steps[0] + down : steps[0] + down + height]
    return ~near


def _length(across: float, down: float) -> float:
    return math.sqrt(across * across + down * down)
