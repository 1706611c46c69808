"""The three models of a Mask R-CNN: trunk, box head and mask head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import layers

from building_segmenter.networks import backbones
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.resnet import batch_norm, resnet_features

_RPN_FILTERS, _MASK_FILTERS = 512, 256
"""Of the original, whatever the width of its pyramid. With MobileNetV2 they are two and one times that width."""
_MOBILENET_TAPS = ("block_3_expand_relu", "block_6_expand_relu", "block_13_expand_relu")
"""Layers of MobileNetV2 whose outputs have the strides 4, 8 and 16."""


class Networks(NamedTuple):
    """The three models; see the package for what they take and return."""

    trunk: keras.Model
    box_head: keras.Model
    mask_head: keras.Model

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """All layers, each of which has a name of its own."""
        return [layer for model in self for layer in model.layers]


def build_networks(
    config: Config, scale: Sequence[float] | None = None, offset: Sequence[float] | None = None
) -> Networks:
    """Build the models with weights drawn at random.

    Args:
        config: Of the network.
        scale: One factor a band by which a MobileNetV2 trunk turns pixel values into `value * scale + offset`, about
            -1..1. Without: of bytes. A ResNet has no such layer and takes pixel values less `MEAN_PIXEL`.
        offset: One summand a band.
    """
    return Networks(build_trunk(config, scale, offset), build_box_head(config), build_mask_head(config))


def build_trunk(
    config: Config, scale: Sequence[float] | None = None, offset: Sequence[float] | None = None
) -> keras.Model:
    """Build backbone, feature pyramid and region proposal network; arguments as of `build_networks`.

    The last part of the model's name is that of its backbone, so that `backbones.load_backbone_weights` fills a trunk
    of MobileNetV2.
    """
    image = layers.Input(config.input_shape, name="input_image")
    if config.BACKBONE == "mobilenetv2":
        stages = _mobilenet_features(image, config, scale, offset)
    else:
        stages = resnet_features(image, config.BACKBONE)
    pyramid = _pyramid(stages, config.TOP_DOWN_PYRAMID_SIZE)
    last = layers.MaxPooling2D(1, strides=2, name="fpn_p6")(pyramid[-1])
    outputs = [*pyramid, *_region_proposals([*pyramid, last], config)]
    return keras.Model(image, outputs, name=f"mask_rcnn_trunk_{config.BACKBONE}")


def build_box_head(config: Config) -> keras.Model:
    """Build the head that classifies regions and moves their boxes.

    Its first two layers are the convolutions of the original in dense form, which OpenVINO computes more than ten times
    as fast: kernels over a whole plane are matrices.
    """
    size, classes = config.FPN_CLASSIF_FC_LAYERS_SIZE, config.NUM_CLASSES
    pooled = layers.Input((config.POOL_SIZE, config.POOL_SIZE, config.TOP_DOWN_PYRAMID_SIZE), name="box_features")
    features = layers.Flatten(name="box_flat")(pooled)
    for number in (1, 2):
        features = layers.Dense(size, name=f"mrcnn_class_conv{number}")(features)
        features = layers.ReLU(name=f"mrcnn_class_relu{number}")(batch_norm(features, f"mrcnn_class_bn{number}"))
    logits = layers.Dense(classes, name="mrcnn_class_logits")(features)
    # Float32 also where the rest computes with less.
    probabilities = layers.Softmax(dtype="float32", name="mrcnn_class")(logits)
    deltas = layers.Dense(4 * classes, name="mrcnn_bbox_fc")(features)
    deltas = layers.Reshape((classes, 4), name="mrcnn_bbox")(deltas)
    return keras.Model(pooled, [logits, probabilities, deltas], name="mask_rcnn_box_head")


def build_mask_head(config: Config) -> keras.Model:
    """Build the head that draws a mask for each class."""
    channels, side = config.TOP_DOWN_PYRAMID_SIZE, config.MASK_POOL_SIZE
    pooled = layers.Input((side, side, channels), name="mask_features")
    features = pooled
    filters = channels if config.BACKBONE == "mobilenetv2" else _MASK_FILTERS
    for number in range(1, 5):
        features = layers.Conv2D(filters, 3, padding="same", name=f"mrcnn_mask_conv{number}")(features)
        features = layers.ReLU(name=f"mrcnn_mask_relu{number}")(batch_norm(features, f"mrcnn_mask_bn{number}"))
    features = layers.Conv2DTranspose(filters, 2, strides=2, activation="relu", name="mrcnn_mask_deconv")(features)
    masks = layers.Conv2D(config.NUM_CLASSES, 1, activation="sigmoid", dtype="float32", name="mrcnn_mask")(features)
    return keras.Model(pooled, masks, name="mask_rcnn_mask_head")


def _mobilenet_features(
    image: Any, config: Config, scale: Sequence[float] | None, offset: Sequence[float] | None
) -> list[Any]:
    bands = config.IMAGE_CHANNEL_COUNT
    scale, offset = scale or (1 / 127.5,) * bands, offset or (-1.0,) * bands
    whole = backbones.build_backbone("mobilenetv2", bands, scale, offset, output_stride=16)
    tapped = keras.Model(whole.input, [whole.get_layer(name).output for name in _MOBILENET_TAPS])
    # Cloned layers stand in the trunk itself, where the loader of pretrained weights looks for them.
    grown = keras.models.clone_model(tapped, input_tensors=image)
    stages = list(grown.outputs)
    # What MobileNetV2 has at stride 32 is half of its weights; halls of that size are rare.
    coarse = layers.Conv2D(config.TOP_DOWN_PYRAMID_SIZE, 3, strides=2, padding="same", activation="relu", name="c5")
    return [*stages, coarse(stages[-1])]


def _pyramid(stages: Sequence[Any], channels: int) -> list[Any]:
    merged: list[Any] = []
    for level in (5, 4, 3, 2):
        lateral = layers.Conv2D(channels, 1, name=f"fpn_c{level}p{level}")(stages[level - 2])
        if merged:
            upper = layers.UpSampling2D(2, name=f"fpn_p{level + 1}upsampled")(merged[-1])
            lateral = layers.Add(name=f"fpn_p{level}add")([upper, lateral])
        merged.append(lateral)
    smooth = [layers.Conv2D(channels, 3, padding="same", name=f"fpn_p{level}") for level in (2, 3, 4, 5)]
    return [layer(features) for layer, features in zip(smooth, reversed(merged), strict=True)]


def _region_proposals(levels: Sequence[Any], config: Config) -> list[Any]:
    """Apply the same three convolutions to all levels; logits, probabilities and deltas of all anchors in a row."""
    anchors, stride = len(config.RPN_ANCHOR_RATIOS), config.RPN_ANCHOR_STRIDE
    filters = 2 * config.TOP_DOWN_PYRAMID_SIZE if config.BACKBONE == "mobilenetv2" else _RPN_FILTERS
    shared = layers.Conv2D(filters, 3, strides=stride, padding="same", activation="relu", name="rpn_conv_shared")
    to_logits = layers.Conv2D(2 * anchors, 1, name="rpn_class_raw")
    to_deltas = layers.Conv2D(4 * anchors, 1, name="rpn_bbox_pred")
    logits, deltas = [], []
    for number, features in enumerate(levels, 2):
        seen = shared(features)
        logits.append(layers.Reshape((-1, 2), name=f"rpn_class_logits_p{number}")(to_logits(seen)))
        deltas.append(layers.Reshape((-1, 4), name=f"rpn_bbox_p{number}")(to_deltas(seen)))
    joined = layers.Concatenate(axis=1, name="rpn_class_logits")(logits)
    probabilities = layers.Softmax(dtype="float32", name="rpn_class")(joined)
    return [joined, probabilities, layers.Concatenate(axis=1, name="rpn_bbox")(deltas)]
