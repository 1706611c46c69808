"""Pictures inside a page."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from building_segmenter.reports.page import escape

RIGHT, MISSED, FALSE, UNKNOWN = (0, 158, 115), (0, 114, 178), (213, 94, 0), (150, 150, 150)
"""Colours of pixels found rightly, missed, found falsely, and not judged."""

_QUALITY = 82


def picture(image: NDArray[np.uint8], caption: str) -> str:
    """Return an image (H, W) or (H, W, 3) of bytes as a figure with a plain-text caption."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=_QUALITY)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return (
        f'<figure><img alt="{escape(caption)}" width="{image.shape[1] * 2 // 3}"'
        f' src="data:image/jpeg;base64,{data}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def as_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image (H, W, bands) as red, green, blue: its first three bands, or the first one as grey."""
    return np.ascontiguousarray(image[..., :3]) if image.shape[-1] >= 3 else np.repeat(image[..., :1], 3, axis=-1)


def outcome_overlay(
    image: NDArray[np.uint8], label: NDArray[np.uint8], found: NDArray[np.bool_], unknown: int = 255
) -> NDArray[np.uint8]:
    """Return the image in grey with every building pixel coloured by whether it was found.

    Args:
        image: (H, W, bands) bytes.
        label: (H, W): 1 building, `unknown` not judged, else ground.
        found: (H, W), what the model calls a building.
        unknown: The label value that is not judged.
    """
    grey = np.repeat(as_rgb(image).mean(axis=-1, keepdims=True), 3, axis=-1)
    truth, judged = label == 1, label != unknown
    for mask, colour in (
        (truth & found, RIGHT),
        (truth & ~found, MISSED),
        (~truth & found & judged, FALSE),
        (~judged, UNKNOWN),
    ):
        grey[mask] = 0.45 * grey[mask] + 0.55 * np.array(colour)
    return grey.astype(np.uint8)
