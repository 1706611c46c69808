"""What a model says of itself: the facts that travel in its file as `mlm.json`.

The file is a STAC item with the properties of the Machine Learning Model extension
(https://github.com/stac-extensions/mlm, version 1.3), and of a namespace of our own for what that does not know.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from building_segmenter.errors import ModelError

FACTS_KEY = "building_segmenter:mlm"
"""Metadata key of the facts in an ONNX file, the same STAC item that a `.keras` file has as `mlm.json`."""

EXTENSION = "https://stac-extensions.github.io/mlm/v1.3.0/schema.json"

Activation = Literal["sigmoid", "softmax"]
"""How logits become probabilities: each channel by itself, or all of a pixel so that they add up to one."""

Kind = Literal["semantic-segmentation", "instance-segmentation"]
"""What a model does, in the words of the extension: tell what each pixel is, or find objects one by one."""

BACKGROUND = "background"
"""The first channel of a model with several classes: ground of none of them."""

UNUSED_THRESHOLD = 0.5
"""Threshold in the facts of a model with several classes, to which it means nothing."""

_OWN = "building_segmenter:"
_REQUIRED_OWN = ("gsd", "tile_size", "threshold", "scale", "offset", "dtype", "channels")
_OPTIONAL_OWN = ("metrics", "training", "credits", "engine_version", "activation", "network")


@dataclass(frozen=True)
class BandFacts:
    """One band of the training images, in their own units.

    Args:
        name: What the band is, or its number.
        minimum: Smallest value.
        maximum: Largest value.
        mean: Mean.
        stddev: Standard deviation.
    """

    name: str
    minimum: float
    maximum: float
    mean: float
    stddev: float


@dataclass(frozen=True)
class ModelFacts:
    """All that is needed to use a model rightly, and to judge it.

    Args:
        name: Name of the model.
        architecture: Architecture and backbone in words.
        bands: The bands it expects, with the statistics of the training images.
        dtype: Data type of the training images, such as `uint8`; the network takes float32 in the same units.
        scale: Factor of each band; the network itself computes `value * scale + offset`.
        offset: Summand of each band.
        gsd: Ground pixel in metres that it was trained at.
        tile_size: Side of a tile in pixels that it is meant for; a multiple of 16.
        channels: What each output channel is the probability of. The first is `building`, each channel by itself; or
            they are `background` and the names of `classes`, and a pixel belongs to the most probable one. Of a
            detector of objects the names of its classes, of which the first has the number 1.
        classes: `{"value", "name"}` of each class of the labels.
        threshold: Probability from which a pixel is best called a building, chosen on validation chips. It means
            nothing to a model with several classes (`activation` is `softmax`), which has `UNUSED_THRESHOLD`. Of a
            detector the least score of an object.
        metrics: Validation metrics by name, at that threshold; those of one class of several are `iou: NAME` and so on.
        training: Datasets, options and outcome of the training, ready for JSON.
        pretrained_source: Where the backbone's weights came from; empty if it started at random.
        parameters: Number of weights.
        credits: Whom a map made with the model must name.
        licence: Licence of the model (SPDX), empty if not stated.
        engine_version: Version of the engine that made it.
        framework_version: Version of Keras that made it.
        created: Date and time, ISO 8601 in UTC.
        activation: `sigmoid`: every channel is a probability by itself; `softmax`: they add up to one.
        kind: What the model does.
        network: What a detector's network must be run with, by name, ready for JSON; empty of other models.
    """

    name: str
    architecture: str
    bands: tuple[BandFacts, ...]
    dtype: str
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    gsd: float
    tile_size: int
    channels: tuple[str, ...]
    classes: tuple[dict[str, Any], ...]
    threshold: float
    created: str
    metrics: dict[str, float] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    pretrained_source: str = ""
    parameters: int = 0
    credits: str = ""
    licence: str = ""
    engine_version: str = ""
    framework_version: str = ""
    activation: Activation = "sigmoid"
    kind: Kind = "semantic-segmentation"
    network: dict[str, Any] = field(default_factory=dict)

    @property
    def is_detector(self) -> bool:
        """Whether it finds objects one by one, instead of telling what each pixel is."""
        return self.kind == "instance-segmentation"

    @property
    def is_multiclass(self) -> bool:
        """Whether pixels belong to one of several classes, instead of being buildings or not."""
        return self.activation == "softmax"


def facts_to_item(facts: ModelFacts) -> dict[str, Any]:
    """Return facts as a STAC item, ready for JSON."""
    own = {name: getattr(facts, name) for name in (*_REQUIRED_OWN, *_OPTIONAL_OWN)}
    properties = {
        "title": facts.name,
        "datetime": facts.created,
        "license": facts.licence or "other",
        "bands": [_band_to_item(band, facts.dtype) for band in facts.bands],
        "mlm:name": facts.name,
        "mlm:architecture": facts.architecture,
        "mlm:tasks": [facts.kind],
        "mlm:framework": "Keras",
        "mlm:framework_version": facts.framework_version,
        "mlm:total_parameters": facts.parameters,
        "mlm:pretrained": bool(facts.pretrained_source),
        "mlm:pretrained_source": facts.pretrained_source or None,
        "mlm:accelerator": None,
        "mlm:accelerator_constrained": False,
        "mlm:batch_size_suggestion": 1,
        "mlm:input": [_input(facts)],
        "mlm:output": [_output(facts)],
        "mlm:hyperparameters": dict(facts.training.get("options", {})),
        **{_OWN + name: value for name, value in own.items()},
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [EXTENSION],
        "id": re.sub(r"[^a-z0-9]+", "-", facts.name.lower()).strip("-") or "model",
        "geometry": None,
        "properties": properties,
        "links": [],
        "assets": {
            "model": {
                "href": "./",
                "title": "This file: a Keras archive",
                "type": "application/zip; application=keras",
                "roles": ["mlm:model"],
                "mlm:artifact_type": "keras.Model.save",
            }
        },
    }


def item_to_facts(item: Any, source: str) -> ModelFacts:
    """Return the facts of a STAC item.

    Args:
        item: The parsed `mlm.json`.
        source: The model file, for error messages.

    Raises:
        ModelError: Facts are missing or of the wrong kind; the message names them.
    """
    properties = item.get("properties") if isinstance(item, Mapping) else None
    if not isinstance(properties, Mapping):
        raise _incomplete(source, "its properties")
    needed = ["bands", "mlm:name", "mlm:output", *(_OWN + name for name in _REQUIRED_OWN)]
    missing = [name for name in needed if name not in properties]
    if missing:
        raise _incomplete(source, ", ".join(missing))
    try:
        facts = _parsed(properties)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise _incomplete(source, f"a well-formed value ({error!r})") from error
    _check(facts, source)
    return facts


def this_moment() -> str:
    """Return the date and time as `created` tells them."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def with_card(facts: ModelFacts, **changes: Any) -> ModelFacts:
    """Return facts with some of them replaced: name, credits, licence and the like."""
    return dataclasses.replace(facts, **changes)


