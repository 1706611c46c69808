"""The page that tells what a model is, and the same as data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from building_segmenter import scratch
from building_segmenter.networks.facts import ModelFacts
from building_segmenter.networks.inspection import ModelFile, inspect_model
from building_segmenter.networks.shipped import default_model_path
from building_segmenter.progress import Progress
from building_segmenter.reports.page import escape, page, table
from building_segmenter.tasks import DescribeModel

_METRICS = {
    "iou": "IoU of buildings",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "ap50": "AP50",
    "ap75": "AP75",
}
_MEANINGS = {
    "iou": "building pixels found and true, of all that are found or true",
    "precision": "share of the pixels found that are buildings",
    "recall": "share of the building pixels that are found",
    "f1": "harmonic mean of precision and recall",
}
_MEANINGS_OF_OBJECTS = {
    "ap50": "average precision of objects that overlap a true one by half, by their masks",
    "ap75": "the same of those that overlap it by three quarters",
    "precision": "share of the objects found that are true",
    "recall": "share of the true objects that are found",
    "f1": "harmonic mean of precision and recall",
}
_TABLES = ("options", "datasets", "versions")


def describe_model(options: DescribeModel, progress: Progress) -> dict[str, Any]:
    """Write the page of a model.

    Returns:
        `output`, and what the page tells: the fields of `ModelFile`, facts and all.

    Raises:
        BuildingSegmenterError: The model cannot be read, or the page not be written.
    """
    progress.update(0.0, "Reading the model")
    model = inspect_model(options.model or default_model_path())
    with scratch.new_output(options.output) as path:
        path.write_text(render_model_page(model), encoding="utf-8")
    progress.update(1.0, "Done")
    return {"output": options.output, **dataclasses.asdict(model)}


def render_model_page(model: ModelFile) -> str:
    """Return the page of a model as HTML."""
    facts = model.facts
    if facts is None:
        lead = "A model from elsewhere: its ground pixel, bands, scaling and threshold are not in the file."
        sections = [("Network", _network(model))]
        sections += [("Metadata", _pairs(model.metadata))] if model.metadata else []
        return page(Path(model.path).name, lead, [*sections, ("File", _file(model))])
    lead = f"{facts.architecture or 'A segmentation model'}; {len(facts.bands)} bands at {facts.gsd:.3g} m."
    sections = [
        ("In use", _use(facts)),
        ("Image", _bands(facts)),
        ("Output", _classes(facts)),
        ("Accuracy", _accuracy(facts)),
        ("Training", _training(facts)),
        ("Credits and licence", _rights(facts)),
        ("Network", _network(model) + (_pairs(facts.network, "Configuration", str) if facts.network else "")),
    ]
    sections += [("Metadata for other programs", _pairs(model.metadata))] if model.metadata else []
    return page(facts.name, lead, [*sections, ("File", _file(model))])


def _use(facts: ModelFacts) -> str:
    rows = [
        ("Ground pixel", f"{facts.gsd:.4g} m: images are resampled to it"),
        ("Tile", f"{facts.tile_size} x {facts.tile_size} px, {facts.tile_size * facts.gsd:.3g} m on the ground"),
        ("Threshold", _threshold(facts)),
        ("Image type", f"{facts.dtype}; images of other types are brought to its mean and deviation, band by band"),
    ]
    return table(rows)


def _threshold(facts: ModelFacts) -> str:
    if facts.is_multiclass:
        return "none: a pixel is of the class that is most probable"
    if facts.is_detector:
        return f"{facts.threshold:.3g}: an object of this score or more is called a building"
    return f"{facts.threshold:.3g}: a pixel of this probability or more is called a building"


def _bands(facts: ModelFacts) -> str:
    statistics = [(band.name, band.minimum, band.maximum, band.mean, band.stddev) for band in facts.bands]
    rows = [
        (*numbers, scale, offset) for numbers, scale, offset in zip(statistics, facts.scale, facts.offset, strict=True)
    ]
    head = ("Band", "Lowest", "Highest", "Mean", "Deviation", "Scale", "Offset")
    caption = "Of the training images. The network itself takes value x scale + offset."
    return table(rows, head, caption)


def _classes(facts: ModelFacts) -> str:
    numbered = [(number, name) for number, name in enumerate(facts.channels, 1)]
    head, caption = ("Channel", "Probability of"), "Channels of the network"
    if facts.is_detector:
        head, caption = ("Number", "Class"), "Objects that it finds one by one, each with box, score and mask"
    channels = table(numbered, head, caption)
    names = list(dict.fromkeys(name for one in facts.classes for name in one))
    rows = [[_plain(one.get(name)) for name in names] for one in facts.classes]
    classes = table(rows, [_words(name) for name in names], "Classes of the labels")
    return f'<div class="row">{channels}{classes}</div>'


def _accuracy(facts: ModelFacts) -> str:
    if not facts.metrics:
        return "<p>The file states none.</p>"
    meanings = _MEANINGS_OF_OBJECTS if facts.is_detector else _MEANINGS
    rows = [(_METRICS.get(name, _words(name)), value, meanings.get(name, "")) for name, value in facts.metrics.items()]
    return table(rows, ("Metric", "Value", ""), "On the validation chips.")


def _training(facts: ModelFacts) -> str:
    training = facts.training
    outcome = {"trained": facts.created, "pretrained": facts.pretrained_source or "no: started at random"}
    outcome |= {name: value for name, value in training.items() if name not in _TABLES}
    versions = training.get("versions") or {
        "building_segmenter": facts.engine_version,
        "keras": facts.framework_version,
    }
    return (
        f"{_pairs(outcome)}{_datasets(training.get('datasets', []))}"
        f'<div class="row">{_pairs(training.get("options", {}), "Options", str.upper)}'
        f"{_pairs(versions, 'Versions', str)}</div>"
    )


def _datasets(datasets: Sequence[Mapping[str, Any]]) -> str:
    if not datasets:
        return ""
    head = list(dict.fromkeys(name for one in datasets for name in one))
    rows = [[_plain(one.get(name)) for name in head] for one in datasets]
    return table(rows, [_words(name) for name in head], "Datasets")


def _rights(facts: ModelFacts) -> str:
    licence = facts.licence or "not stated: ask who trained it before you pass it on"
    credits = facts.credits or "none stated"
    return table([("Licence", licence), ("To be named on maps", credits)])


def _network(model: ModelFile) -> str:
    rows = [
        (side, one["name"], _shape(one["shape"]), one["type"])
        for side, tensors in (("Input", model.inputs), ("Output", model.outputs))
        for one in tensors
    ]
    tensors = table(rows, ("", "Name", "Shape", "Type"), f"{model.parameters:,} weights")
    if not model.layers:
        return tensors
    kinds = ", ".join(f"{count} {kind}" for kind, count in model.layers.items())
    return f"{tensors}<p>Layers: {escape(kinds)}.</p>"


def _shape(shape: Sequence[Any]) -> str:
    return " x ".join("any" if size is None else str(size) for size in shape) or "not stated"


def _file(model: ModelFile) -> str:
    size = f"{model.size / 1e6:,.2f} MB ({model.size:,} bytes)"
    return table([("Path", model.path), ("Format", model.format), ("Size", size), ("SHA-256", model.sha256)])


def _pairs(values: Mapping[str, Any], caption: str = "", shown: Any = None) -> str:
    show = shown or _words
    # As text, or numbers would stand far to the right of what they belong to.
    rows = [(show(name), str(_plain(value))) for name, value in values.items() if value not in (None, "")]
    return table(rows, (), caption)


def _words(name: str) -> str:
    """Return a key as words: `training_chips` as Training chips."""
    words = name.replace("_", " ").strip()
    return {"gsd": "GSD [m]"}.get(words, words[:1].upper() + words[1:])


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, list | tuple) and not any(isinstance(one, list | tuple | Mapping) for one in value):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | tuple | Mapping) else value
