"""Ground metres for layers of any extent, the same for a feature whatever other features are there.

The Earth is cut into strips along meridians, a twentieth of a degree wide, each with the transverse Mercator of its
middle meridian: at most 2.8 km from it, where the scale is true to 1e-7 and north is true to 0.025 degrees. All
strips of an ellipsoid are one projection after a shift in longitude, so features of many strips are transformed at
once.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj.crs import CRS

from building_segmenter.geo.ground import GroundFrame, local_frame

Strips = NDArray[np.int64]

NOWHERE = np.iinfo(np.int64).min
"""Strip of what has no place: no geometry, or one where the CRS is not defined."""

_WIDTH = 0.05
_DEGREE = 111_320.0


class Ground(Protocol):
    """The way between a layer's CRS and ground metres, feature by feature."""

    def strips(self, bounds: NDArray[np.float64]) -> Strips:
        """Return the strip (n,) of each feature's bounds (n, 4), `NOWHERE` for those without a place."""

    def degrees(self, bounds: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return longitude and latitude (n,) of the middles of bounds (n, 4)."""

    def to_ground(self, geometry: NDArray[np.object_], strips: Strips) -> NDArray[np.object_]:
        """Return geometries (n,) with x and y in ground metres of their strips; Z is dropped."""

    def to_layer(self, geometry: NDArray[np.object_], strips: Strips) -> NDArray[np.object_]:
        """Return geometries (n,) from ground metres of their strips in the layer's CRS; Z is dropped."""


def ground_of(crs: Any, frame: GroundFrame | None = None) -> Ground:
    """Return the ground of a layer.

    Args:
        crs: CRS of the layer, in any form that pyproj reads.
        frame: Use this frame for all features instead.

    Raises:
        MissingCrsError: There is neither a frame nor a CRS that is tied to the Earth or has a unit of length.
    """
    if frame is not None:
        return OneFrame(frame)
    parsed = None if crs is None else CRS.from_user_input(crs)
    if parsed is None or parsed.geodetic_crs is None:
        return OneFrame(local_frame(parsed, (0.0, 0.0, 0.0, 0.0)))
    return MeridianStrips(parsed)


class OneFrame:
    """One frame for all features."""

    def __init__(self, frame: GroundFrame) -> None:
        self._frame = frame

    def strips(self, bounds: NDArray[np.float64]) -> Strips:
        """Return 0 for features with a place."""
        return np.where(np.isfinite(bounds).all(axis=1), 0, NOWHERE)

    def degrees(self, bounds: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the middles as if the frame's origin lay on the equator."""
        east, north = self._frame.to_ground(*((bounds[:, :2] + bounds[:, 2:]) / 2).T)
        return east / _DEGREE, north / _DEGREE

    def to_ground(self, geometry: NDArray[np.object_], strips: Strips) -> NDArray[np.object_]:
        """Return geometries in ground metres."""
        moved: NDArray[np.object_] = self._frame.geometry_to_ground(geometry)
        return moved

    def to_layer(self, geometry: NDArray[np.object_], strips: Strips) -> NDArray[np.object_]:
        """Return geometries in the layer's CRS."""
        moved: NDArray[np.object_] = self._frame.geometry_to_layer(geometry)
        return moved


class MeridianStrips:
    """The strips of a CRS that is tied to the Earth."""

    def __init__(self, crs: CRS) -> None:
        geodetic: Any = crs.geodetic_crs.to_2d()  # type: ignore[union-attr]  # `ground_of` looked
        self._to_degrees = pyproj.Transformer.from_crs(crs, geodetic, always_xy=True)
        self._from_degrees = pyproj.Transformer.from_crs(geodetic, crs, always_xy=True)
        # Some datums count in grads.
        self._unit = float(np.degrees(geodetic.axis_info[0].unit_conversion_factor))
        ellipsoid = geodetic.ellipsoid
        axes = {"a": ellipsoid.semi_major_metre, "b": ellipsoid.semi_minor_metre}
        # Within a strip the quicker series agrees with the exact one to 1e-8 m.
        self._plane = pyproj.Proj({"proj": "tmerc", "lat_0": 0, "lon_0": 0, "k": 1, "approx": True, **axes})

    def strips(self, bounds: NDArray[np.float64]) -> Strips:
        """Return the strip of the middle of each feature's bounds."""
        longitude, latitude = self.degrees(bounds)
        there = np.isfinite(longitude) & (np.abs(latitude) <= 90)
        found = np.floor(np.where(there, longitude, 0.0) / _WIDTH).astype(np.int64)
        return np.where(there, found, NOWHERE)

    def degrees(self, bounds: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return longitude and latitude of the middles of bounds."""
        return self._degrees((bounds[:, :2] + bounds[:, 2:]) / 2)

    def to_ground(self, geometry: NDArray[np.object_], strips: Strips) -> NDArray[np.object_]:
        """Return geometries in ground metres of their strips."""
        middle = self._middles(geometry, strips)

        def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
            longitude, latitude = self._degrees(points)
            return np.stack(self._plane(longitude - middle, latitude), axis=1)

        return _moved(geometry, move)

    def to_layer(self, geometry: NDArray[np.object_], strips: Strips) -> NDArray[np.object_]:
        """Return geometries from ground metres of their strips."""
        middle = self._middles(geometry, strips)

        def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
            longitude, latitude = self._plane(points[:, 0], points[:, 1], inverse=True)
            x, y = self._from_degrees.transform((longitude + middle) / self._unit, latitude / self._unit)
            return np.stack((x, y), axis=1)

        return _moved(geometry, move)

    def _degrees(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        longitude, latitude = self._to_degrees.transform(points[:, 0], points[:, 1])
        return np.asarray(longitude) * self._unit, np.asarray(latitude) * self._unit

    def _middles(self, geometry: NDArray[np.object_], strips: Strips) -> NDArray[np.float64]:
        """Return the middle meridian of the strip of each coordinate, in degrees."""
        known = np.where(strips == NOWHERE, 0, strips)
        middles: NDArray[np.float64] = np.repeat((known + 0.5) * _WIDTH, shapely.get_num_coordinates(geometry))
        return middles


def _moved(geometry: NDArray[np.object_], move: Any) -> NDArray[np.object_]:
    moved: NDArray[np.object_] = shapely.transform(geometry, move)
    return moved
