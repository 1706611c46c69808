"""Mixed precision: networks that calculate in 16 bits while their weights stay float32."""

from __future__ import annotations

from typing import Any

import keras

_IN_FLOAT32 = ("scaling", "pixel_range", "logits", "upsampled_logits", "probabilities")
"""Pixel values of any size, and logits, whose small differences are what is learned, would suffer from 16 bits."""


def with_precision(model: keras.Model, precision: str) -> keras.Model:
    """Return a network with the same weights that calculates in another precision.

    Micikevicius et al., "Mixed Precision Training", ICLR 2018, https://arxiv.org/abs/1710.03740. No global policy is
    set. What such a network has learned goes on in its float32 original, by `set_weights`, so that no file of a model
    knows how it was trained.

    Args:
        model: A functional network with the layers of `build_deeplabv3plus`, in float32.
        precision: `float32` (returns the network itself), `mixed_bfloat16` or `mixed_float16`.

    Returns:
        A network with weights of its own, in the same order; its outputs and `upsampled_logits` are float32.
    """
    if precision == "float32":
        return model

    def changed(layer: Any) -> Any:
        policy = "float32" if layer.name in _IN_FLOAT32 else precision
        return type(layer).from_config(layer.get_config() | {"dtype": policy})

    twin = keras.models.clone_model(model, clone_function=changed)
    twin.set_weights(model.get_weights())
    return twin
