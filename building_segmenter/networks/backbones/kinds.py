"""Which backbones there are, and what the networks must know of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

# Mean red, green and blue of ImageNet in bytes, as the ResNets of keras.applications take them off.
_IMAGENET_MEAN = (123.68, 116.779, 103.939)


@dataclass(frozen=True)
class Backbone:
    """A backbone of keras.applications, without its top.

    Args:
        name: As in the option BACKBONE.
        title: As people write it.
        application: Its function in keras.applications.
        low_level: Layer whose output at stride 4 the decoder takes up.
        last: Layer whose output the pyramid takes up.
        first_convolution: The layer that sees the bands.
        arrays: Number of arrays in its `get_weights()`.
        centre: Its pretrained weights expect blue, green and red (in this order) in bytes, less this mean of (in this
            order) red, green and blue. None: they expect red, green and blue from -1 to 1.
    """

    name: str
    title: str
    application: str
    low_level: str
    last: str
    first_convolution: str
    arrays: int
    centre: tuple[float, float, float] | None = None

    def build(self, **options: Any) -> keras.Model:
        """Build it as keras.applications has it, without its top; the options are those of its function."""
        model: keras.Model = getattr(keras.applications, self.application)(include_top=False, **options)
        return model


def _resnet(name: str, title: str, application: str, last: str, arrays: int) -> Backbone:
    return Backbone(
        name,
        title,
        application,
        low_level="conv2_block3_out",
        last=last,
        first_convolution="conv1_conv",
        arrays=arrays,
        centre=_IMAGENET_MEAN,
    )


_ALL = (
    # Sandler et al., CVPR 2018, https://arxiv.org/abs/1801.04381. Cut where the last stride would follow: the rest
    # has half of the weights, and is made for output stride 32.
    Backbone(
        "mobilenetv2",
        "MobileNetV2",
        "MobileNetV2",
        low_level="block_3_expand_relu",
        last="block_13_expand_relu",
        first_convolution="Conv1",
        arrays=260,
    ),
    # Chollet, CVPR 2017, https://arxiv.org/abs/1610.02357. The low-level features are those of the entry flow's
    # second block before its stride, as in the paper of DeepLabV3+ (whose Xception has further layers of its own).
    Backbone(
        "xception",
        "Xception",
        "Xception",
        low_level="block3_sepconv2_bn",
        last="block14_sepconv2_act",
        first_convolution="block1_conv1",
        arrays=234,
    ),
    # He et al., CVPR 2016, https://arxiv.org/abs/1512.03385.
    _resnet("resnet50", "ResNet-50", "ResNet50", last="conv5_block3_out", arrays=318),
    _resnet("resnet101", "ResNet-101", "ResNet101", last="conv5_block3_out", arrays=624),
)

BACKBONES = {backbone.name: backbone for backbone in _ALL}
"""Backbones by name."""
