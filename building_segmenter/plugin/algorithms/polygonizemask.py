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

Where the raster has a band of contacts, as Segment raster writes with the shipped model, buildings that touch are
parted: they keep their outer outlines and get one line in common. Outlines without contact stay as they are.

A raster of several classes, such as land cover, gives polygons of every class with the fields class and class_name:
each class where it is more probable than all others, with boundaries in common. Choose a band for one class alone.

Regularize footprints straightens the result.
"""
