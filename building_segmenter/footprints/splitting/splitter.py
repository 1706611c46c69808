"""Outlines of a raster, parted where its band of contacts says that buildings touch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from building_segmenter.footprints.contours.field import Field
from building_segmenter.footprints.contours.marching import Floats
from building_segmenter.footprints.contours.nesting import Measure, Outlines
from building_segmenter.footprints.contours.rings import Rings
from building_segmenter.footprints.splitting.basins import SplitRule, basins
from building_segmenter.footprints.splitting.cuts import cut, dividing_lines
from building_segmenter.footprints.splitting.strips import Strips
from building_segmenter.footprints.splitting.view import View
from building_segmenter.progress import Progress

MOST_PIXELS = 1 << 24
"""Pixels of a region's window that are worked on at once, some 45 bytes each; of larger ones every nth is read."""

_CONTACT = "contact"


def contact_band(dataset: DatasetReader) -> int | None:
    """Return the band, counted from 1, that holds the probability of contact in a raster of `segment`, if any."""
    for band, description in zip(dataset.indexes, dataset.descriptions, strict=True):
        if description and description.lower().split()[-1:] == [_CONTACT]:
            return int(band)
    return None


@dataclass(frozen=True)
class Splitter:
    """Parts the outlines of one raster.

    Args:
        dataset: The open raster.
        field: The rule that the outlines were traced by.
        band: Band of the contacts, counted from 1.
        pixel: Width and height of a pixel in ground metres.
        rule: When to part.
        measure: Gives the area and length of rings on the ground.
    """

    dataset: DatasetReader
    field: Field
    band: int
    pixel: tuple[float, float]
    rule: SplitRule
    measure: Measure

    @cached_property
    def _contacts(self) -> Strips:
        return Strips(self.dataset, self.band)

    @cached_property
    def _probabilities(self) -> Strips:
        return Strips(self.dataset, self.field.band)

    def parted(self, outlines: Outlines, progress: Progress) -> tuple[Outlines, NDArray[np.intp]]:
        """Return outlines with pieces in the place of those that come apart.

        The pieces make an outline up without gaps and overlaps. An outline without contact is not touched.
        Memory: the window of one outline, see `MOST_PIXELS`, and the rows around it.

        Returns:
            The outlines, and the place (n,) in `outlines` that each comes from.

        Raises:
            CancelledError: The caller asked to stop.
        """
        found: list[tuple[int, NDArray[Any], NDArray[np.float64]]] = []
        for place in np.flatnonzero(outlines.area >= 2 * self.rule.min_piece).tolist():
            progress.check()
            view = View.around(outlines.polygons[place], MOST_PIXELS)
            parts = self._parts(outlines.polygons[place], view)
            if len(parts) > 1:
                found.append((place, parts, self._mean_excess(parts, view)))
        if not found:
            return outlines, np.arange(len(outlines.area))
        places, pieces, excess = zip(*found, strict=True)
        numbers = np.repeat(places, [len(parts) for parts in pieces])
        whole = np.concatenate(pieces)
        return _replaced(outlines, numbers, Outlines(whole, *self._sizes(whole), np.concatenate(excess)))

    def _parts(self, polygon: shapely.Polygon, view: View) -> NDArray[Any]:
        whole = np.array([polygon], object)
        stored, valid = view.read(self._contacts)
        contact = np.where(valid, stored * self.dataset.scales[self.band - 1], 0).astype(np.float32)
        if not (contact >= self.rule.contact).any():
            return whole
        pixel = self.pixel[0] * view.step, self.pixel[1] * view.step
        labels = basins(view.burnt(whole) > 0, contact, self.rule, pixel)
        if labels is None:
            return whole
        lines = shapely.transform(dividing_lines(labels, shapely.transform(polygon, view.into)), view.back)
        return cut(polygon, lines, self.rule.min_piece / (self.pixel[0] * self.pixel[1]))

    def _mean_excess(self, parts: NDArray[Any], view: View) -> Floats:
        stored, valid = view.read(self._probabilities)
        excess = self.field.excess(stored, valid).astype(np.float64).ravel()
        place = view.burnt(parts).ravel()
        known = ~np.isnan(excess)
        sums = np.bincount(place[known], excess[known], len(parts) + 1)[1:]
        counts = np.bincount(place[known], minlength=len(parts) + 1)[1:]
        mean: Floats = sums / np.maximum(counts, 1)
        return mean

    def _sizes(self, parts: NDArray[Any]) -> tuple[Floats, Floats]:
        rings, owner = shapely.get_rings(parts, return_index=True)
        points, ring = shapely.get_coordinates(rings, return_index=True)
        last = np.flatnonzero(np.diff(ring, append=-1))
        lengths = np.bincount(ring) - 1
        starts = np.cumsum(lengths) - lengths
        none = np.zeros(len(rings))
        area, length = self.measure(Rings(np.delete(points, last, axis=0), starts, none, none))
        outer = np.diff(owner, prepend=-1) > 0
        return _summed(owner, np.where(outer, area, -area)), _summed(owner, length)


def _summed(owner: NDArray[np.intp], values: Floats) -> Floats:
    sums: Floats = np.bincount(owner, values).astype(np.float64)
    return sums


def _replaced(outlines: Outlines, numbers: NDArray[np.intp], pieces: Outlines) -> tuple[Outlines, NDArray[np.intp]]:
    """Return outlines with pieces in the place of some of them, by number, and where each comes from."""
    gone = np.unique(numbers)
    places = np.concatenate([np.delete(np.arange(len(outlines.area)), gone), numbers])
    order = np.argsort(places, kind="stable")

    def joined(values: Callable[[Outlines], NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate([np.delete(values(outlines), gone), values(pieces)])[order]

    return Outlines(
        joined(lambda some: some.polygons),
        joined(lambda some: some.area),
        joined(lambda some: some.perimeter),
        joined(lambda some: some.mean_excess),
    ), places[order]
