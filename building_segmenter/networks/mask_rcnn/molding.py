"""Images as the network takes them, and its detections back on the image, as Matterport's implementation does both."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from building_segmenter.errors import BandsError, InvalidParameterError
from building_segmenter.networks.mask_rcnn.boxes import normalised_boxes, pixel_boxes
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.detections import Detections

_STEP = 64
_SURE = 0.5


class Molded(NamedTuple):
    """An image made ready.

    Args:
        image: (height, width, bands) float32, scaled and padded, less the configuration's `mean_pixel`.
        window: y1, x1, y2, x2 in pixels of where the image itself lies in it.
    """

    image: NDArray[np.float32]
    window: tuple[int, int, int, int]


def mold_image(image: NDArray[Any], config: Config) -> Molded:
    """Scale and pad an image (height, width, bands) as `IMAGE_RESIZE_MODE` says, and take the mean pixel off.

    Raises:
        BandsError: It has other bands than the network.
        InvalidParameterError: The mode does not fit the image's size.
    """
    if image.ndim != 3 or image.shape[2] != config.IMAGE_CHANNEL_COUNT:
        raise BandsError(
            f"The image has the shape {image.shape}; the network takes {config.IMAGE_CHANNEL_COUNT} bands.",
            "Give (height, width, bands).",
        )
    scaled = image if config.IMAGE_RESIZE_MODE == "none" else _scaled(image, _scale(image.shape, config))
    target = _target(scaled.shape, config)
    top, left = ((most - side) // 2 for most, side in zip(target, scaled.shape[:2], strict=True))
    height, width = scaled.shape[:2]
    margins = ((top, target[0] - height - top), (left, target[1] - width - left), (0, 0))
    padded = np.pad(scaled, margins).astype(np.float32)
    molded = (padded - np.array(config.mean_pixel, np.float64)).astype(np.float32)
    return Molded(molded, (top, left, top + height, left + width))


def unmold_detections(
    found: Detections,
    masks: NDArray[np.float32],
    window: tuple[int, int, int, int],
    molded_shape: tuple[int, int],
    image_shape: tuple[int, int],
) -> dict[str, NDArray[Any]]:
    """Bring the detections of one image back to its own pixels.

    Args:
        found: In the molded image.
        masks: (n, height, width) probabilities of each detection's class in its box.
        window: Of `mold_image`.
        molded_shape: Height and width of the molded image.
        image_shape: Height and width of the image.

    Returns:
        `rois` (n, 4) int32 y1, x1, y2, x2 in pixels, `class_ids` (n,), `scores` (n,) and `masks` (height, width, n)
        bool. Boxes without a pixel are left out.
    """
    y1, x1, y2, x2 = normalised_boxes(np.array(window), *molded_shape)
    size = np.array([y2 - y1, x2 - x1, y2 - y1, x2 - x1])
    boxes = pixel_boxes((found.boxes - np.array([y1, x1, y1, x1])) / size, *image_shape)
    kept = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
    full = np.zeros((*image_shape, len(kept)), bool)
    for place, number in enumerate(kept):
        top, left, bottom, right = boxes[number]
        drawn = _resized(masks[number], (bottom - top, right - left))
        full[top:bottom, left:right, place] = drawn >= _SURE
    return {"rois": boxes[kept], "class_ids": found.class_ids[kept], "scores": found.scores[kept], "masks": full}


def _scale(shape: tuple[int, ...], config: Config) -> float:
    height, width = shape[:2]
    scale = max(1.0, config.IMAGE_MIN_DIM / min(height, width)) if config.IMAGE_MIN_DIM else 1.0
    scale = max(scale, config.IMAGE_MIN_SCALE)
    longest = max(height, width)
    if config.IMAGE_RESIZE_MODE == "square" and round(longest * scale) > config.IMAGE_MAX_DIM:
        scale = config.IMAGE_MAX_DIM / longest
    return scale


def _scaled(image: NDArray[Any], scale: float) -> NDArray[Any]:
    if scale == 1:
        return image
    shape = round(image.shape[0] * scale), round(image.shape[1] * scale)
    return _resized(image, shape).astype(image.dtype)


def _target(shape: tuple[int, ...], config: Config) -> tuple[int, int]:
    """Return height and width of the padded image."""
    if config.IMAGE_RESIZE_MODE == "square":
        return config.IMAGE_MAX_DIM, config.IMAGE_MAX_DIM
    height, width = (-(-side // _STEP) * _STEP for side in shape[:2])
    if config.IMAGE_RESIZE_MODE == "none" and (height, width) != shape[:2]:
        raise InvalidParameterError(
            f"The image is {shape[1]} x {shape[0]} px, which are no multiples of {_STEP}.",
            "Give IMAGE_RESIZE_MODE pad64 or square.",
        )
    return height, width


def _resized(image: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    # As scikit-image did it when the weights were learned: beyond the edge there is 0, and nothing is smoothed.
    resized: NDArray[Any] = resize(image, shape, order=1, mode="constant", preserve_range=True, anti_aliasing=False)
    return resized
