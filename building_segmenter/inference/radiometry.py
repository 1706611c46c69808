"""Bringing an image's values to the scale that a model was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import DatasetReader

from building_segmenter.errors import NoDataError
from building_segmenter.networks.facts import ModelFacts
from building_segmenter.progress import Progress

_SAMPLE_PX = 1024


class Radiometry:
    """A linear map of each band's values to the model's.

    An image of the type that the model was trained on is taken as it is. Another (16 bits, floats) has a scale of
    its own: the mean and standard deviation of each band, over a thinned view of the whole image, are mapped to
    those of the training images. A blind division by 255 or 65535 would leave most such images black.

    Args:
        dataset: The open image.
        bands: The bands that are read, counted from 1.
        facts: The model's.
        progress: Told of the map where there is one.

    Attributes:
        keeps_bytes: The image has the model's type, and that is uint8: it stays as it is.

    Raises:
        NoDataError: The image has to be measured and holds no valid pixel.
    """

    def __init__(self, dataset: DatasetReader, bands: tuple[int, ...], facts: ModelFacts, progress: Progress) -> None:
        self._factor: Any = np.float32(1.0)
        self._summand: Any = np.float32(0.0)
        is_known = all(dataset.dtypes[band - 1] == facts.dtype for band in bands)
        self.keeps_bytes = is_known and facts.dtype == "uint8"
        if is_known:
            return
        means, deviations = _measured(dataset, bands)
        target_mean = np.array([band.mean for band in facts.bands])
        target_deviation = np.array([band.stddev for band in facts.bands])
        factor = target_deviation / np.maximum(deviations, 1e-12)
        self._factor = factor.astype(np.float32)
        self._summand = (target_mean - means * factor).astype(np.float32)
        progress.log(
            f"The image holds {dataset.dtypes[bands[0] - 1]} and the model was trained on {facts.dtype}: band means"
            f" {', '.join(f'{mean:.4g}' for mean in means)} are mapped to"
            f" {', '.join(f'{mean:.4g}' for mean in target_mean)}, standard deviations likewise."
        )

    def __call__(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return an image (height, width, bands) in the model's scale: float32, unless it `keeps_bytes`."""
        if self.keeps_bytes:
            return image
        scaled: NDArray[np.float32] = image.astype(np.float32) * self._factor + self._summand
        return scaled


def _measured(dataset: DatasetReader, bands: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    thin = max(1.0, max(dataset.width, dataset.height) / _SAMPLE_PX)
    shape = (max(1, int(dataset.height / thin)), max(1, int(dataset.width / thin)))
    sample = dataset.read(list(bands), out_shape=(len(bands), *shape), resampling=Resampling.nearest)
    valid = dataset.dataset_mask(out_shape=shape, resampling=Resampling.nearest) > 0
    values = sample[:, valid].astype(np.float64)
    values = values[:, np.isfinite(values).all(axis=0)]
    if values.shape[1] == 0:
        raise no_valid_pixel(dataset)
    return values.mean(axis=1), values.std(axis=1)


def no_valid_pixel(dataset: DatasetReader) -> NoDataError:
    """Return the error for an image without any valid pixel."""
    return NoDataError(
        f"Every pixel of the image {dataset.name} that should be searched is nodata or transparent.",
        "Check the nodata value and the alpha band of the image, and AREA and EXTENT.",
    )
