"""Ground metres: the one place where coordinates of any CRS become metres on the ground, and back.

Degrees, feet and web-mercator units are not ground metres, and web-mercator is not even a similarity: its east-west
and north-south scales differ by up to 0.67 %. So everything is measured and straightened in a transverse Mercator
centred on the work, whose scale is true to 1e-6 within 9 km and to 1e-5 within 28 km of its meridian.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj.crs import CRS, ProjectedCRS
from pyproj.crs.coordinate_operation import TransverseMercatorConversion
from pyproj.enums import TransformDirection

from building_segmenter.errors import InputUnreadableError, MissingCrsError

Bounds = tuple[float, float, float, float]
Array = NDArray[np.float64]

_CELL_DEGREES = 0.5


@dataclass(frozen=True)
class GroundFrame:
    """A local plane in ground metres, and the way between it and the CRS of a layer.

    Made by `local_frame` or `scaled_frame`.
    """

    _transformer: pyproj.Transformer | None
    _scale: float = 1.0

    def to_ground(self, x: Any, y: Any) -> tuple[Array, Array]:
        """Return layer coordinates as ground metres (east, north). Arrays of any equal shape."""
        return self._moved(x, y, TransformDirection.FORWARD, self._scale)

    def to_layer(self, x: Any, y: Any) -> tuple[Array, Array]:
        """Return ground metres (east, north) as layer coordinates. Arrays of any equal shape."""
        return self._moved(x, y, TransformDirection.INVERSE, 1.0 / self._scale)

    def geometry_to_ground(self, geometry: Any) -> Any:
        """Return geometries (one, or an array) with their x and y in ground metres; Z is dropped."""
        return _transformed(geometry, self.to_ground)

    def geometry_to_layer(self, geometry: Any) -> Any:
        """Return geometries (one, or an array) with their x and y back in the layer's CRS; Z is dropped."""
        return _transformed(geometry, self.to_layer)

    def _moved(self, x: Any, y: Any, direction: TransformDirection, scale: float) -> tuple[Array, Array]:
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        if self._transformer is None:
            return x * scale, y * scale
        moved_x, moved_y = self._transformer.transform(x, y, direction=direction)
        return np.asarray(moved_x, np.float64), np.asarray(moved_y, np.float64)


def local_frame(crs: Any, bounds: Bounds) -> GroundFrame:
    """Return the ground frame centred on an extent.

    Args:
        crs: CRS of the extent, in any form that pyproj reads.
        bounds: `(xmin, ymin, xmax, ymax)` in that CRS. At most some 50 km wide for a scale true to 1e-5; use
            `frames_by_place` for more.

    Raises:
        MissingCrsError: `crs` is None, or is not tied to the Earth and has no metric unit.
        InputUnreadableError: The extent lies where its CRS is not defined.
    """
    if crs is None:
        raise MissingCrsError(
            "The layer has no coordinate reference system, so its units cannot be told in ground metres.",
            "Assign its CRS (in QGIS: Set layer CRS, then export), or give GSD where the tool has it.",
        )
    parsed = CRS.from_user_input(crs)
    if parsed.geodetic_crs is None:
        return scaled_frame(_unit_of(parsed))
    longitude, latitude = _centre(parsed, bounds)
    plane = ProjectedCRS(
        conversion=TransverseMercatorConversion(latitude, longitude, 0.0, 0.0, 1.0),
        geodetic_crs=parsed.geodetic_crs.to_2d(),
    )
    return GroundFrame(pyproj.Transformer.from_crs(parsed, plane, always_xy=True))


def scaled_frame(metres_per_unit: float) -> GroundFrame:
    """Return the ground frame of coordinates that only need a factor, as those of an image without CRS."""
    return GroundFrame(None, metres_per_unit)


def frames_by_place(crs: Any, bounds: Array) -> Iterator[tuple[NDArray[np.intp], GroundFrame]]:
    """Group features so that each group has a ground frame close by.

    Args:
        crs: CRS of the features.
        bounds: Array (n, 4) of each feature's xmin, ymin, xmax, ymax; NaN for those without geometry, which no
            group holds.

    Yields:
        Indices into `bounds` and the frame of that group, about half a degree wide at most.
    """
    there = np.flatnonzero(np.isfinite(bounds).all(axis=1))
    if len(there) == 0:
        return
    x, y = (bounds[there, 0] + bounds[there, 2]) / 2, (bounds[there, 1] + bounds[there, 3]) / 2
    cells = _cells(crs, x, y)
    for cell in np.unique(cells, axis=0):
        members = there[(cells == cell).all(axis=1)]
        box = bounds[members]
        yield members, local_frame(crs, (*box[:, :2].min(axis=0), *box[:, 2:].max(axis=0)))


def ground_pixel(
    crs: Any, column: tuple[float, float], row: tuple[float, float], bounds: Bounds
) -> tuple[float, float]:
    """Return the width and height of a pixel on the ground in metres, at the centre of an extent.

    Args:
        crs: CRS of the raster.
        column: Step (dx, dy) in CRS units from one pixel to the next in its row.
        row: Step (dx, dy) in CRS units from one row to the next.
        bounds: Extent of the raster in its CRS.
    """
    frame = local_frame(crs, bounds)
    x, y = (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2
    ends_x = np.array([x - column[0] / 2, x + column[0] / 2, x - row[0] / 2, x + row[0] / 2])
    ends_y = np.array([y - column[1] / 2, y + column[1] / 2, y - row[1] / 2, y + row[1] / 2])
    east, north = frame.to_ground(ends_x, ends_y)
    return float(np.hypot(east[1] - east[0], north[1] - north[0])), float(
        np.hypot(east[3] - east[2], north[3] - north[2])
    )


def _centre(crs: CRS, bounds: Bounds) -> tuple[float, float]:
    geographic = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    longitude, latitude = geographic.transform((bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2)
    if not (np.isfinite(longitude) and np.isfinite(latitude) and abs(latitude) <= 90):
        raise InputUnreadableError(
            f"The extent {tuple(round(float(edge), 3) for edge in bounds)} lies outside the area of its CRS,"
            f" {crs.name}.",
            "The layer probably carries a wrong CRS: check it in QGIS and assign the right one.",
        )
    return float(longitude), float(latitude)


def _cells(crs: Any, x: Array, y: Array) -> NDArray[np.int64]:
    parsed = CRS.from_user_input(crs) if crs is not None else None
    if parsed is None or parsed.geodetic_crs is None:
        return np.zeros((len(x), 2), np.int64)
    geographic = pyproj.Transformer.from_crs(parsed, parsed.geodetic_crs, always_xy=True)
    degrees = np.stack(geographic.transform(x, y), axis=1)
    span = np.ptp(degrees, axis=0)
    if (span <= _CELL_DEGREES).all():
        return np.zeros((len(x), 2), np.int64)
    cells: NDArray[np.int64] = np.floor(np.nan_to_num(degrees, posinf=0, neginf=0) / _CELL_DEGREES).astype(np.int64)
    return cells


def _unit_of(crs: CRS) -> float:
    factors = {axis.unit_conversion_factor for axis in crs.axis_info}
    if len(factors) != 1 or not next(iter(factors)):
        raise MissingCrsError(
            f"The CRS {crs.name} is not tied to the ground and has no one unit of length.", "Assign a projected CRS."
        )
    return float(factors.pop())


def _transformed(geometry: Any, move: Any) -> Any:
    return shapely.transform(geometry, move, interleaved=False)
