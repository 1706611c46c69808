"""Regularization of polygons that touch: each line that two of them have in common is straightened once.

Rooms, from the bottom: `topology` (arcs, nodes, faces), `neighbours` (groups, cleaning), `straight` (dynamic
programming for open lines), `chains` (arcs that are solved as one line), `course` (solved lines), `solving`, `meeting`
(collinear walls, ends), `assembly` (faces), `nearness` (tolerance), `blocks` (main directions), `attempts` (one group),
`together` (arrays of polygons).
"""

from building_segmenter.footprints.shared_walls.together import regularize_together

__all__ = ["regularize_together"]
