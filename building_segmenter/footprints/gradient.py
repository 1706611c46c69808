"""What a probability raster tells of outlines: how sharp it is at each of their points, and which way walls lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.crs import CRS
from pyproj.exceptions import ProjError
from rasterio.io import DatasetReader
from rasterio.windows import Window
from scipy.ndimage import gaussian_filter, map_coordinates

from building_segmenter.errors import InputUnreadableError, MissingCrsError
from building_segmenter.footprints.regularize import Offered, Regularized, Settings, regularize_polygons
from building_segmenter.geo.strips import Ground, Strips
from building_segmenter.progress import Progress
from building_segmenter.rasters.source import open_raster, pixel_on_ground

Floats = NDArray[np.float64]

_CELL, _MARGIN, _SMOOTH = 1024, 6, 1.0
"""Pixels: of the cells that are read at once, of what is read around them, and of the filter (standard deviation)."""
_LIGHTEST, _HEAVIEST = 0.1, 3.0
_CLEAR = 0.2
"""Least agreement of gradients, 0..1, that makes a direction; they agree by chance to the root of their number."""


@dataclass(frozen=True)
class Evidence:
    """What a raster tells of outlines.

    Args:
        masses: Weight of each coordinate of the outlines, in their order: 1 on the average of an outline, and
            everywhere where the raster tells nothing of it.
        angles: Direction (n,) of the walls of each outline in its strip, degrees, -45..45; NaN where none is clear.
    """

    masses: Floats
    angles: Floats


class ProbabilityGradient:
    """The gradient of a probability raster along outlines in another CRS.

    Args:
        dataset: The open raster; its first band is used, in any unit.
        crs: CRS of the outlines; None: that of the raster.
        step: Ground metres of a pixel.
    """

    def __init__(self, dataset: DatasetReader, crs: Any, step: float) -> None:
        self._dataset, self._step = dataset, step
        same = crs is None or CRS.from_user_input(crs) == CRS.from_user_input(dataset.crs)
        self._moved = None if same else _transformer(crs, dataset)

    def evidence(self, plane: NDArray[np.object_], ground: Ground, strips: Strips) -> Evidence:
        """Return what the raster tells of outlines.

        Args:
            plane: Outlines (n,) in ground metres of their strips, or None.
            ground: The way back to the CRS of the outlines.
            strips: Strip (n,) of each.

        Raises:
            InputUnreadableError: Reading breaks off.
        """
        outlines = shapely.force_2d(plane)
        owner = shapely.get_coordinates(outlines, return_index=True)[1]
        gradient = self._gradient(outlines, ground, strips)
        return evidence_of(gradient, owner, len(plane))

    def regularizing(
        self, use: str, ground: Ground, strips: Strips
    ) -> Callable[[NDArray[np.object_], Settings, Progress | None, Offered | None], Regularized]:
        """Return what regularizes outlines with regard to the raster.

        Args:
            use: `weights`, `directions` or `both`. Directions go to outlines that nothing else is offered to.
            ground: The way from ground metres to the CRS of the outlines.
            strips: Strip of each outline that it will be given.
        """

        def regularize(
            plane: NDArray[np.object_], settings: Settings, progress: Progress | None, offered: Offered | None
        ) -> Regularized:
            found = self.evidence(plane, ground, strips)
            offered = offered if use == "weights" else with_directions(offered, found.angles)
            return regularize_polygons(
                plane, settings, progress, offered, None if use == "directions" else found.masses
            )

        return regularize

    def _gradient(self, outlines: NDArray[np.object_], ground: Ground, strips: Strips) -> NDArray[np.complex128]:
        """Return the gradient at each coordinate, to the east and (imaginary) to the north; NaN without a value."""
        # Over more than a pixel, differences would turn the gradients of sharp edges by a degree.
        half = self._step / 2
        # Differences between ground places give ground directions whatever the raster's axes and scales are.
        sides = [
            self._pixels(ground.to_layer(shapely.transform(outlines, _shifted(east, north)), strips))
            for east, north in ((half, 0.0), (-half, 0.0), (0.0, half), (0.0, -half))
        ]
        values = self._values(np.concatenate(sides)).reshape(4, -1)
        return np.asarray((values[0] - values[1]) + 1j * (values[2] - values[3]))

    def _pixels(self, outlines: NDArray[np.object_]) -> Floats:
        """Return columns and rows (n, 2) of the coordinates, 0 at the middle of the first pixel."""
        east, north = shapely.get_coordinates(outlines).T
        if self._moved is not None:
            east, north = self._moved.transform(east, north)
        column, row = ~self._dataset.transform * (east, north)
        return np.column_stack((column, row)) - 0.5

    def _values(self, pixels: Floats) -> Floats:
        """Return smoothed values at places between pixels, NaN outside and beside nodata; read cell by cell."""
        found = np.full(len(pixels), np.nan)
        size = self._dataset.width, self._dataset.height
        inside = np.flatnonzero(((pixels >= 0) & (pixels <= np.array(size) - 1)).all(axis=1))
        cells, which = np.unique(pixels[inside].astype(np.int64) // _CELL, axis=0, return_inverse=True)
        order = np.argsort(which.ravel(), kind="stable")
        ends = np.cumsum(np.bincount(which.ravel(), minlength=len(cells)))
        for cell, members in zip(cells, np.split(inside[order], ends[:-1]), strict=False):
            low = np.maximum(cell * _CELL - _MARGIN, 0)
            high = np.minimum((cell + 1) * _CELL + _MARGIN, size)
            smooth = self._smoothed(Window(*low, *(high - low)))
            found[members] = map_coordinates(smooth, (pixels[members] - low).T[::-1], order=1, mode="nearest")
        return found

    def _smoothed(self, window: Window) -> Floats:
        read = self._dataset.read(1, window=window, masked=True)
        there = ~np.ma.getmaskarray(read)
        values = np.where(there, read.data, 0).astype(np.float64)
        there &= np.isfinite(values)
        # What is not there has no say in its neighbours' values.
        weight = gaussian_filter(there.astype(np.float64), _SMOOTH)
        smooth = gaussian_filter(np.where(there, values, 0.0), _SMOOTH) / np.maximum(weight, 1e-9)
        return np.asarray(np.where(there, smooth, np.nan))


@contextmanager
def probability_gradient(path: str, crs: Any) -> Iterator[ProbabilityGradient]:
    """Open a probability raster for outlines in a CRS.

    Raises:
        InputNotFoundError: There is no such file.
        InputUnreadableError: It cannot be read.
        MissingCrsError: It has no CRS, or the outlines have none.
    """
    with open_raster(path, "probability raster") as dataset:
        for what, its in (("footprints have", crs), (f"probability raster {path} has", dataset.crs)):
            if its is None:
                raise MissingCrsError(
                    f"The {what} no coordinate reference system, so where footprints lie in the raster is not known.",
                    "Assign the missing CRS, or leave PROBABILITY out.",
                )
        yield ProbabilityGradient(dataset, crs, max(pixel_on_ground(dataset, None)))


def with_directions(offered: Offered | None, angles: Floats) -> Offered:
    """Return an offer with a direction (n,), degrees or NaN, added for what is offered none."""
    before = offered or Offered.to_all((), len(angles))
    counts = np.diff(before.ends)
    new = np.flatnonzero(np.isfinite(angles) & (counts == 0))
    places = np.concatenate((np.repeat(np.arange(len(angles)), counts), new))
    order = np.argsort(places, kind="stable")
    ends = np.searchsorted(places[order], np.arange(len(angles) + 1)).astype(np.int64)
    return Offered(np.concatenate((before.angles, angles[new]))[order], ends)


def evidence_of(gradient: NDArray[np.complex128], owner: NDArray[np.integer], count: int) -> Evidence:
    """Return weights and directions from gradients (m,), NaN where unknown, at points (m,) of `count` outlines."""
    known = np.isfinite(gradient)
    size = np.where(known, np.abs(gradient), 0.0)
    points = np.bincount(owner, known, minlength=count)
    mean = np.bincount(owner, size, minlength=count) / np.maximum(points, 1)
    masses = np.ones(len(gradient))
    told = known & (mean[owner] > 0)
    masses[told] = np.clip(size[told] / mean[owner[told]], _LIGHTEST, _HEAVIEST)
    return Evidence(masses, _directions(np.where(known, gradient, 0), owner, count))


def _directions(gradient: NDArray[np.complex128], owner: NDArray[np.integer], count: int) -> Floats:
    # Walls at right angles agree when their angles are taken four times, and so do their normals.
    squared = np.abs(gradient) ** 2
    turned = gradient**4 / np.maximum(squared, 1e-30)
    total = np.bincount(owner, squared, minlength=count)
    sums = np.bincount(owner, turned.real, minlength=count) + 1j * np.bincount(owner, turned.imag, minlength=count)
    clear = (total > 0) & (np.abs(sums) > _CLEAR * total)
    return np.where(clear, np.degrees(np.angle(sums)) / 4, np.nan)


def _transformer(crs: Any, dataset: DatasetReader) -> Transformer:
    try:
        return Transformer.from_crs(crs, dataset.crs, always_xy=True)
    except ProjError as error:
        raise InputUnreadableError(
            f"There is no way from the CRS of the footprints to that of the raster {dataset.name}: {error}",
            "Reproject one of them, or leave PROBABILITY out.",
        ) from error


def _shifted(east: float, north: float) -> Any:
    return lambda points: points + np.array((east, north))