def _parsed(properties: Mapping[str, Any]) -> ModelFacts:
    own = {name: properties[_OWN + name] for name in _REQUIRED_OWN}
    licence = str(properties.get("license", ""))
    return ModelFacts(
        name=str(properties["mlm:name"]),
        architecture=str(properties.get("mlm:architecture", "")),
        bands=tuple(_band_from_item(band) for band in properties["bands"]),
        dtype=str(own["dtype"]),
        scale=tuple(map(float, own["scale"])),
        offset=tuple(map(float, own["offset"])),
        gsd=float(own["gsd"]),
        tile_size=int(own["tile_size"]),
        channels=tuple(map(str, own["channels"])),
        classes=tuple(dict(one) for one in properties["mlm:output"][0]["classification:classes"]),
        threshold=float(own["threshold"]),
        created=str(properties.get("datetime", "")),
        metrics=dict(properties.get(_OWN + "metrics", {})),
        training=dict(properties.get(_OWN + "training", {})),
        pretrained_source=str(properties.get("mlm:pretrained_source") or ""),
        parameters=int(properties.get("mlm:total_parameters", 0)),
        credits=str(properties.get(_OWN + "credits", "")),
        licence="" if licence == "other" else licence,
        engine_version=str(properties.get(_OWN + "engine_version", "")),
        framework_version=str(properties.get("mlm:framework_version", "")),
        # Files of before there were several classes do not say it. What else they say is checked later.
        activation=cast(Activation, str(properties.get(_OWN + "activation", "sigmoid"))),
        kind=cast(Kind, str((properties.get("mlm:tasks") or get_args(Kind)[:1])[0])),
        network=dict(properties.get(_OWN + "network", {})),
    )


