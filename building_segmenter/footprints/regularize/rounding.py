"""Circles for outlines: which are round, and the polygons that stand for their circles."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.footprints.regularize import solve
from building_segmenter.footprints.regularize.circle import circle_ring, circle_sides, fitted_circles
from building_segmenter.footprints.regularize.overlap import shared_areas
from building_segmenter.footprints.regularize.parts import Geometries, Outlines, Parts, compared, ragged
from building_segmenter.footprints.regularize.settings import Settings

ROUND, SURELY_ROUND = 0.065, 0.04
"""Mean radial deviation (root of the mean square) of a round outline, in radii, and of one that needs no comparison
with straight walls. A square has 0.13 about its best circle; small houses in rough outlines come down to 0.066."""

_ROUND_CORNERS = 4
"""Corners that a circle counts as when it is compared with straight walls."""


def circles_of(outlines: Outlines, settings: Settings) -> Parts:
    """Fit a circle to every ring."""
    coordinates, masses, rings, polygons = outlines.ragged()
    limit = np.finfo(float).max if settings.tolerance_type == "area-ratio" else settings.tolerance
    circles = fitted_circles(coordinates, masses, rings, limit)
    result = Parts.none(len(outlines.polygons), "circle")
    result.slant[:] = 0.0
    farthest = np.maximum.reduceat(circles[:, 3], polygons[:-1])
    result.reason[:] = "not-round"
    for k in np.flatnonzero(farthest <= limit):
        found = circles[polygons[k] : polygons[k + 1]]
        if not ((found[:, 2] >= settings.min_radius) & (found[:, 2] <= settings.max_radius)).all():
            result.reason[k] = "radius"
        else:
            result.reason[k] = ""
            spread = (found[:, 4] * found[:, 2]).sum() / found[:, 2].sum() / settings.tolerance**2
            result.score[k] = _ROUND_CORNERS * len(found) + solve.CORNERS_FOR_SPREAD * spread
            result.unroundness[k] = (np.sqrt(found[:, 4]) / found[:, 2]).max()
            result.geometry[k], result.deviation[k] = _round_polygon(found, settings)
    _check_circles(outlines.polygons, result, settings)
    return result


def _round_polygon(circles: NDArray[np.float64], settings: Settings) -> tuple[Any, float]:
    rings: list[NDArray[np.float64]] = []
    worst = 0.0
    for x, y, radius, deviation, _ in circles:
        precise = settings.tolerance if settings.tolerance_type == "distance" else settings.tolerance * radius
        ring, departure = circle_ring(x, y, radius, circle_sides(radius, precise))
        rings.append(ring if not rings else ring[::-1])
        worst = max(worst, deviation + departure)
    return shapely.Polygon(rings[0], rings[1:]), worst


def _check_circles(parts: Geometries, result: Parts, settings: Settings) -> None:
    done = np.flatnonzero(result.reason == "")
    if len(done) == 0:
        return
    old, new = parts[done], result.geometry[done]
    valid = shapely.is_valid(new)
    shared = shared_areas(*ragged(old), *ragged(new))
    result.iou[done], changed = compared(old, new, shared, settings)
    if settings.tolerance_type == "area-ratio":
        result.area_ratio[done] = (shapely.area(old) - 2 * shared) / shapely.area(new) + 1
        far = ~(result.area_ratio[done] <= settings.tolerance)
        changed[:] = False
    else:
        far = ~(result.deviation[done] <= settings.tolerance)
    result.reason[done[changed]] = "area-changed"
    result.reason[done[far]] = "not-round"
    result.reason[done[~valid]] = "hole-lost"
