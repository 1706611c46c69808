"""A look at instances: the image with their outlines and scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.windows import Window

from building_segmenter.errors import NoOverlapError

MOST_PIXELS = 2048
"""Longer side of a picture at most."""

OUTLINE, TEXT, SHADOW = (255, 140, 0), (255, 255, 255), (0, 0, 0)
_ROOM_FOR_SCORE = 18
"""Least side in picture pixels of an instance whose score is written."""

_PERCENTILES = (2, 98)


class Picture:
    """A picture of what is found in a window of an image.

    Args:
        extent: xmin, ymin, xmax, ymax in the image's CRS; None: all of it.
        dataset: The open image.

    Raises:
        NoOverlapError: The extent lies outside of the image.
    """

    def __init__(self, extent: Sequence[float] | None, dataset: DatasetReader) -> None:
        self._dataset, self._window = dataset, _window(extent, dataset)
        self._found: list[geopandas.GeoDataFrame] = []

    def noting(self, frames: Iterable[geopandas.GeoDataFrame]) -> Iterator[geopandas.GeoDataFrame]:
        """Yield frames as they come, and remember what of them is to be shown."""
        window = self._window
        corners = [(x, y) for x in (0, window.width) for y in (0, window.height)]
        transform = self._dataset.window_transform(window)
        shown = shapely.MultiPoint([transform * corner for corner in corners]).convex_hull
        for frame in frames:
            self._found.append(frame[["score", "geometry"]][shapely.intersects(frame.geometry.to_numpy(), shown)])
            yield frame

    def write(self, path: Path) -> None:
        """Write the picture as PNG."""
        window = self._window
        factor = max(1.0, max(window.width, window.height) / MOST_PIXELS)
        shape = max(1, round(window.height / factor)), max(1, round(window.width / factor))
        picture = Image.fromarray(_background(self._dataset, window, shape))
        if self._found:
            found = pd.concat(self._found)
            there = ~self._dataset.window_transform(window)
            scale = np.array([shape[1] / window.width, shape[0] / window.height])
            matrix = np.array([[there.a, there.d], [there.b, there.e]])
            shift = np.array([there.c, there.f])
            outlines = shapely.transform(found.geometry.to_numpy(), lambda xy: (xy @ matrix + shift) * scale)
            _draw(ImageDraw.Draw(picture), outlines, found["score"].to_numpy())
        picture.save(path, "PNG")


def _window(extent: Sequence[float] | None, dataset: DatasetReader) -> Window:
    whole = Window(0, 0, dataset.width, dataset.height)
    if extent is None:
        return whole
    xmin, ymin, xmax, ymax = extent
    inverse = ~dataset.transform
    corners = np.array([inverse * (x, y) for x in (xmin, xmax) for y in (ymin, ymax)])
    (left, top), (right, bottom) = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    left, top = max(left, 0), max(top, 0)
    width, height = min(right, dataset.width) - left, min(bottom, dataset.height) - top
    if width <= 0 or height <= 0:
        raise NoOverlapError(
            f"PICTURE_EXTENT, {xmin:g} {ymin:g} {xmax:g} {ymax:g}, lies outside of the image {dataset.name}.",
            "Give it in the CRS of the image.",
        )
    return Window(int(left), int(top), int(width), int(height))


def _background(dataset: DatasetReader, window: Window, shape: tuple[int, int]) -> NDArray[np.uint8]:
    bands = [1, 2, 3] if dataset.count >= 3 else [1, 1, 1]
    image = dataset.read(bands, window=window, out_shape=(3, *shape), resampling=Resampling.average)
    if image.dtype != np.uint8:
        finite = image[np.isfinite(image)]
        low, high = np.percentile(finite, _PERCENTILES) if finite.size else (0.0, 1.0)
        image = np.clip(np.nan_to_num((image - low) / max(high - low, 1e-12)), 0, 1) * 255
    return np.ascontiguousarray(np.moveaxis(image, 0, -1).astype(np.uint8))


def _draw(draw: Any, outlines: NDArray[Any], scores: NDArray[np.floating]) -> None:
    for outline in outlines:
        for ring in (outline.exterior, *outline.interiors):
            draw.line([tuple(point) for point in ring.coords], fill=OUTLINE, width=2)
    for outline, score in zip(outlines, scores, strict=True):
        xmin, ymin, xmax, ymax = outline.bounds
        if min(xmax - xmin, ymax - ymin) >= _ROOM_FOR_SCORE:
            middle = outline.representative_point()
            place = (middle.x, middle.y)
            draw.text(place, f"{score:.0f}", fill=TEXT, anchor="mm", stroke_width=1, stroke_fill=SHADOW)
