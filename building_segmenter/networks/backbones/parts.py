"""Which layers of a network are its backbone, and how they take part in training."""

from __future__ import annotations

import re

import keras
from keras import layers

from building_segmenter.networks.backbones.kinds import BACKBONES, Backbone

_UNNAMED = re.compile(r"(conv2d|batch_normalization|add)(_\d+)?")
_NAMES = {"conv2d": "shortcut_conv", "batch_normalization": "shortcut_bn", "add": "block_add"}


def backbone_of(model: keras.Model) -> Backbone:
    """Return the backbone of a network, which its name ends with.

    Raises:
        ValueError: The network has none of ours.
    """
    ending = model.name.rpartition("_")[2]
    if ending not in BACKBONES:
        raise ValueError(f"The network {model.name} has none of the backbones {', '.join(BACKBONES)}.")
    return BACKBONES[ending]


def backbone_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a network that belong to its backbone.

    Raises:
        ValueError: The network has no backbone of ours.
    """
    trunk = keras.Model(model.input, model.get_layer(backbone_of(model).last).output)
    return [layer for layer in trunk.layers if not isinstance(layer, layers.InputLayer | layers.Rescaling)]


def freeze_batch_norms(model: keras.Model) -> None:
    """Keep the backbone's batch norms at their pretrained statistics.

    Their momentum of 0.99 or 0.999 is made for long training: in a short fine-tuning the moving statistics would
    never arrive at the new images and prediction would fail while the training loss looks fine.
    """
    for layer in _batch_norms(model):
        layer.trainable = False


def quicken_batch_norms(model: keras.Model, momentum: float = 0.9) -> None:
    """Let the batch norms of a backbone that starts at random follow the images within a short training."""
    for layer in _batch_norms(model):
        layer.momentum = momentum


def own_names(model: keras.Model) -> dict[str, str]:
    """Return the names of a backbone's layers in our networks, by those in keras.applications.

    Layers that Xception leaves without a name are called by Keras after how many of their kind there are in the
    process so far; ours must not depend on that.
    """
    counts: dict[str, int] = {}
    names = {}
    for layer in model.layers:
        unnamed = _UNNAMED.fullmatch(layer.name)
        kind = _NAMES[unnamed[1]] if unnamed else ""
        counts[kind] = counts.get(kind, 0) + 1
        names[layer.name] = f"{kind}_{counts[kind]}" if unnamed else layer.name
    return names


def _batch_norms(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in backbone_layers(model) if isinstance(layer, layers.BatchNormalization)]
