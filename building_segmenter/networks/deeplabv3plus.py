"""DeepLabV3+ in pure Keras 3 layers, so that it trains on TensorFlow and loads and exports on OpenVINO.

The paper: Chen, Zhu, Papandreou, Schroff, Adam, "Encoder-Decoder with Atrous Separable Convolution for Semantic
Image Segmentation", ECCV 2018, https://arxiv.org/abs/1802.02611. Where this departs from it, the functions say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers

from building_segmenter.networks import backbones

OUTPUT_STRIDE = 16
"""Input height and width must be multiples of this many pixels; the larger of the two output strides there are."""

_ATROUS_RATES = {16: (2, 4, 6), 8: (4, 8, 12)}
_POOLING_WINDOW = {16: 23, 8: 45}
"""Side of the square that the pooled features are a mean of, in features: about 370 px."""

_LOW_LEVEL_STRIDE = 4
_LOW_LEVEL_FILTERS = 48
_LOGITS = "logits"


def build_deeplabv3plus(
    bands: int,
    channels: int,
    scale: Sequence[float],
    offset: Sequence[float],
    *,
    backbone: str = "mobilenetv2",
    output_stride: int = OUTPUT_STRIDE,
    activation: Literal["sigmoid", "softmax"] = "sigmoid",
    aspp_filters: int = 256,
    decoder_filters: int = 128,
    dropout: float = 0.2,
) -> keras.Model:
    """Build DeepLabV3+ with a freshly drawn (untrained) set of weights.

    Args:
        bands: Bands of the image, any number.
        channels: Probabilities per pixel.
        scale: One factor a band; the network itself turns pixel values into `value * scale + offset`.
        offset: One summand a band.
        backbone: One of `backbones.BACKBONES`.
        output_stride: Pixels of the image for one of the backbone's last features, 16 or 8. By the paper 8 is a
            little more accurate; the backbone's last blocks then take four times the work.
        activation: `sigmoid`: each channel for itself, so they need not add up to one. `softmax`: they share one.
        aspp_filters: Width of the pyramid of atrous convolutions.
        decoder_filters: Width of the decoder. The paper has 256; 128 halves the time on a processor.
        dropout: Share of the decoder's features dropped in training.

    Returns:
        A model from `(batch, height, width, bands)` float32 in raw pixel values to
        `(batch, height, width, channels)` float32 probabilities; height and width are free multiples of 16.
    """
    trunk = backbones.build_backbone(backbone, bands, scale, offset, output_stride)
    low_level, features = trunk.outputs
    pyramid = _atrous_pyramid(features, aspp_filters, decoder_filters, output_stride)
    decoded = _decoder(low_level, pyramid, decoder_filters, output_stride // _LOW_LEVEL_STRIDE)
    # Behind the last batch norm: before one it would shift the variance between training and use.
    decoded = layers.Dropout(dropout, name="decoder_dropout")(decoded)
    logits = layers.Conv2D(channels, 1, name=_LOGITS)(decoded)
    logits = layers.UpSampling2D(_LOW_LEVEL_STRIDE, interpolation="bilinear", name="upsampled_logits")(logits)
    # Probabilities stay float32 under a mixed precision policy, where values near 0 and 1 would be rounded away.
    probabilities = layers.Activation(activation, dtype="float32", name="probabilities")(logits)
    return keras.Model(trunk.input, probabilities, name=f"deeplabv3plus_{backbone}")


def with_logits(model: keras.Model) -> keras.Model:
    """Return a model that shares all layers of `model` but ends before the sigmoid or softmax, for safe losses."""
    return keras.Model(model.input, model.get_layer("upsampled_logits").output, name="logits_model")


def _atrous_pyramid(features: Any, filters: int, out_filters: int, output_stride: int) -> Any:
    # The paper's rates (6, 12 and 18 at output stride 16) and its mean of the whole image are made for photographs. An
    # orthophoto has no frame: in tiles of 512 px they reach beyond the tile from most pixels, and what they add then
    # tells where the tile begins. Thirds of the rates, and means of the surroundings (as DeepLab's own code has them
    # for crops), halve what changes when tiles begin elsewhere: see benchmarks/README.md.
    branches = [_conv(features, filters, "aspp_1x1")]
    branches += [_separable(features, filters, f"aspp_rate{rate}", rate) for rate in _ATROUS_RATES[output_stride]]
    branches.append(_surroundings(features, filters, _POOLING_WINDOW[output_stride]))
    return _conv(layers.Concatenate(name="aspp_concat")(branches), out_filters, "aspp_project")


def _surroundings(features: Any, filters: int, window: int) -> Any:
    # The mean of a square, in two passes; at the border, of its part inside. A batch norm of values that hardly vary
    # within an image would be noise: there is a bias instead.
    for axis, size in (("rows", (window, 1)), ("columns", (1, window))):
        features = layers.AveragePooling2D(size, strides=1, padding="same", name=f"aspp_pool_{axis}")(features)
    return layers.Conv2D(filters, 1, activation="relu", name="aspp_pool_conv")(features)


def _decoder(low_level: Any, pyramid: Any, filters: int, factor: int) -> Any:
    detail = _conv(low_level, _LOW_LEVEL_FILTERS, "decoder_low_level")
    coarse = layers.UpSampling2D(factor, interpolation="bilinear", name="decoder_upsampled")(pyramid)
    joined = layers.Concatenate(name="decoder_concat")([coarse, detail])
    return _separable(_separable(joined, filters, "decoder_1"), filters, "decoder_2")


def _conv(inputs: Any, filters: int, name: str) -> Any:
    return _norm_relu(layers.Conv2D(filters, 1, use_bias=False, name=name)(inputs), name)


def _separable(inputs: Any, filters: int, name: str, rate: int = 1) -> Any:
    depth = layers.DepthwiseConv2D(3, padding="same", dilation_rate=rate, use_bias=False, name=f"{name}_depthwise")
    narrowed = _norm_relu(depth(inputs), f"{name}_depthwise")
    return _norm_relu(
        layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_pointwise")(narrowed), f"{name}_pointwise"
    )


def _norm_relu(inputs: Any, name: str) -> Any:
    normed = layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_bn")(inputs)
    return layers.ReLU(name=f"{name}_relu")(normed)
