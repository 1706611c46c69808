"""Going on from a trained model instead of a new network: fine-tuning."""

from __future__ import annotations

import dataclasses

import keras

from building_segmenter import tasks
from building_segmenter.chips.dataset import ChipDataset
from building_segmenter.errors import BandsError, InvalidParameterError, ModelError
from building_segmenter.networks import backbones, deeplabv3plus
from building_segmenter.networks.facts import ModelFacts
from building_segmenter.networks.model_file import load_model
from building_segmenter.networks.precision import with_precision
from building_segmenter.networks.shipped import default_model_path
from building_segmenter.training.starting import NUDGED, Start

_LEARNING_RATE = 0.0002
_SAME_GSD = 0.01


def with_model_path(options: tasks.TrainModel) -> tasks.TrainModel:
    """Return options with the path of the shipped model in place of the word that stands for it.

    Raises:
        ModelError: It is missing.
    """
    if options.initial_model != tasks.SHIPPED_MODEL:
        return options
    return dataclasses.replace(options, initial_model=str(default_model_path()))


def wanted_gsd(options: tasks.TrainModel, facts: ModelFacts | None) -> float | None:
    """Return the ground pixel in metres to train at; None: that of the datasets.

    Args:
        options: Of the task.
        facts: Those of the initial model, whose ground pixel stays what it is; None: there is no such model.

    Raises:
        InvalidParameterError: `GSD` differs from the model's.
    """
    if facts is None or options.gsd is None:
        return options.gsd if facts is None else facts.gsd
    if abs(options.gsd / facts.gsd - 1.0) > _SAME_GSD:
        raise InvalidParameterError(
            f"GSD is {options.gsd:g} m, and {options.initial_model} works at {facts.gsd:.4g} m.",
            "Leave GSD empty: chips are resampled to the model's ground pixel.",
        )
    return facts.gsd


def check_fit(datasets: list[ChipDataset], facts: ModelFacts, source: str) -> None:
    """Check that datasets have the bands that a model was trained on.

    Raises:
        BandsError: Their number or data type differs.
    """
    for one in datasets:
        if (one.bands, one.dtype) != (len(facts.bands), facts.dtype):
            raise BandsError(
                f"The chips of {one.folder} have {one.bands} bands of {one.dtype}, the initial model {source} was"
                f" trained on {len(facts.bands)} of {facts.dtype}.",
                "Export the chips with the BANDS of the model from an image of that type, or train without"
                " INITIAL_MODEL.",
            )


def initial_networks(options: tasks.TrainModel, facts: ModelFacts, channels: tuple[str, ...]) -> Start:
    """Load the initial model twice, ready to be trained.

    It has learned already: by default no epochs go to its heads alone, and it learns at a fifth of the rate of a
    new network. The statistics of the backbone's batch norms stay, since few chips would spoil them.

    Args:
        options: Of the task.
        facts: Those of the model.
        channels: What the chips can teach: a model's further channels, such as contacts, may stay untaught.

    Raises:
        ModelError: The model is none of Train model, or tells of other things than the chips.
        UnsafeModelError: The file holds code.
    """
    source = str(options.initial_model)
    _check_channels(facts, channels, source)
    model, averaged = (load_model(source)[0] for _ in range(2))
    for network in (model, averaged):
        _check_network(network, source)
        backbones.freeze_batch_norms(network)
    return Start(
        model=with_precision(model, options.training_precision),
        averaged=averaged,
        channels=facts.channels,
        scale=facts.scale,
        offset=facts.offset,
        architecture=facts.architecture,
        source=f"the model {facts.name}",
        head_epochs=options.head_epochs or 0,
        learning_rate=options.learning_rate or _LEARNING_RATE,
        backbone_share=NUDGED,
    )


def _check_channels(facts: ModelFacts, channels: tuple[str, ...], source: str) -> None:
    # Contacts are a help to buildings: either may lack them.
    if facts.channels == channels or facts.channels[0] == channels[0] == "building":
        return
    raise ModelError(
        f"The initial model {source} tells of {', '.join(facts.channels)}; the chips of {', '.join(channels)}.",
        "Export the chips with the same classes and set CLASSES to separate if the model has several, or train without"
        " INITIAL_MODEL.",
    )


def _check_network(model: keras.Model, source: str) -> None:
    try:
        known = bool(backbones.backbone_layers(model)) and deeplabv3plus.with_logits(model) is not None
    except ValueError:
        known = False
    if not known:
        raise ModelError(
            f"The initial model {source} is a network that Train model does not know how to train.",
            "Use a model that Train model made, or the one shipped with the plugin.",
        )
