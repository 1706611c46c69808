"""Regularization: outlines of buildings straightened within a tolerance, by one global optimisation per ring.

Rooms, from the bottom: `outline` (points, break points, moments), `direction` (candidates for the main direction),
`optimum` and `slanted` (dynamic programming for right angles and for all walls), `polish` (refit), `checks`, `solve`
(one polygon), `batch` (many), `circle` and `rounding` (circles), `overlap` (areas), `parts` (polygons and results),
`attempts` (methods, retries), `polygons` (geometries in ground metres, threads), `heights` (Z). Layers in any CRS:
`building_segmenter.footprints.layer`.
"""

from building_segmenter.footprints.regularize.polygons import regularize_polygons
from building_segmenter.footprints.regularize.settings import REASONS, Method, Offered, Regularized, Settings

__all__ = ["REASONS", "Method", "Offered", "Regularized", "Settings", "regularize_polygons"]
