"""The ResNet of Matterport's Mask R-CNN, whose layers differ in names, biases and strides from Keras' own.

He, Zhang, Ren, Sun, CVPR 2016, https://arxiv.org/abs/1512.03385: the stride of a stage is in its first 1x1
convolution. All convolutions have a bias, since the original weights do.
"""

from __future__ import annotations

from typing import Any

from keras import layers

BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
"""Blocks of the stages 2 to 5, by name of the backbone."""

_EPSILON = 1e-3


def resnet_features(image: Any, name: str) -> list[Any]:
    """Return C2, C3, C4 and C5 of an image tensor (batch, height, width, bands)."""
    features = layers.ZeroPadding2D(3, name="conv1_pad")(image)
    features = layers.Conv2D(64, 7, strides=2, name="conv1")(features)
    features = layers.ReLU(name="conv1_relu")(batch_norm(features, "bn_conv1"))
    features = layers.MaxPooling2D(3, strides=2, padding="same", name="pool1")(features)
    stages = []
    for stage, blocks in enumerate(BLOCKS[name], 2):
        for block in range(blocks):
            features = _block(features, f"{stage}{chr(ord('a') + block)}", 2 ** (stage + 4), block == 0, stage > 2)
        stages.append(features)
    return stages


def batch_norm(features: Any, name: str) -> Any:
    """Apply a batch norm with the constant that Matterport's weights were learned with."""
    return layers.BatchNormalization(epsilon=_EPSILON, name=name)(features)


def _block(features: Any, name: str, filters: int, is_first: bool, has_stride: bool) -> Any:
    stride = 2 if is_first and has_stride else 1
    branch = _convolved(features, filters, 1, f"{name}_branch2a", stride)
    branch = layers.ReLU(name=f"res{name}_relu_a")(branch)
    branch = _convolved(branch, filters, 3, f"{name}_branch2b")
    branch = layers.ReLU(name=f"res{name}_relu_b")(branch)
    branch = _convolved(branch, 4 * filters, 1, f"{name}_branch2c")
    shortcut = _convolved(features, 4 * filters, 1, f"{name}_branch1", stride) if is_first else features
    return layers.ReLU(name=f"res{name}_out")(layers.Add(name=f"res{name}_add")([branch, shortcut]))


def _convolved(features: Any, filters: int, size: int, name: str, stride: int = 1) -> Any:
    convolved = layers.Conv2D(filters, size, strides=stride, padding="same", name=f"res{name}")(features)
    return batch_norm(convolved, f"bn{name}")
