"""The algorithm *Export training chips*."""

from __future__ import annotations

from building_segmenter.plugin.algorithms.base import TaskAlgorithm


class ExportTrainingChips(TaskAlgorithm):
    """From an image and its footprints to training chips."""

    ID = "exporttrainingchips"
    TITLE = "Export training chips"
    GROUP = "training"
    TASK = "chips"
    TAGS = ("training", "chips", "deep learning", "labels", "export training data for deep learning")
    HELP = """
Cuts an image and the footprints of its buildings into chips, with which Train model trains a model.

Every building in the labelled area should be drawn, and lie where the image shows it: a model learns the mistakes
too. If only parts of the image are labelled, give them as labelled area. Ground outside it, ground without image and
footprints without class are labelled 255, unknown, and ignored in training.

Whole blocks of ground are set aside for validation, so that the accuracy that training reports is that on ground
which the model has not seen; chips across the line between the two are left out, also turned ones.

The formats classified-tiles, rcnn-masks, pascal-voc, kitti, labeled-tiles and export-tiles have the layout of ArcGIS
and can be used there as well; coco, yolo and hdf5 are read by most other tools. Beside each stands dataset.json with
the CRS, ground pixel, band statistics, classes, counts, and where each chip lies.

The format labeled-tiles cuts one chip about each building, for models that tell what kind of building it is. Blacken
around buildings leaves nothing else to see on it, and Crop mode bounding-box cuts it to its building.

Export once with Contact sheet before you train: it shows at a glance whether labels and image fit.

An export that is stopped keeps what it has done in a folder beside the output and goes on from there when it runs
again with the same inputs.
"""
