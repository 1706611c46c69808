"""Regularization: outlines of buildings straightened within a tolerance, by one global optimisation per ring.

Rooms, from the bottom: `outline` (points, break points, moments), `direction` (candidates for the main direction),
`optimum` (dynamic programming), `polish` (refit and checks), `solve` (one polygon, batches), `polygons` (geometries
in ground metres, retries, threads), `heights` (Z). Layers in any CRS: `building_segmenter.footprints.layer`.
"""

from building_segmenter.footprints.regularize.polygons import regularize_polygons, warm_up
from building_segmenter.footprints.regularize.settings import REASONS, Method, Regularized, Settings

__all__ = ["REASONS", "Method", "Regularized", "Settings", "regularize_polygons", "warm_up"]
