"""Export of a model for other programs: ONNX for Deepness and GeoDeep, OpenVINO IR for anything that runs OpenVINO."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import onnx
import openvino

from building_segmenter import scratch
from building_segmenter.inference.from_keras import as_openvino
from building_segmenter.networks.facts import ModelFacts, facts_to_item
from building_segmenter.networks.model_file import load_model
from building_segmenter.networks.onnx_export.deepness import score_names, value_range
from building_segmenter.networks.onnx_export.segmentation import as_onnx
from building_segmenter.networks.shipped import default_model_path
from building_segmenter.progress import Progress
from building_segmenter.tasks import ExportModel

FACTS_SUFFIX = ".mlm.json"
"""Ending of the facts beside an OpenVINO IR."""

_NAMESPACE = "building_segmenter"


def export_model(options: ExportModel, progress: Progress) -> dict[str, Any]:
    """Write a model in the format that the output's ending names.

    Returns:
        `output`, `format`, `threshold`, `tile_size` in pixels, `gsd` in metres, and `files` that were written.

    Raises:
        BuildingSegmenterError: The model cannot be loaded or written in this format, or the output not be made.
    """
    progress.update(0.0, "Loading the model")
    network, facts = load_model(options.model or default_model_path())
    if options.threshold is not None and facts.is_multiclass:
        progress.warn("THRESHOLD has no effect: in a model of several classes the most probable one wins.")
    elif options.threshold is not None:
        facts = dataclasses.replace(facts, threshold=options.threshold)
    progress.update(0.4, "Writing the network")
    with scratch.new_output(options.output) as path:
        kind = _FORMATS[path.suffix.lower()](network, facts, path, progress)
        files = sorted(one.name for one in path.parent.iterdir())
    progress.update(1.0, "Done")
    told = {"threshold": facts.threshold, "tile_size": facts.tile_size, "gsd": facts.gsd}
    return {"output": options.output, "format": kind, **told, "files": files}


def _write_onnx(network: keras.Model, facts: ModelFacts, path: Path, progress: Progress) -> str:
    model = as_onnx(network, facts, facts.threshold, _onnx_item(facts, path))
    onnx.save(model, str(path))
    if len(facts.bands) != 3:
        progress.warn(f"The model takes {len(facts.bands)} bands; GeoDeep runs models of three bands only.")
    if facts.dtype != "uint8":
        progress.warn(f"The model was trained on {facts.dtype} values; Deepness takes images of bytes only.")
    return "ONNX"


def _onnx_item(facts: ModelFacts, path: Path) -> dict[str, Any]:
    item = facts_to_item(facts)
    properties, names = item["properties"], score_names(facts)
    image, scores = properties["mlm:input"][0], properties["mlm:output"][0]
    side, unit = facts.tile_size, value_range(facts.dtype)
    order = ["batch", "bands", "height", "width"]
    image["input"] |= {"shape": [1, len(facts.bands), side, side], "dim_order": order}
    image["value_scaling"] = [{"type": "scale", "value": unit}]
    image["description"] = (
        f"Pixel values ({facts.dtype}) divided by {unit:g}, resampled to {facts.gsd:.4g} m on the ground."
    )
    scores["result"] |= {"shape": [1, len(names), side, side], "dim_order": ["batch", "channel", "height", "width"]}
    scores["description"] = f"Scores of {', '.join(names)}; the highest wins."
    return _with_asset(item, path, "ONNX", "application/octet-stream; framework=onnx")


def _write_openvino(network: keras.Model, facts: ModelFacts, path: Path, progress: Progress) -> str:
    item = _with_asset(facts_to_item(facts), path, "OpenVINO IR", "application/xml; framework=openvino")
    item["properties"]["mlm:input"][0]["input"]["shape"][0] = 1
    item["properties"]["mlm:output"][0]["result"]["shape"][0] = 1
    text = json.dumps(item, indent=1, allow_nan=False)
    model = as_openvino(openvino.Core(), network, 1, facts.tile_size, facts.tile_size, len(facts.bands))
    for name, value in {**_plain_facts(facts), "mlm": text}.items():
        model.set_rt_info(value, [_NAMESPACE, name])
    openvino.save_model(model, str(path), compress_to_fp16=False)
    path.with_suffix(FACTS_SUFFIX).write_text(text, encoding="utf-8")
    return "OpenVINO IR"


def _plain_facts(facts: ModelFacts) -> dict[str, str]:
    """Return what a program needs to run the network, in words that need no parser."""
    return {
        "name": facts.name,
        "gsd": f"{facts.gsd:.6g}",
        "tile_size": str(facts.tile_size),
        "threshold": f"{facts.threshold:.6g}",
        "bands": ",".join(band.name for band in facts.bands),
        "dtype": facts.dtype,
        "channels": ",".join(facts.channels),
        "licence": facts.licence,
        "credits": facts.credits,
    }


def _with_asset(item: dict[str, Any], path: Path, framework: str, media_type: str) -> dict[str, Any]:
    item["properties"]["mlm:framework"] = framework
    item["assets"] = {
        "model": {"href": f"./{path.name}", "title": framework, "type": media_type, "roles": ["mlm:model"]}
    }
    return item


_FORMATS = {".onnx": _write_onnx, ".xml": _write_openvino}
