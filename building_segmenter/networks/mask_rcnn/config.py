"""The configuration of a Mask R-CNN, with the names and defaults of Matterport's."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from building_segmenter.errors import InvalidParameterError

BACKBONES = ("resnet50", "resnet101", "mobilenetv2")
_RESIZE_MODES = ("square", "pad64", "none")
_LARGEST_STRIDE = 64


@dataclass(frozen=True)
class Config:
    """What a Mask R-CNN is built, trained and run with.

    Names and defaults are Matterport's, whose documentation explains them; here is only what is ours or differs.

    Args:
        BACKBONE: `resnet50` or `resnet101` as Matterport has them, or `mobilenetv2` of our own.
        NUM_CLASSES: Including the ground, which is class 0.
        IMAGE_CHANNEL_COUNT: Bands of the image.
        MEAN_PIXEL: One value a band, or one for all, taken off the pixels for a ResNet. A MobileNetV2 trunk takes raw
            pixel values and scales them itself.
        IMAGE_RESIZE_MODE: `square`, `pad64` or `none`.
        PRE_NMS_LIMIT: Anchors of highest score that suppression looks at.
        ROI_ALIGN: `exact` reads features where they lie, as the paper asks for; `matterport` as weights that
            Matterport's implementation learned expect it.

    Raises:
        InvalidParameterError: A value is none that the network can be built with.
    """

    NAME: str = "buildings"
    GPU_COUNT: int = 1
    IMAGES_PER_GPU: int = 2
    STEPS_PER_EPOCH: int = 1000
    VALIDATION_STEPS: int = 50
    BACKBONE: str = "resnet101"
    BACKBONE_STRIDES: tuple[int, ...] = (4, 8, 16, 32, 64)
    FPN_CLASSIF_FC_LAYERS_SIZE: int = 1024
    TOP_DOWN_PYRAMID_SIZE: int = 256
    NUM_CLASSES: int = 2
    RPN_ANCHOR_SCALES: tuple[float, ...] = (32, 64, 128, 256, 512)
    RPN_ANCHOR_RATIOS: tuple[float, ...] = (0.5, 1, 2)
    RPN_ANCHOR_STRIDE: int = 1
    RPN_NMS_THRESHOLD: float = 0.7
    RPN_TRAIN_ANCHORS_PER_IMAGE: int = 256
    PRE_NMS_LIMIT: int = 6000
    POST_NMS_ROIS_TRAINING: int = 2000
    POST_NMS_ROIS_INFERENCE: int = 1000
    USE_MINI_MASK: bool = True
    MINI_MASK_SHAPE: tuple[int, int] = (56, 56)
    IMAGE_RESIZE_MODE: str = "square"
    IMAGE_MIN_DIM: int = 800
    IMAGE_MAX_DIM: int = 1024
    IMAGE_MIN_SCALE: float = 0
    IMAGE_CHANNEL_COUNT: int = 3
    MEAN_PIXEL: tuple[float, ...] = (123.7, 116.8, 103.9)
    TRAIN_ROIS_PER_IMAGE: int = 200
    ROI_POSITIVE_RATIO: float = 0.33
    POOL_SIZE: int = 7
    MASK_POOL_SIZE: int = 14
    MASK_SHAPE: tuple[int, int] = (28, 28)
    MAX_GT_INSTANCES: int = 100
    RPN_BBOX_STD_DEV: tuple[float, ...] = (0.1, 0.1, 0.2, 0.2)
    BBOX_STD_DEV: tuple[float, ...] = (0.1, 0.1, 0.2, 0.2)
    DETECTION_MAX_INSTANCES: int = 100
    DETECTION_MIN_CONFIDENCE: float = 0.7
    DETECTION_NMS_THRESHOLD: float = 0.3
    LEARNING_RATE: float = 0.001
    LEARNING_MOMENTUM: float = 0.9
    WEIGHT_DECAY: float = 0.0001
    TRAIN_BN: bool = False
    GRADIENT_CLIP_NORM: float = 5.0
    ROI_ALIGN: Literal["exact", "matterport"] = "exact"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, tuple) and not isinstance(value, str):
                object.__setattr__(self, field.name, _numbers(value))
        if self.BACKBONE not in BACKBONES:
            raise _wrong("BACKBONE", self.BACKBONE, f"one of {', '.join(BACKBONES)}")
        if self.IMAGE_RESIZE_MODE not in _RESIZE_MODES:
            raise _wrong("IMAGE_RESIZE_MODE", self.IMAGE_RESIZE_MODE, f"one of {', '.join(_RESIZE_MODES)}")
        if self.ROI_ALIGN not in ("exact", "matterport"):
            raise _wrong("ROI_ALIGN", self.ROI_ALIGN, "exact or matterport")
        self._check_numbers()

    def _check_numbers(self) -> None:
        if self.NUM_CLASSES < 2:
            raise _wrong("NUM_CLASSES", self.NUM_CLASSES, "the ground and at least one class")
        if self.IMAGE_RESIZE_MODE == "square" and self.IMAGE_MAX_DIM % _LARGEST_STRIDE:
            raise _wrong("IMAGE_MAX_DIM", self.IMAGE_MAX_DIM, f"a multiple of {_LARGEST_STRIDE}")
        if self.BACKBONE_STRIDES != (4, 8, 16, 32, 64):
            raise _wrong("BACKBONE_STRIDES", self.BACKBONE_STRIDES, "4, 8, 16, 32 and 64")
        if len(self.RPN_ANCHOR_SCALES) != len(self.BACKBONE_STRIDES):
            raise _wrong("RPN_ANCHOR_SCALES", self.RPN_ANCHOR_SCALES, "one scale a level, of five levels")
        if len(self.mean_pixel) not in (1, self.IMAGE_CHANNEL_COUNT):
            raise _wrong("MEAN_PIXEL", self.MEAN_PIXEL, f"{self.IMAGE_CHANNEL_COUNT} values, one a band")
        if self.MASK_SHAPE != (2 * self.MASK_POOL_SIZE,) * 2:
            raise _wrong("MASK_SHAPE", self.MASK_SHAPE, "twice MASK_POOL_SIZE in both directions")

    @property
    def batch_size(self) -> int:
        """Images of one step."""
        return self.GPU_COUNT * self.IMAGES_PER_GPU

    @property
    def mean_pixel(self) -> tuple[float, ...]:
        """What is taken off pixel values before the trunk sees them."""
        return (0.0,) if self.BACKBONE == "mobilenetv2" else self.MEAN_PIXEL

    @property
    def input_shape(self) -> tuple[int | None, int | None, int]:
        """Height, width and bands of what the trunk takes; the first two are None where each image has its own."""
        side = self.IMAGE_MAX_DIM if self.IMAGE_RESIZE_MODE == "square" else None
        return side, side, self.IMAGE_CHANNEL_COUNT


def feature_shapes(config: Config, height: int, width: int) -> list[tuple[int, int]]:
    """Return height and width of the five levels P2 to P6 of an image of this size in pixels."""
    return [(math.ceil(height / stride), math.ceil(width / stride)) for stride in config.BACKBONE_STRIDES]


def _numbers(value: Any) -> tuple[Any, ...]:
    """Lists and arrays, as Matterport's configurations have them, become tuples."""
    return tuple(value.tolist() if hasattr(value, "tolist") else value)


def _wrong(name: str, value: Any, wanted: str) -> InvalidParameterError:
    return InvalidParameterError(f"{name} is {value!r}.", f"Give {wanted}.")
