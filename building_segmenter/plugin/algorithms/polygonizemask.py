"""The algorithm *Polygonize mask*."""

from __future__ import annotations

from building_segmenter.plugin.algorithms.base import TaskAlgorithm


class PolygonizeMask(TaskAlgorithm):
    """From probabilities, or a mask, to polygons."""

    ID = "polygonizemask"
    TITLE = "Polygonize mask"
    GROUP = "footprints"
    TASK = "polygonize"
    TAGS = ("segmentation", "mask", "vectorize", "contour", "raster to polygon")
    HELP = """
Draws outlines of a probability raster at a threshold, or of an integer mask around a value.

Outlines of probabilities run between the pixels where the threshold is crossed, so they are smooth and no
staircases. Holes are kept. Areas are square metres on the ground, whatever the CRS.

Regularize footprints straightens the result.
"""
