"""The fields that regularization adds, and room for them among the user's."""

from __future__ import annotations

from collections.abc import Iterable

from building_segmenter.geo.vectors import free_name

MEASURES = ("area_m2", "perim_m", "vertices")
OUTCOME = ("status", "reason", "method", "angle_deg", "max_dev_m", "iou")
RATIO = "area_ratio"
"""Added where circles are accepted by it."""


def room_for_ours(names: Iterable[str], ours: Iterable[str] = (*MEASURES, *OUTCOME)) -> dict[str, str]:
    """Return the fields of the user's that stay: old name -> new name.

    Those of an earlier run go, since they are made anew; a field of the user's own that has a name of ours becomes
    `NAME_1`. Formats such as GeoPackage do not tell upper from lower case in names, so neither do we.

    Args:
        names: Fields of the input, in order.
        ours: The fields to be added.
    """
    names, ours = list(names), tuple(ours)
    earlier = {*MEASURES, *OUTCOME, RATIO} if set(OUTCOME) <= set(names) else set(MEASURES)
    stay = [name for name in names if name not in earlier]
    taken = {*stay, *ours}
    renamed = {}
    for name in stay:
        renamed[name] = free_name(name, taken) if name.lower() in ours else name
        taken.add(renamed[name])
    return renamed
