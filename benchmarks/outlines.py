"""Outlines as a segmentation gives them: the truth as pixels, blurred, with noise, and traced again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize, shapes
from scipy.ndimage import gaussian_filter

from building_segmenter.footprints.contours.nesting import nested
from building_segmenter.footprints.contours.rings import Rings, contour_rings

Geometries = NDArray[np.object_]

MIN_AREA_M2 = 4.0
BATCH = 200


@dataclass(frozen=True)
class Roughness:
    """What a segmentation does to an outline.

    Args:
        amplitude: Standard deviation of the noise of low frequency, in units of probability.
        gsd: Ground pixel in metres.
        blur: Standard deviation of the blur in metres.
        noise_length: Standard deviation in metres of the filter that makes the noise one of low frequency.
        grain: Standard deviation of the noise from pixel to pixel.
    """

    amplitude: float
    gsd: float = 0.3
    blur: float = 0.9
    noise_length: float = 1.2
    grain: float = 0.02


@dataclass(frozen=True)
class Rough:
    """Rough outlines of footprints: arrays (n), None where nothing was left of one."""

    contour: Geometries
    staircase: Geometries


def roughen(truth: Geometries, roughness: Roughness, seed: int) -> Rough:
    """Turn footprints into pixels, blur them, add noise, and trace the level 0.5 again.

    Args:
        truth: Array (n) of polygons in metres.
        roughness: How much.
        seed: Same seed, same outlines.

    Returns:
        The largest outline of each footprint at its place: `contour` between the pixels, as `polygonize` traces it, and
        `staircase` along their edges.
    """
    random = np.random.default_rng(seed)
    result = Rough(np.full(len(truth), None, object), np.full(len(truth), None, object))
    bounds = shapely.bounds(truth)
    reach = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
    order = np.argsort(reach, kind="stable")
    for start in range(0, len(truth), BATCH):
        members = order[start : start + BATCH]
        _roughen_alike(truth, members, reach[members].max(), roughness, random, result)
    return result


def _roughen_alike(
    truth: Geometries, members: Any, reach: float, roughness: Roughness, random: np.random.Generator, result: Rough
) -> None:
    """Roughen footprints of about one size, side by side in one raster."""
    gsd = roughness.gsd
    cell = int(np.ceil(reach / gsd + 16 * max(roughness.blur, roughness.noise_length) / gsd / 2))
    columns = int(np.ceil(np.sqrt(len(members))))
    rows = -(-len(members) // columns)
    row, column = np.divmod(np.arange(len(members)), columns)
    low = shapely.bounds(truth[members])
    # The place of a footprint among the pixels is random, as it is in an image.
    shift = (
        np.column_stack([(column + 0.5) * cell, (row + 0.5) * cell]) * gsd
        + random.uniform(-0.5, 0.5, (len(members), 2)) * gsd
    )
    shift -= (low[:, :2] + low[:, 2:]) / 2
    placed = _moved(truth[members], shift)
    probability = _probability(placed, (rows * cell, columns * cell), roughness, random)
    for name, polygons in (("contour", _contours(probability, gsd)), ("staircase", _staircases(probability, gsd))):
        found = _largest_in_cells(polygons, cell * gsd, columns, len(members))
        getattr(result, name)[members] = _moved(found, -shift)


def _moved(polygons: Geometries, shift: NDArray[np.float64]) -> Geometries:
    counts = shapely.get_num_coordinates(polygons)
    moved = polygons.copy()
    points = shapely.get_coordinates(moved) + np.repeat(shift, counts, axis=0)
    result: Geometries = shapely.set_coordinates(moved, points)
    return result


def _probability(
    placed: Geometries, shape: tuple[int, int], roughness: Roughness, random: np.random.Generator
) -> NDArray[np.float32]:
    inside = rasterize(placed, shape, transform=Affine.scale(roughness.gsd), dtype="float32")
    smooth = gaussian_filter(inside, roughness.blur / roughness.gsd)
    noise = gaussian_filter(random.standard_normal(shape, np.float32), roughness.noise_length / roughness.gsd)
    noise *= roughness.amplitude / noise.std()
    grain = roughness.grain * random.standard_normal(shape, np.float32)
    probability: NDArray[np.float32] = smooth + noise + grain
    return probability


def _contours(probability: NDArray[np.float32], gsd: float) -> Geometries:
    """Return sub-pixel outlines in metres from the corner of the raster."""

    def measure(rings: Rings) -> tuple[Any, Any]:
        following = np.roll(rings.points, -1, axis=0)
        following[rings.starts + rings.lengths - 1] = rings.points[rings.starts]
        cross = rings.points[:, 0] * following[:, 1] - rings.points[:, 1] * following[:, 0]
        steps = np.hypot(*(following - rings.points).T)
        return np.abs(np.add.reduceat(cross, rings.starts)) / 2 * gsd**2, np.add.reduceat(steps, rings.starts) * gsd

    rings = contour_rings([probability - np.float32(0.5)], probability.shape)
    found = [outlines.polygons for outlines in nested(rings, measure, MIN_AREA_M2, MIN_AREA_M2)]
    placed: Geometries = shapely.transform(np.concatenate(found), lambda points: points * gsd)
    return placed


def _staircases(probability: NDArray[np.float32], gsd: float) -> Geometries:
    """Return outlines along the edges of pixels in metres from the corner of the raster."""
    inside = (probability >= 0.5).astype(np.uint8)
    traced = shapes(inside, inside > 0, connectivity=4, transform=Affine.scale(gsd))
    polygons = np.array([shapely.geometry.shape(shape) for shape, _ in traced], object)
    polygons = polygons[shapely.area(polygons) >= MIN_AREA_M2]
    return np.array([_without_small_holes(polygon) for polygon in polygons], object)


def _without_small_holes(polygon: Any) -> Any:
    holes = [ring for ring in polygon.interiors if shapely.Polygon(ring).area >= MIN_AREA_M2]
    return shapely.Polygon(polygon.exterior, holes)


def _largest_in_cells(polygons: Geometries, cell: float, columns: int, count: int) -> Geometries:
    result = np.full(count, None, object)
    bounds = shapely.bounds(polygons)
    column, row = (((bounds[:, :2] + bounds[:, 2:]) / 2) // cell).astype(int).T
    for place, polygon in sorted(zip(row * columns + column, polygons, strict=True), key=lambda pair: pair[1].area):
        if place < count:
            result[place] = polygon
    return result
