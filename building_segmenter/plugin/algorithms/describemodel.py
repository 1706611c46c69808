"""The algorithm *Describe model*."""

from __future__ import annotations

from building_segmenter.plugin.algorithms.base import TaskAlgorithm


class DescribeModel(TaskAlgorithm):
    """What a model is."""

    ID = "describemodel"
    TITLE = "Describe model"
    GROUP = "models"
    TASK = "model describe"
    TAGS = ("model", "metadata", "card", "accuracy", "licence", "inspect", "onnx", "keras")
    HELP = """
Tells what a model is, on a page of its own: architecture, the bands that it takes with their statistics, ground pixel,
tile, threshold and classes, how accurate it was on ground that it had not seen, what it was trained on and how, whom a
map made with it must name, its licence, its size, and a hash that tells it from others.

Models that Train model made say all that themselves. Of other Keras and ONNX files, inputs, outputs, layers and
metadata are shown. Nothing in a file is run.
"""
