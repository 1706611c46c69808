"""Regularize polygons so that those which touch keep one common wall."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.footprints.measures import vertex_counts
from building_segmenter.footprints.regularize import Offered, Regularized, Settings, regularize_polygons
from building_segmenter.footprints.regularize.parts import Outlines, Parts
from building_segmenter.footprints.regularize.polygons import assembled, regularized_parts, usable_polygons
from building_segmenter.footprints.shared_walls.attempts import Group, Solution, solve_group
from building_segmenter.footprints.shared_walls.neighbours import coverages
from building_segmenter.footprints.shared_walls.solving import Ring, RingSolver, walls_for
from building_segmenter.footprints.shared_walls.topology import topology_of
from building_segmenter.progress import Progress

Geometries = NDArray[np.object_]

REASON = "shared-walls"

_REMEMBERED = 200


def regularize_together(
    geometries: Any,
    settings: Settings | None = None,
    progress: Progress | None = None,
    offered: Offered | None = None,
) -> Regularized:
    """Regularize polygons; those that touch keep common walls, without gaps and overlaps.

    Polygons without neighbours come out as from `regularize_polygons`. Of those that touch (within a centimetre, or
    overlapping by less than a tenth), every line that two of them have in common is straightened once and used by
    both. What is promised of single polygons goes for each of them, except that a wall which a building shares with
    one of another direction need not be at right angles with its own.

    Args:
        geometries: As for `regularize_polygons`.
        settings: What to do; by default right angles within 1 m.
        progress: Told after each group, and asked whether to stop.
        offered: Main directions to try first, for each geometry.

    Returns:
        Arrays with one element for each geometry. A member of a group that resists has status 1 and keeps its
        outline, with points in it where walls of its neighbours end.

    Raises:
        CancelledError: The caller asked to stop.
    """
    settings, progress = settings or Settings(), progress or Progress()
    originals = np.atleast_1d(np.asarray(geometries, dtype=object))
    usable, reason = usable_polygons(originals)
    parts, owner = shapely.get_parts(usable, return_index=True)
    offers = (offered or Offered.to_all((), len(originals))).taken(owner)
    alone = regularized_parts(Outlines(parts, None, offers), settings, progress.part(0.0, 0.4))
    groups = _groups(parts, alone, settings)
    rings, walls = _Rings(settings), walls_for(settings.method, settings.diagonal_penalty)
    solutions: dict[int, Solution] = {}
    pending = list(range(len(groups)))
    while True:
        for done, k in enumerate(pending):
            progress.update(0.4 + 0.6 * done / len(pending), "Regularizing shared walls")
            solutions[k] = solve_group(groups[k], settings, walls, rings)
        found = _with_groups(alone, groups, solutions)
        result = assembled(originals, usable, reason.copy(), found, owner)
        pending = _not_whole(groups, solutions, result.status[owner] == 1)
        if not pending:
            return _with_points(result, usable, owner, groups, solutions)


def _groups(parts: Geometries, alone: Parts, settings: Settings) -> list[Group]:
    groups = []
    for coverage in coverages(parts, settings.tolerance):
        topology = topology_of(coverage.polygons)
        if topology is not None:
            members = coverage.members
            groups.append(Group(members, topology, coverage.polygons, parts[members], alone.angle[members]))
    return groups


def _with_groups(alone: Parts, groups: list[Group], solutions: dict[int, Solution]) -> Parts:
    """Return the results of all parts, with those of the groups in place of what each would be alone."""
    found = alone.taken(slice(None))
    found.put(slice(None), alone)
    for k, group in enumerate(groups):
        solution = solutions[k]
        kept = np.isin(np.arange(len(group.members)), list(solution.kept))
        new = group.members[~kept]
        found.geometry[new], found.angle[new] = solution.faces[~kept], solution.angle[~kept]
        found.method[new], found.deviation[new] = solution.method[~kept], solution.deviation[~kept]
        found.reason[new], found.area_ratio[new] = "", np.nan
        found.iou[new] = _iou(group.originals[~kept], solution.faces[~kept])
        old = group.members[kept]
        found.reason[old] = np.where(alone.reason[old] == "", REASON, alone.reason[old])
    return found


def _iou(old: Geometries, new: Geometries) -> NDArray[np.float64]:
    common = shapely.area(shapely.intersection(old, new))
    # Far from the origin rounding gives the same outline a little more than 1.
    iou: NDArray[np.float64] = np.minimum(common / (shapely.area(old) + shapely.area(new) - common), 1.0)
    return iou


def _not_whole(groups: list[Group], solutions: dict[int, Solution], failed: NDArray[np.bool_]) -> list[int]:
    """Have parts of features that are kept for another part kept too; return the groups to solve again."""
    again = []
    for k, group in enumerate(groups):
        more = set(np.flatnonzero(failed[group.members]).tolist()) - solutions[k].kept
        if more:
            group.kept |= solutions[k].kept | more
            again.append(k)
    return again


def _with_points(
    result: Regularized,
    usable: Geometries,
    owner: NDArray[np.intp],
    groups: list[Group],
    solutions: dict[int, Solution],
) -> Regularized:
    """Give the outlines that were kept the points where walls of their neighbours end."""
    parts = shapely.get_parts(usable)
    touched = np.zeros(len(usable), bool)
    for k, group in enumerate(groups):
        kept = list(solutions[k].kept)
        if kept and not (len(kept) == len(group.members) and _equal(group.originals, group.clean)):
            parts[group.members[kept]] = solutions[k].faces[kept]
            touched[owner[group.members[kept]]] = True
    for feature in np.flatnonzero(touched):
        own = parts[owner == feature]
        single = usable[feature].geom_type == "Polygon"
        result.geometry[feature] = own[0] if single else shapely.multipolygons(own)
    result.vertices[touched] = vertex_counts(result.geometry[touched])
    return result


def _equal(some: Geometries, others: Geometries) -> bool:
    same = shapely.equals_exact(shapely.normalize(some), shapely.normalize(others), 0.0)
    return bool(same.all())


class _Rings:
    """Regularizes the outlines of blocks; remembers some, since attempts that differ elsewhere ask again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[tuple[bytes, float | None, float], Ring | None] = {}

    def __call__(self, scale: float) -> RingSolver:
        """Return a solver that uses this share of the tolerance."""

        def solved(polygon: Any, angle: float | None) -> Ring | None:
            key = shapely.to_wkb(polygon), angle, scale
            if key not in self._known:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[key] = self._solved(polygon, angle, scale)
            return self._known[key]

        return solved

    def _solved(self, polygon: Any, angle: float | None, scale: float) -> Ring | None:
        settings = replace(self._settings, tolerance=self._settings.tolerance * scale, threads=1)
        if settings.densification is not None:
            settings = replace(settings, densification=min(settings.densification, settings.tolerance))
        offered = Offered.to_all(() if angle is None else (angle,), 1)
        found = regularize_polygons([polygon], settings, offered=offered)
        if found.status[0] == 1:
            return None
        return Ring(found.geometry[0], float(found.angle_deg[0]), float(found.max_dev_m[0]), found.method[0])
