"""Chips at another ground pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize


def resized_image(image: NDArray[Any], zoom: float) -> NDArray[Any]:
    """Return an image (H, W, bands) with `zoom` times as many pixels each way, of the same type.

    Bilinear; smoothed before it is made smaller, as the finer image would have been taken by a coarser camera.
    """
    shape = *_size(image, zoom), image.shape[2]
    resized: NDArray[Any] = resize(image, shape, order=1, mode="edge", anti_aliasing=zoom < 1.0, preserve_range=True)
    if np.issubdtype(image.dtype, np.integer):
        resized = np.rint(resized)
    return resized.astype(image.dtype)


def resized_labels(labels: NDArray[Any], zoom: float) -> NDArray[Any]:
    """Return labels (H, W) with `zoom` times as many pixels each way, each the nearest one's value."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64)
        for new, old in zip(_size(labels, zoom), labels.shape, strict=True)
    )
    nearest: NDArray[Any] = labels[np.ix_(rows, columns)]
    return nearest


def _size(array: NDArray[Any], zoom: float) -> tuple[int, int]:
    return max(1, round(array.shape[0] * zoom)), max(1, round(array.shape[1] * zoom))
