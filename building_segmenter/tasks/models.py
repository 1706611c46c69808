"""Models as files."""

from __future__ import annotations

from dataclasses import dataclass

from building_segmenter.options import Task, option, required


@dataclass(frozen=True)
class DescribeModel(Task):
    """Tell what a model is: what it takes and gives, how well it does, and how it was trained."""

    model: str | None = option(
        None,
        "model",
        "Model",
        "A model of Train model, or a .keras, .h5 or .onnx file from elsewhere, of which only inputs, outputs and"
        " metadata are known. Empty: the model shipped with the plugin.",
        suffixes=(".keras", ".h5", ".onnx"),
    )
    output: str = required("html-output", "Description", "Page that tells what the model is.", suffixes=(".html",))


@dataclass(frozen=True)
class ExportModel(Task):
    """Write a model for other programs: ONNX for Deepness and GeoDeep, or OpenVINO IR."""

    model: str | None = option(
        None, "model", "Model", "A model of Train model (.keras). Empty: the model shipped with the plugin."
    )
    output: str = required(
        "model-output",
        "Exported model",
        "File to write; its ending names the format. .onnx: ONNX with the metadata of Deepness, which GeoDeep reads"
        " too. .xml: OpenVINO IR, with its weights (.bin) and facts (.mlm.json) beside it.",
        suffixes=(".onnx", ".xml"),
    )
    threshold: float | None = option(
        None,
        "fraction",
        "Threshold",
        "Probability from which a pixel is a building in the other program. Empty: the model's own. Higher: fewer,"
        " surer buildings.",
        minimum=0.01,
        maximum=0.99,
    )
