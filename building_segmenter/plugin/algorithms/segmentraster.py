"""The algorithm *Segment raster*."""

from __future__ import annotations

from building_segmenter.plugin.algorithms.base import TaskAlgorithm


class SegmentRaster(TaskAlgorithm):
    """The probability of buildings for every pixel."""

    ID = "segmentraster"
    TITLE = "Segment raster"
    GROUP = "footprints"
    TASK = "segment"
    TAGS = ("segmentation", "deep learning", "model", "probability", "classify pixels", "inference")
    HELP = """
Runs a trained model over an image and writes the probability of a building for every pixel.

The result is a GeoTIFF at the model's ground pixel: 0 to 254 with the scale 1/254, so that QGIS shows 0 to 1; 255 is
nodata. Tiles overlap and are blended, so that no seams show. The image may be larger than the memory.

A model of several classes, such as land cover, gives a band for each of them, named as the class; what the bands lack
to 1 is background.

Polygonize mask makes outlines of it, at any threshold, without running the model again.
"""
