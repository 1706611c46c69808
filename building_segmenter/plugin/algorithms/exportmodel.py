"""The algorithm *Export model*."""

from __future__ import annotations

from building_segmenter.plugin.algorithms.base import TaskAlgorithm


class ExportModel(TaskAlgorithm):
    """A model for other programs."""

    ID = "exportmodel"
    TITLE = "Export model"
    GROUP = "models"
    TASK = "model export"
    TAGS = ("model", "onnx", "openvino", "deepness", "geodeep", "convert", "share")
    HELP = """
Writes a model of Train model for other programs. Nothing but the ending of the output chooses the format.

.onnx: one file for the QGIS plugin Deepness and for GeoDeep, with the metadata that they read: ground pixel, tile,
classes and threshold. The threshold is built into the scores: in Deepness a higher one can be set, a lower one has no
effect, so choose it here. Neither program blends tiles or regularizes outlines as Extract buildings does.

.xml: OpenVINO IR with its weights (.bin) beside it. It takes pixel values as they are, (1, size, size, bands), and
gives the probabilities of all channels. The model's facts are in the file and in a third one, .mlm.json.
"""
