"""The end of a network of segmentation: logits brought to the image's pixels, and there to probabilities."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

_ACTIVATIONS = (keras.activations.sigmoid, keras.activations.softmax)


def before_upsampling(model: keras.Model) -> keras.Model:
    """Return a network that ends with the coarse logits which `model` would bring to the image's pixels.

    Args:
        model: From images (batch, H, W, bands).

    Returns:
        A network that shares all layers of `model` but the last two, where those are a bilinear upsampling by a whole
        factor f and a sigmoid or softmax: logits (batch, H / f, W / f, channels). Otherwise `model` as it is.
    """
    activation = _made_by(model.output)
    if type(activation) is not layers.Activation or activation.activation not in _ACTIVATIONS:
        return model
    upsampling = _made_by(activation.input)
    if type(upsampling) is not layers.UpSampling2D or len(set(upsampling.size)) != 1:
        return model
    known = upsampling.interpolation == "bilinear" and upsampling.data_format == "channels_last"
    return keras.Model(model.input, upsampling.input, name=model.name) if known else model


def _made_by(tensor: Any) -> Any:
    """Return the layer that made a tensor, if it is called only there; layers of several calls have no one input."""
    history = getattr(tensor, "_keras_history", None)
    layer = history.operation if history is not None else None
    return layer if layer is not None and len(layer._inbound_nodes) == 1 else None
