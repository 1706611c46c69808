"""A Mask R-CNN in the one-file model: its three networks as one of Keras, and its configuration among the facts."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from building_segmenter import __version__
from building_segmenter.errors import BuildingSegmenterError, InvalidParameterError, ModelError
from building_segmenter.networks.facts import BandFacts, ModelFacts, this_moment
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.model_file import load_network, read_facts, write_model

if TYPE_CHECKING:
    from building_segmenter.networks.mask_rcnn.network import Networks

_PARTS = ("trunk", "box_head", "mask_head")
_WHOLE = "mask_rcnn"

_BYTES, _DEVIATION = 255.0, 58.0
"""Largest value of a byte, and how far those of ImageNet, which the original's weights began with, are spread."""


def write_mask_rcnn(networks: Networks, config: Config, facts: ModelFacts, path: Path) -> None:
    """Write a Mask R-CNN to a path that already is a scratch file.

    Args:
        networks: Its three models.
        config: What they are to be run with; kept as `facts.network`.
        facts: What else is to be known of it.
        path: Of the file.
    """
    import keras

    # One model with three inputs, whose layers are the networks: any Keras opens it.
    inputs = [keras.Input(model.input_shape[1:], name=name) for name, model in zip(_PARTS, networks, strict=True)]
    outputs = [model(image) for model, image in zip(networks, inputs, strict=True)]
    whole = keras.Model(inputs, outputs, name=_WHOLE)
    own = dataclasses.replace(facts, kind="instance-segmentation", network=dataclasses.asdict(config))
    write_model(whole, own, path)


def facts_of(config: Config, gsd: float, classes: Sequence[str], name: str) -> ModelFacts:
    """Return the facts of a Mask R-CNN of which nothing but its configuration is known.

    Args:
        config: Of the model.
        gsd: Ground pixel in metres of the images that it was trained on.
        classes: Names of the classes without the ground.
        name: Of the model.

    Raises:
        InvalidParameterError: The classes are not as many as the configuration has, or its images are no squares.
    """
    if len(classes) != config.NUM_CLASSES - 1:
        raise InvalidParameterError(
            f"{len(classes)} classes are named; with the ground, NUM_CLASSES is {config.NUM_CLASSES}.",
            "Name each class but the ground.",
        )
    if config.IMAGE_RESIZE_MODE != "square":
        raise InvalidParameterError(
            f"IMAGE_RESIZE_MODE is {config.IMAGE_RESIZE_MODE}; tiles are squares of one size.",
            "Give square, and IMAGE_MAX_DIM the side of a tile.",
        )
    bands, trunk = config.IMAGE_CHANNEL_COUNT, config.mean_pixel if any(config.mean_pixel) else (_BYTES / 2,)
    means = trunk if len(trunk) == bands else trunk * bands
    return ModelFacts(
        name=name,
        architecture=f"Mask R-CNN with {config.BACKBONE}",
        bands=tuple(BandFacts(str(k), 0.0, _BYTES, float(mean), _DEVIATION) for k, mean in enumerate(means, 1)),
        dtype="uint8",
        scale=(1.0,) * bands,
        offset=tuple(-mean for mean in means) if any(config.mean_pixel) else (0.0,) * bands,
        gsd=gsd,
        tile_size=config.IMAGE_MAX_DIM,
        channels=tuple(classes),
        classes=tuple({"value": value, "name": str(one)} for value, one in enumerate(classes, 1)),
        threshold=config.DETECTION_MIN_CONFIDENCE,
        created=this_moment(),
        engine_version=__version__,
        framework_version=version("keras"),
    )


def read_mask_rcnn_facts(path: str | os.PathLike[str]) -> tuple[Config, ModelFacts]:
    """Read the configuration and the facts of a Mask R-CNN without loading it.

    Raises:
        InputNotFoundError: The file does not exist.
        ModelError: It is no model of a Mask R-CNN, or its facts are incomplete.
        UnsafeModelError: Its archive is made to do harm.
    """
    facts = read_facts(path)
    if not facts.is_detector:
        raise ModelError(
            f"The model {path} ({facts.architecture}) tells what each pixel is and finds no objects one by one.",
            "Choose a Mask R-CNN, which Train model makes with ARCHITECTURE mask-rcnn; or use Extract buildings, which"
            " takes both.",
        )
    try:
        config = Config(**facts.network)
    except (TypeError, ValueError, BuildingSegmenterError) as error:
        raise _damaged(path, f"its configuration cannot be used: {error}") from error
    if config.NUM_CLASSES != len(facts.channels) + 1 or config.IMAGE_CHANNEL_COUNT != len(facts.bands):
        raise _damaged(
            path,
            f"its configuration has {config.NUM_CLASSES} classes with the ground and {config.IMAGE_CHANNEL_COUNT}"
            f" bands, its facts name {len(facts.channels)} classes and {len(facts.bands)} bands",
        )
    return config, facts


def load_mask_rcnn(path: str | os.PathLike[str]) -> tuple[Networks, Config, ModelFacts]:
    """Load a Mask R-CNN; nothing in the file is run as code.

    Returns:
        Its networks, uncompiled, its configuration, and its facts.

    Raises:
        InputNotFoundError: The file does not exist.
        ModelError: It is corrupt, no Mask R-CNN, or contradicts its facts.
        UnsafeModelError: It holds code or foreign classes, or reaches outside itself.
    """
    from building_segmenter.networks.mask_rcnn.network import Networks

    config, facts = read_mask_rcnn_facts(path)
    whole = load_network(path)
    parts = [layer for layer in getattr(whole, "layers", ()) if layer.name.startswith(_WHOLE)]
    found = {_part_of(layer.name): layer for layer in parts}
    if sorted(found) != sorted(_PARTS):
        raise _damaged(path, f"it has {', '.join(sorted(found)) or 'none'} of {', '.join(_PARTS)}")
    networks = Networks(*(found[name] for name in _PARTS))
    _check(networks, config, path)
    return networks, config, facts


def _part_of(name: str) -> str:
    """Return which part a layer is; the name of a trunk ends with that of its backbone."""
    rest = name.removeprefix(f"{_WHOLE}_")
    return "trunk" if rest.startswith("trunk") else rest


def _check(networks: Networks, config: Config, path: str | os.PathLike[str]) -> None:
    """Check what is shown by the shapes of inputs and outputs; inside, the networks are what the file says."""
    channels, classes = config.TOP_DOWN_PYRAMID_SIZE, config.NUM_CLASSES
    wanted: dict[str, tuple[Any, Any]] = {
        "the trunk's bands": (networks.trunk.input_shape[-1], config.IMAGE_CHANNEL_COUNT),
        "the trunk's outputs": (len(networks.trunk.outputs), 7),
        "the box head's input": (networks.box_head.input_shape[1:], (config.POOL_SIZE,) * 2 + (channels,)),
        "the box head's outputs": (len(networks.box_head.outputs), 3),
        "the box head's classes": (networks.box_head.outputs[0].shape[-1], classes),
        "the mask head's input": (networks.mask_head.input_shape[1:], (config.MASK_POOL_SIZE,) * 2 + (channels,)),
        "the mask head's output": (networks.mask_head.output_shape[1:], (*config.MASK_SHAPE, classes)),
    }
    for name, (found, expected) in wanted.items():
        if found != expected:
            raise _damaged(path, f"{name} are {found}, its configuration says {expected}")


def _damaged(path: str | os.PathLike[str], why: str) -> ModelError:
    return ModelError(
        f"The model {path} is no whole Mask R-CNN: {why}.",
        "The file was changed after training, or was made by another version: copy it again, or train the model again.",
    )
