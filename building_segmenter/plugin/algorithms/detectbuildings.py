"""The algorithm *Detect buildings*."""

from __future__ import annotations

from building_segmenter.plugin.algorithms.base import TaskAlgorithm


class DetectBuildings(TaskAlgorithm):
    """Buildings one by one, each with its score."""

    ID = "detectbuildings"
    TITLE = "Detect buildings"
    GROUP = "footprints"
    TASK = "detect"
    TAGS = ("mask r-cnn", "deep learning", "model", "instance segmentation", "detect objects", "inference")
    HELP = """
Finds buildings one by one with a Mask R-CNN and draws the outline of each.

A detector looks for whole buildings, so houses that touch come out apart, each with a score that tells how sure the
model is of it. Train model makes such a model with the architecture mask-rcnn, from chips with masks of objects.

The image is worked on in tiles that overlap. What lies on a tile line is found in several tiles; its views are put
together by their masks, so that a building comes out whole and once, however many tiles it lies in. The image may be
larger than the memory.

Outlines are as the model draws them, with a fraction of a pixel. Regularize footprints straightens them; Extract
buildings, which takes such a model too, does both in one run.

Picture draws the image with what was found in it, for a first look.
"""
