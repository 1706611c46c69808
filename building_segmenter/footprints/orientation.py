"""The directions that are offered to footprints: of lines that they lie along, of neighbours, and the user's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter import tasks
from building_segmenter.footprints.alignment import Alignment
from building_segmenter.footprints.neighbours import Directed, Floats, consensus, own_directions
from building_segmenter.footprints.regularize import Offered
from building_segmenter.geo.strips import NOWHERE, Ground, Strips
from building_segmenter.geo.vectors import PolygonLayer, read_lines
from building_segmenter.progress import Progress

_CHORD = 3.0
"""Metres over which a wall's direction is taken at least, and as many tolerances."""
_AROUND = 0.01
"""Share of a layer's extent by which lines may lie outside it, beside the tolerance."""


@dataclass(frozen=True)
class Orientation:
    """The directions offered to the features of a layer.

    Args:
        directions: To all, in degrees counter-clockwise from east.
        common: Direction (n,) that each feature has in common with its neighbours, degrees, NaN for none.
        alignment: Lines. What lies along one is offered its direction only.
    """

    directions: tuple[float, ...] = ()
    common: Floats | None = None
    alignment: Alignment | None = None

    def offered(self, rows: NDArray[np.integer], outlines: NDArray[np.object_], strips: Strips) -> Offered | None:
        """Return what is offered to some features; None for nothing at all.

        Args:
            rows: Their places in the layer.
            outlines: They, in the layer's CRS.
            strips: Strip of each, in which angles count from east. (North of strips differs by 0.025 degrees at most.)
        """
        count = len(outlines)
        none = np.empty(0, np.intp), np.empty(0)
        places, angles = none if self.alignment is None else self.alignment.directions(outlines, strips)
        free = np.flatnonzero(~np.isin(np.arange(count), places))
        common = np.full(count, np.nan) if self.common is None else self.common[rows]
        shared = free[np.isfinite(common[free])]
        places = np.concatenate((places, np.repeat(free, len(self.directions)), shared))
        angles = np.concatenate((angles, np.tile(self.directions, len(free)), common[shared]))
        if len(places) == 0:
            return None
        order = np.argsort(places, kind="stable")
        return Offered(angles[order], np.searchsorted(places[order], np.arange(count + 1)).astype(np.int64))


def orientation_of(
    options: tasks.RegularizeFootprints, layer: PolygonLayer, ground: Ground, progress: Progress
) -> Orientation:
    """Return the directions to offer to a layer; read it once for neighbours, and once for the place of lines.

    Raises:
        BuildingSegmenterError: The lines cannot be read, or the caller asked to stop.
    """
    common = alignment = None
    if options.neighbor_distance > 0:
        directed = _directed(layer, ground, _CHORD * max(options.tolerance, 1.0), progress.part(0.0, 0.6))
        common = consensus(directed, options.neighbor_distance)
    if options.alignment:
        bounds = layer.bounds(progress.part(0.6, 0.9))
        alignment = _alignment(options, bounds, layer, ground)
    return Orientation(options.directions or (), common, alignment)


def _directed(layer: PolygonLayer, ground: Ground, chord: float, progress: Progress) -> Directed:
    found = np.full((4, layer.survey.count), np.nan)
    done = 0
    for batch in layer.batches():
        rows = slice(done, done + len(batch))
        bounds = shapely.bounds(batch.geometry)
        strips = ground.strips(bounds)
        found[0, rows], found[1, rows] = ground.degrees(bounds)
        plane = ground.to_ground(batch.geometry, strips)
        plane[strips == NOWHERE] = None
        found[2, rows], found[3, rows] = own_directions(plane, chord)
        done = rows.stop
        progress.update(done / layer.survey.count, "Looking at neighbours")
    return Directed(*found)


def _alignment(
    options: tasks.RegularizeFootprints, bounds: NDArray[np.float64], layer: PolygonLayer, ground: Ground
) -> Alignment:
    bounds = bounds[ground.strips(bounds) != NOWHERE]
    if len(bounds) == 0:
        bounds = np.zeros((1, 4))
    low, high = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    # The box of what lies within the tolerance of its corners, whatever the units.
    corners = shapely.points([low, high])
    strips = ground.strips(shapely.bounds(corners))
    reach = shapely.buffer(ground.to_ground(corners, strips), 1.5 * options.alignment_tolerance)
    wide = shapely.total_bounds(ground.to_layer(reach, strips))
    margin = _AROUND * (high - low).max()
    near = (wide[0] - margin, wide[1] - margin, wide[2] + margin, wide[3] + margin)
    lines = read_lines(str(options.alignment), "alignment lines", layer.crs, near)
    return Alignment(lines, ground, options.alignment_tolerance)
