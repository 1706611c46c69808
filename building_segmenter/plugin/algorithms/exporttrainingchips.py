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
too. If only parts of the image are labelled, give them as labelled area.

Whole blocks of ground are set aside for validation, so that the accuracy that training reports is that on ground
which the model has not seen. The folder has the layout of ArcGIS's Classified_Tiles, and can be used there as well.
"""
