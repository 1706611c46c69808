"""Polygons brought to the CRS of a raster so that they lie where they should: long edges bend, the world is round."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj.crs import CRS

from building_segmenter.geo.unions import union_of

_BEND_PX = 0.05
_MOST_PIECES = 1000
_WIDEST_ACROSS = 1 / 36
"""Share of a turn: what is wider across the antimeridian was not meant to lie across it."""


def moved_to(geometries: NDArray[Any], crs: Any, raster_crs: Any, transform: Affine) -> NDArray[Any]:
    """Return polygons in the CRS of a raster; edges straight in the layer's CRS stay where they were.

    An edge of kilometres bends when it is projected, by metres; points are added to it where it would otherwise
    leave its place by more than a twentieth of a pixel.

    Args:
        geometries: Polygons; none null or empty.
        crs: Their CRS.
        raster_crs: The CRS wanted.
        transform: From pixels to `raster_crs`.

    Returns:
        Polygons; what lies where `raster_crs` is not defined is empty.
    """
    geometries = _in_one_piece(geometries, _turn(crs))
    transformer = pyproj.Transformer.from_crs(crs, raster_crs, always_xy=True)

    def project(x: Any, y: Any) -> tuple[Any, Any]:
        return transformer.transform(x, y)

    lengths = _longest_edges(geometries, project, ~transform)
    bent = np.isfinite(lengths)
    dense = geometries.copy()
    dense[bent] = shapely.segmentize(geometries[bent], lengths[bent])
    moved: NDArray[Any] = shapely.transform(dense, project, interleaved=False)
    lost = ~np.isfinite(shapely.bounds(moved)).all(axis=1)
    moved[lost] = shapely.Polygon()
    return moved


def wrapped_onto(geometries: NDArray[Any], crs: Any, bounds: tuple[float, float, float, float]) -> NDArray[Any]:
    """Return polygons moved by a whole turn around the world where that brings them onto a raster.

    A raster across the antimeridian counts on beyond 180 degrees, or begins before -180; footprints seldom do. A
    polygon drawn from 179.99 to -179.99 is taken for the small one.

    Args:
        geometries: Polygons in the CRS of the raster.
        crs: That CRS, or None.
        bounds: Extent of the raster in it.
    """
    turn = _turn(crs)
    if turn is None:
        return geometries
    whole = _in_one_piece(geometries, turn)
    reach = max(abs(bounds[0]), abs(bounds[2]), np.nanmax(np.abs(shapely.bounds(whole)[:, ::2]), initial=0.0))
    return _nearest_turns(whole, turn, shapely.box(*bounds)) if reach > turn / 2 * (1 + 1e-9) else whole


def _longest_edges(geometries: NDArray[Any], project: Any, to_pixels: Affine) -> NDArray[np.float64]:
    """Return the longest edge that each polygon may have; infinite where its edges are short enough."""
    rings, owner = shapely.get_rings(geometries, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    edge = np.flatnonzero(ring[1:] == ring[:-1])
    ends = np.stack(project(*points.T), axis=1)
    middles = np.stack(project(*((points[edge] + points[edge + 1]) / 2).T), axis=1)
    with np.errstate(invalid="ignore"):
        off = middles - (ends[edge] + ends[edge + 1]) / 2
        bend = np.hypot(
            to_pixels.a * off[:, 0] + to_pixels.b * off[:, 1], to_pixels.d * off[:, 0] + to_pixels.e * off[:, 1]
        )
    pieces = np.clip(np.ceil(np.sqrt(np.nan_to_num(bend, nan=0.0, posinf=0.0) / _BEND_PX)), 1, _MOST_PIECES)
    length = np.hypot(*(points[edge + 1] - points[edge]).T)
    lengths = np.full(len(geometries), np.inf)
    many = pieces > 1
    np.minimum.at(lengths, owner[ring[edge[many]]], length[many] / pieces[many])
    return lengths


def _turn(crs: Any) -> float | None:
    """Return the length of a turn around the world along x, or None where x does not run around it."""
    if crs is None:
        return None
    parsed = CRS.from_user_input(crs)
    if parsed.geodetic_crs is None:
        return None
    to_crs = pyproj.Transformer.from_crs(parsed.geodetic_crs, parsed, always_xy=True)
    x, y = to_crs.transform(np.array([-179.0, 0.0, 179.0]), np.zeros(3))
    even = np.isfinite([*x, *y]).all() and np.ptp(y) < 1e-6 * np.ptp(x) and np.isclose(x[1] - x[0], x[2] - x[1])
    return float((x[2] - x[0]) * 360 / 358) if even and x[2] > x[0] else None


def _in_one_piece(geometries: NDArray[Any], turn: float | None) -> NDArray[Any]:
    edges = shapely.bounds(geometries)
    wide = np.zeros(len(geometries), np.bool_) if turn is None else edges[:, 2] - edges[:, 0] > turn / 2
    if not wide.any():
        return geometries
    whole = geometries.copy()
    whole[wide] = [_unwrapped(geometry, turn) for geometry in geometries[wide]]
    return whole


def _unwrapped(geometry: Any, turn: Any) -> Any:
    """Return a polygon across the antimeridian in one piece; one that is wide even so was not meant that way."""
    parts = shapely.get_parts(geometry)
    moved = np.array([_shifted(part, turn, only_west=True) for part in parts])
    west, _, east, _ = shapely.total_bounds(moved)
    if not 0 < east - west < turn * _WIDEST_ACROSS:
        return geometry
    return union_of(shapely.make_valid(moved))


def _nearest_turns(geometries: NDArray[Any], turn: float, raster: Any) -> NDArray[Any]:
    copies = [_shifted(geometries, k * turn) for k in (0, -1, 1)]
    hits = np.stack([shapely.intersects(copy, raster) for copy in copies])
    placed: NDArray[Any] = np.where(hits[0] | ~hits.any(axis=0), copies[0], np.where(hits[1], copies[1], copies[2]))
    for index in np.flatnonzero(hits.sum(axis=0) > 1):
        placed[index] = union_of([copies[k][index] for k in np.flatnonzero(hits[:, index])])
    return placed


def _shifted(geometry: Any, distance: float, *, only_west: bool = False) -> Any:
    def move(x: Any, y: Any) -> tuple[Any, Any]:
        return (np.where(x < 0, x + distance, x) if only_west else x + distance), y

    return shapely.transform(geometry, move, interleaved=False)
