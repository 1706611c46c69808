"""The algorithm *Extract buildings*."""

from __future__ import annotations

from building_segmenter.plugin.algorithms.base import TaskAlgorithm


class ExtractBuildings(TaskAlgorithm):
    """From an image to regularized footprints in one run."""

    ID = "extractbuildings"
    TITLE = "Extract buildings"
    GROUP = "footprints"
    TASK = "extract"
    TAGS = ("segmentation", "deep learning", "model", "detect", "classify pixels", "extract features")
    HELP = """
Finds the buildings in an aerial image and draws their footprints with right angles.

It does in one run what Segment raster, Polygonize mask and Regularize footprints do one after the other: a trained
model gives every pixel the probability of a building, outlines are drawn at the threshold, and each is straightened
within the tolerance. The image may be of any size, and in any CRS: lengths and areas are metres on the ground.

Buildings that touch are parted where the model sees their contact. Each is then straightened by itself, so that walls
of neighbours may lie a little apart or over each other; Keep shared walls gives them one common wall, which takes long
in dense old towns.

The image should look like what the model was trained with, above all in its ground pixel, to which it is resampled.
The model shipped with the plugin works on colour images (red, green, blue).

Footprints carry a score (0 to 100), their area and perimeter on the ground, and a status: 0 regularized, 1 kept as
predicted, with the reason. If no building is found, the layer is empty and a warning says so.
"""
