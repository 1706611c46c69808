"""Polygons with sub-pixel outlines from a raster of probabilities or a mask."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import geopandas
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from building_segmenter import tasks
from building_segmenter.errors import MissingCrsError
from building_segmenter.footprints.contours.field import Field, excess_bands, field_of
from building_segmenter.footprints.contours.marching import Floats
from building_segmenter.footprints.contours.nesting import Measure, Outlines, nested
from building_segmenter.footprints.contours.rings import Rings, contour_rings, neighbours
from building_segmenter.footprints.measures import vertex_counts
from building_segmenter.geo.ground import GroundFrame, local_frame
from building_segmenter.geo.vectors import check_vector_output, write_polygons
from building_segmenter.progress import Progress
from building_segmenter.rasters.source import open_raster, pixel_on_ground

# Width of the ground that shares one frame; the scale is then true to 1e-5 everywhere.
_FRAME_METRES = 50_000.0


def polygonize_mask(options: tasks.PolygonizeMask, progress: Progress) -> dict[str, Any]:
    """Write the outlines of a raster's inside as a polygon layer.

    Returns:
        `output`, the path, and `features`, their number. No polygon is a success with an empty layer.

    Raises:
        BuildingSegmenterError: As `polygonize_raster` and `write_polygons`.
    """
    check_vector_output(options.output)
    polygons = polygonize_raster(
        options.input,
        band=options.band,
        threshold=options.threshold,
        value=options.value,
        min_area=options.min_area,
        min_hole_area=options.min_hole_area,
        progress=progress.part(0.0, 0.95),
    )
    progress.update(0.95, "Writing polygons")
    write_polygons(polygons, options.output)
    progress.update(1.0, "Writing polygons")
    return {"output": options.output, "features": len(polygons)}


def polygonize_raster(
    path: str,
    *,
    band: int = 1,
    threshold: float = 0.5,
    value: int | None = None,
    min_area: float = 4.0,
    min_hole_area: float = 4.0,
    ground: GroundFrame | None = None,
    progress: Progress | None = None,
) -> geopandas.GeoDataFrame:
    """Trace sub-pixel outlines around all that is inside in a raster.

    Outlines lie where the probability, interpolated between pixel centres, crosses the threshold; at nodata and at
    the raster's edge they follow the pixels' edges. Pixels that touch at a corner only are joined where the bilinear
    surface joins them. All points are kept but those exactly on a line.

    Args:
        path: Raster of probabilities (floats 0..1, or integers with a GDAL scale) or an integer mask; any affine
            georeference.
        band: Band, counted from 1.
        threshold: Probability from which a pixel is inside (0..1); not used for masks.
        value: The stored value that is inside in a mask. None: probabilities, or, for integers without a scale, a
            mask of every value but 0.
        min_area: Polygons with less area, holes taken off, are left out; ground m2.
        min_hole_area: Holes with less area are filled, unless a polygon lies in them; ground m2.
        ground: The ground frame of a raster without CRS.
        progress: Receives progress and warnings.

    Returns:
        Valid polygons in the raster's CRS, with `score` (mean probability of the pixels inside, 0..100; 100 for a
        mask), `area_m2`, `perim_m` (holes included) and `vertices`. Their order follows the rows of the raster.

    Raises:
        InputNotFoundError: There is no such raster.
        InputUnreadableError: GDAL cannot open it, or reading breaks off.
        BandsError: There is no such band.
        MissingCrsError: The raster has no CRS and `ground` is not given.
        InvalidParameterError: The values are no probabilities and no VALUE was named, or VALUE is nodata.
        CancelledError: The user asked to stop.
    """
    progress = progress or Progress()
    with open_raster(path, "raster") as dataset:
        _check_crs(dataset, ground)
        field = field_of(dataset, band, threshold, value)
        if field.is_mask and threshold != tasks.default_of(tasks.PolygonizeMask, "threshold"):
            progress.warn(f"THRESHOLD is not used: band {band} of {dataset.name} is read as a mask.")
        batches = list(polygon_batches(dataset, field, min_area, min_hole_area, ground, progress))
    polygons = geopandas.GeoDataFrame(pd.concat(batches, ignore_index=True))
    if len(polygons) == 0:
        progress.warn(f"No polygon was found in {path}: nothing inside is larger than {min_area:g} m2.")
    return polygons


def polygon_batches(
    dataset: DatasetReader,
    field: Field,
    min_area: float,
    min_hole_area: float,
    ground: GroundFrame | None,
    progress: Progress,
) -> Iterator[geopandas.GeoDataFrame]:
    """Give the polygons of `polygonize_raster` as soon as they are complete, from the top of the raster to its end.

    Yields:
        Features as those of `polygonize_raster`; at least one batch, some of them empty. Memory: a row
        of the raster's blocks and the open outlines.
    """
    rings = contour_rings(excess_bands(dataset, field, progress), dataset.shape)
    for outlines in nested(rings, _measure(dataset, ground), min_area, min_hole_area):
        yield _features(outlines, dataset, field)


def _check_crs(dataset: DatasetReader, ground: GroundFrame | None) -> None:
    if dataset.crs is None and ground is None:
        raise MissingCrsError(
            f"The raster {dataset.name} has no coordinate reference system, so areas on the ground are not known.",
            "Assign its CRS (in QGIS: Raster > Projections > Assign Projection, or gdal_edit.py -a_srs) and run again.",
        )


def _measure(dataset: DatasetReader, ground: GroundFrame | None) -> Measure:
    """Return the function that measures rings of a raster on the ground."""
    frame_at, cell = _frames(dataset, ground)

    def measure(rings: Rings) -> tuple[Floats, Floats]:
        area, length = np.zeros(len(rings)), np.zeros(len(rings))
        if len(rings) == 0:
            return area, length
        cells = _middle(rings) // cell
        for column, row in np.unique(cells, axis=0):
            which = np.flatnonzero((cells == (column, row)).all(axis=1))
            area[which], length[which] = _sizes(rings.take(which), dataset.transform, frame_at(int(column), int(row)))
        return area, length

    return measure


def _frames(dataset: DatasetReader, ground: GroundFrame | None) -> tuple[Callable[[int, int], GroundFrame], float]:
    """Return the ground frame by square of the raster, and the side of the squares in pixels.

    The squares belong to the raster, not to a batch of rings, so that a measure does not depend on the batches.
    """
    if ground is not None:
        return lambda column, row: ground, math.inf
    step, (height, width) = dataset.transform, dataset.shape
    cell = max(1.0, _FRAME_METRES // max(pixel_on_ground(dataset, None)))

    @cache
    def frame_at(column: int, row: int) -> GroundFrame:
        stop = min((column + 1) * cell, width), min((row + 1) * cell, height)
        middle = (np.array([[column, row]]) * cell + stop) / 2
        there = np.concatenate(_on_map(middle, step)).tolist()
        return local_frame(dataset.crs, (*there, *there))

    return frame_at, cell


def _middle(rings: Rings) -> Floats:
    low = np.minimum.reduceat(rings.points, rings.starts)
    middle: Floats = (low + np.maximum.reduceat(rings.points, rings.starts)) / 2
    return middle


def _sizes(rings: Rings, transform: Affine, frame: GroundFrame) -> tuple[Floats, Floats]:
    """Return areas and lengths of rings in ground metres."""
    place = np.column_stack(frame.to_ground(*_on_map(rings.points, transform)))
    place -= np.repeat(place[rings.starts], rings.lengths, axis=0)
    _, after = neighbours(rings)
    ahead = place[after]
    double = place[:, 0] * ahead[:, 1] - place[:, 1] * ahead[:, 0]
    area = np.abs(np.add.reduceat(double, rings.starts)) / 2
    return area, np.add.reduceat(np.hypot(*(ahead - place).T), rings.starts)


def _on_map(points: Floats, transform: Affine) -> tuple[Floats, Floats]:
    x, y = points[:, 0], points[:, 1]
    return transform.a * x + transform.b * y + transform.c, transform.d * x + transform.e * y + transform.f


def _features(outlines: Outlines, dataset: DatasetReader, field: Field) -> geopandas.GeoDataFrame:
    placed = shapely.transform(outlines.polygons, lambda points: np.column_stack(_on_map(points, dataset.transform)))
    score = np.clip(100 * (field.level + outlines.mean_excess), 0, 100)
    if field.is_mask:
        score = np.full(len(placed), 100.0)
    frame = geopandas.GeoDataFrame(
        {"score": score, "area_m2": outlines.area, "perim_m": outlines.perimeter},
        geometry=shapely.orient_polygons(_repaired(placed)),
        crs=dataset.crs,
    )
    frame.insert(3, "vertices", vertex_counts(frame.geometry.to_numpy()))
    return frame[~frame.geometry.is_empty]


def _repaired(polygons: NDArray[Any]) -> NDArray[Any]:
    """Mend polygons that the rounding of map coordinates made touch or cross themselves.

    Rings are simple and apart in pixels, so this only happens where a pixel is hardly wider than the last digit of
    its coordinates. Such a polygon becomes the largest part of what GEOS' structure rule makes of it.
    """
    broken = np.flatnonzero(~shapely.is_valid(polygons))
    polygons = polygons.copy()
    for index in broken:
        parts = shapely.get_parts(shapely.make_valid(polygons[index], method="structure", keep_collapsed=False))
        polygons[index] = max(parts, key=shapely.area, default=shapely.Polygon())
    return polygons
