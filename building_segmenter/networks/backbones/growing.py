"""Backbones of keras.applications, grown on images of any bands up to a chosen output stride."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from building_segmenter.networks.backbones.kinds import BACKBONES
from building_segmenter.networks.backbones.parts import own_names

_PROBE = 256
"""Side of the image, in pixels, on which strides are told from the sizes of planes."""

_HALF_BYTE = 127.5
"""How many values of a byte are 1 of what the first layer makes of them."""


def build_backbone(
    name: str, bands: int, scale: Sequence[float], offset: Sequence[float], output_stride: int
) -> keras.Model:
    """Build a backbone with weights drawn at random.

    Where a stride would lead beyond the output stride it becomes 1, and the kernels after it are spread over as many
    pixels instead (atrous convolution), so that pretrained weights see what they saw. Max pooling cannot be spread:
    its window grows to the same reach. Kernels without padding get it, so that planes are whole parts of the image.

    A backbone whose pretrained weights expect bytes less a mean gets a second layer of scaling for that; bands beyond
    red, green and blue, and images of one or two bands, have the mean of the three means.

    Args:
        name: Of the backbone.
        bands: Bands of the image, any number.
        scale: One factor a band: the first layer turns pixel values into `value * scale + offset`, about -1..1.
        offset: One summand a band.
        output_stride: Pixels of the image for one of the last features: 16 or 8.

    Returns:
        A model from `(batch, height, width, bands)` to the features at stride 4 and those at the output stride. Height
        and width are free multiples of 16. All layers are Keras' own, named as in keras.applications; those without
        a fixed name there get one.
    """
    backbone = BACKBONES[name]
    probe = layers.Input((_PROBE, _PROBE, bands))
    scaled = layers.Rescaling(list(scale), list(offset), dtype="float32", name="scaling")(probe)
    if backbone.centre:
        scaled = _bytes_less(backbone.centre, bands)(scaled)
    whole = backbone.build(weights=None, input_tensor=scaled)
    cut = keras.Model(probe, [whole.get_layer(tap).output for tap in (backbone.low_level, backbone.last)])
    names = own_names(cut)

    def changed(layer: Any) -> Any:
        config = layer.get_config() | _dense(layer, output_stride) | {"name": names[layer.name]}
        return type(layer).from_config(config)

    image = layers.Input((None, None, bands), name="image")
    return keras.models.clone_model(cut, input_tensors=image, clone_function=changed)


def _bytes_less(centre: tuple[float, ...], bands: int) -> keras.layers.Layer:
    """Return the layer that makes bytes less a mean of what lies in -1..1."""
    own = centre if bands >= len(centre) else ()
    centres = own + (sum(centre) / len(centre),) * (bands - len(own))
    return layers.Rescaling(_HALF_BYTE, [_HALF_BYTE - one for one in centres], dtype="float32", name="pixel_range")


def _dense(layer: Any, output_stride: int) -> dict[str, Any]:
    """Return what changes in the configuration of a layer so that no stride leads beyond the output stride."""
    stride = _stride_before(layer)
    rate = max(1, stride // output_stride)
    changes: dict[str, Any] = {}
    if stride >= output_stride and max(getattr(layer, "strides", (1,))) > 1:
        changes["strides"] = (1, 1)
    if rate > 1 and max(getattr(layer, "kernel_size", (1,))) > 1:
        changes["dilation_rate"] = (rate, rate)
    if rate > 1 and isinstance(layer, layers.MaxPooling2D):
        changes["pool_size"] = tuple((side - 1) * rate + 1 for side in layer.pool_size)
    if stride >= output_stride and isinstance(layer, layers.ZeroPadding2D):
        # Keras pads a strided kernel on one side only; one without stride has its pixel in the middle.
        changes["padding"] = tuple((side // 2 * rate,) * 2 for side in _after(layer).kernel_size)
    if _is_unpadded(layer):
        changes["padding"] = "same"
    return changes


def _stride_before(layer: Any) -> int:
    """Return how many pixels of the image make one of what a layer of the original backbone takes."""
    taken = layer.input[0] if isinstance(layer.input, list) else layer.input
    # Padding, or the lack of it, makes sides a little off: the power of two is the nearest.
    return int(2 ** round(math.log2(_PROBE / taken.shape[1])))


def _is_unpadded(layer: Any) -> bool:
    if getattr(layer, "padding", None) != "valid" or max(getattr(layer, "kernel_size", (1,))) == 1:
        return False
    return not isinstance(layer._inbound_nodes[0].parent_nodes[0].operation, layers.ZeroPadding2D)


def _after(layer: Any) -> Any:
    return layer._outbound_nodes[0].operation