def _check(facts: ModelFacts, source: str) -> None:
    wrong = [
        name
        for name, fine in (
            ("gsd", 0.0 < facts.gsd < 1000.0),
            ("tile_size", 16 <= facts.tile_size <= 8192 and facts.tile_size % 16 == 0),
            ("threshold", 0.0 <= facts.threshold <= 1.0),
            ("channels", len(facts.channels) > 0),
            ("scale", len(facts.scale) == len(facts.offset) == len(facts.bands) > 0),
            ("activation", facts.activation in get_args(Activation)),
            ("task", facts.kind in get_args(Kind)),
            ("list of classes", not facts.is_multiclass or _has_class_channels(facts)),
        )
        if not fine
    ]
    if wrong:
        raise _incomplete(source, f"a usable {' and '.join(wrong)}")


def _has_class_channels(facts: ModelFacts) -> bool:
    values = [one.get("value") for one in facts.classes]
    whole = all(isinstance(value, int) and value > 0 for value in values)
    names = tuple(str(one.get("name")) for one in facts.classes)
    return whole and len(set(values)) == len(values) > 1 and facts.channels == (BACKGROUND, *names)


def _incomplete(source: str, what: str) -> ModelError:
    return ModelError(
        f"The facts in the model {source} lack {what}.",
        "Train the model again with this version, or repair the entry mlm.json of the file.",
    )


def _band_to_item(band: BandFacts, dtype: str) -> dict[str, Any]:
    statistics = {"minimum": band.minimum, "maximum": band.maximum, "mean": band.mean, "stddev": band.stddev}
    return {"name": band.name, "data_type": dtype, "statistics": statistics}


def _band_from_item(band: Mapping[str, Any]) -> BandFacts:
    return BandFacts(
        str(band["name"]), *(float(band["statistics"][key]) for key in ("minimum", "maximum", "mean", "stddev"))
    )


def _input(facts: ModelFacts) -> dict[str, Any]:
    return {
        "name": "image",
        "description": (
            f"Pixel values as they are in the images ({facts.dtype}), resampled to {facts.gsd:.4g} m on the ground."
            " The network scales them itself. Height and width are multiples of"
            f" {64 if facts.is_detector else 16} pixels."
        ),
        "bands": [band.name for band in facts.bands],
        "input": {
            "shape": [-1, facts.tile_size, facts.tile_size, len(facts.bands)],
            "dim_order": ["batch", "height", "width", "bands"],
            "data_type": "float32",
        },
        "value_scaling": None,
        "resize_type": None,
    }


def _output(facts: ModelFacts) -> dict[str, Any]:
    if facts.is_detector:
        return _objects(facts)
    return {
        "name": "probabilities",
        "description": f"Probability of {', '.join(facts.channels)}{_relation(facts)}",
        "tasks": ["semantic-segmentation"],
        "result": {
            "shape": [-1, facts.tile_size, facts.tile_size, len(facts.channels)],
            "dim_order": ["batch", "height", "width", "channel"],
            "data_type": "float32",
        },
        "classification:classes": [dict(one) for one in facts.classes],
        "post_processing_function": None,
    }


def _objects(facts: ModelFacts) -> dict[str, Any]:
    return {
        "name": "objects",
        "description": (
            "Objects with box, score, class and mask. They are made of the outputs of three networks in this file"
            " (trunk, box head and mask head) and what lies between these: proposals, ROI align and suppression."
        ),
        "tasks": [facts.kind],
        "result": {"shape": [-1, -1], "dim_order": ["batch", "object"], "data_type": "float32"},
        "classification:classes": [dict(one) for one in facts.classes],
        "post_processing_function": None,
    }


def _relation(facts: ModelFacts) -> str:
    if facts.is_multiclass:
        return f"; they add up to one. A pixel belongs to the most probable; {_OWN}threshold is not used."
    return ", each apart from the others."
