"""Polygons with sub-pixel outlines from a raster of probabilities or a mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import geopandas
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import shapely
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from building_segmenter import tasks
from building_segmenter.errors import MissingCrsError
from building_segmenter.footprints.class_polygons import ClassBand, class_bands_of, class_outlines
from building_segmenter.footprints.contours.field import Field, excess_bands, field_of
from building_segmenter.footprints.contours.nesting import Outlines, nested
from building_segmenter.footprints.contours.rings import contour_rings
from building_segmenter.footprints.contours.sizes import ground_measure, on_map, pixel_in
from building_segmenter.footprints.measures import vertex_counts
from building_segmenter.footprints.splitting import SplitRule, Splitter, contact_band
from building_segmenter.geo.ground import GroundFrame
from building_segmenter.geo.vectors import check_vector_output, write_polygons
from building_segmenter.progress import Progress
from building_segmenter.rasters.source import open_raster


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
        split=SplitRule(options.contact_threshold) if options.split else None,
        progress=progress.part(0.0, 0.95),
    )
    progress.update(0.95, "Writing polygons")
    write_polygons(polygons, options.output)
    progress.update(1.0, "Writing polygons")
    return {"output": options.output, "features": len(polygons)}


def polygonize_raster(
    path: str,
    *,
    band: int | None = None,
    threshold: float = 0.5,
    value: int | None = None,
    min_area: float = 4.0,
    min_hole_area: float = 4.0,
    split: SplitRule | None = None,
    ground: GroundFrame | None = None,
    progress: Progress | None = None,
) -> geopandas.GeoDataFrame:
    """Trace sub-pixel outlines around all that is inside in a raster.

    Outlines lie where the probability, interpolated between pixel centres, crosses the threshold; at nodata and at
    the raster's edge they follow the pixels' edges. Pixels that touch at a corner only are joined where the bilinear
    surface joins them. All points are kept but those exactly on a line. Where a band tells the probability of contact,
    regions of several buildings are parted: the pieces keep the outer outline and have one line in common.

    Args:
        path: Raster of probabilities (floats 0..1, or integers with a GDAL scale) or an integer mask; any affine
            georeference.
        band: Band, counted from 1. None: the first; of a raster whose bands carry CLASS_VALUE tags, all those: each
            class is then traced where it is more probable than every other and than the background, the threshold is
            not used, and neighbours have their boundary in common (see `class_outlines`).
        threshold: Probability from which a pixel is inside (0..1); not used for masks.
        value: The stored value that is inside in a mask. None: probabilities, or, for integers without a scale, a
            mask of every value but 0.
        min_area: Polygons with less area, holes taken off, are left out; ground m2.
        min_hole_area: Holes with less area are filled, unless a polygon lies in them; ground m2.
        split: When a region is parted; None: never. Only a raster with a band of contacts beside `band` has any.
        ground: The ground frame of a raster without CRS.
        progress: Receives progress and warnings.

    Returns:
        Valid polygons in the raster's CRS, with `score` (mean probability of the pixels inside, 0..100; 100 for a
        mask), `area_m2`, `perim_m` (holes included) and `vertices`; those of classes begin with `class`, its value,
        and `class_name`. Their order follows the rows of the raster.

    Raises:
        InputNotFoundError: There is no such raster.
        InputUnreadableError: GDAL cannot open it, or reading breaks off.
        BandsError: There is no such band.
        MissingCrsError: The raster has no CRS and `ground` is not given.
        InvalidParameterError: The values are no probabilities and no VALUE was named, or VALUE is nodata.
        CancelledError: The user asked to stop.
    """
    return trace_raster(
        path,
        band=band,
        threshold=threshold,
        value=value,
        min_area=min_area,
        min_hole_area=min_hole_area,
        split=split,
        ground=ground,
        progress=progress,
    ).polygons


@dataclass(frozen=True)
class Traced:
    """Polygons and where they come from.

    Args:
        polygons: As of `polygonize_raster`.
        regions: Number (n,) of the region that each polygon is; pieces of a region that was parted share one.
    """

    polygons: geopandas.GeoDataFrame
    regions: NDArray[np.int64]

    @property
    def is_parted(self) -> bool:
        """Whether any region was parted."""
        return len(np.unique(self.regions)) < len(self.regions)


def trace_raster(
    path: str,
    *,
    band: int | None = None,
    threshold: float = 0.5,
    value: int | None = None,
    min_area: float = 4.0,
    min_hole_area: float = 4.0,
    split: SplitRule | None = None,
    ground: GroundFrame | None = None,
    progress: Progress | None = None,
) -> Traced:
    """Do as `polygonize_raster`, which see, and also tell which polygons are pieces of one region."""
    progress = progress or Progress()
    with open_raster(path, "raster") as dataset:
        _check_crs(dataset, ground)
        classes = class_bands_of(dataset) if band is None and value is None else ()
        if classes:
            batches = list(_class_batches(dataset, classes, min_area, min_hole_area, ground, progress))
        else:
            field = field_of(dataset, band or 1, threshold, value)
            if field.is_mask and threshold != tasks.default_of(tasks.PolygonizeMask, "threshold"):
                progress.warn(f"THRESHOLD is not used: band {field.band} of {dataset.name} is read as a mask.")
            splitter = _splitter(dataset, field, split, ground)
            batches = list(polygon_batches(dataset, field, min_area, min_hole_area, ground, progress, splitter))
    polygons = geopandas.GeoDataFrame(pd.concat([batch.polygons for batch in batches], ignore_index=True))
    traced = Traced(polygons, np.concatenate([batch.regions for batch in batches]))
    if len(polygons) == 0:
        progress.warn(f"No polygon was found in {path}: nothing inside is larger than {min_area:g} m2.")
    if traced.is_parted:
        pieces = np.bincount(traced.regions)
        progress.log(
            f"{int((pieces > 1).sum())} regions were parted into {int(pieces[pieces > 1].sum())} buildings that touch."
        )
    return traced


def polygon_batches(
    dataset: DatasetReader,
    field: Field,
    min_area: float,
    min_hole_area: float,
    ground: GroundFrame | None,
    progress: Progress,
    splitter: Splitter | None = None,
) -> Iterator[Traced]:
    """Give the polygons of `polygonize_raster` as soon as they are complete, from the top of the raster to its end.

    Yields:
        Features as those of `polygonize_raster`; at least one batch, some of them empty. Memory: a row
        of the raster's blocks and the open outlines, and the window of one region that is parted.
    """
    rings = contour_rings(excess_bands(dataset, field, progress), dataset.shape)
    first = 0
    for outlines in nested(rings, ground_measure(dataset, ground), min_area, min_hole_area):
        regions = np.arange(first, first + len(outlines.polygons))
        first += len(regions)
        if splitter is not None:
            outlines, places = splitter.parted(outlines, progress)
            regions = regions[places]
        polygons = _features(outlines, dataset, field)
        yield Traced(polygons, regions[polygons.index])


def _class_batches(
    dataset: DatasetReader,
    classes: tuple[ClassBand, ...],
    min_area: float,
    min_hole_area: float,
    ground: GroundFrame | None,
    progress: Progress,
) -> Iterator[Traced]:
    """Give the polygons of classes, class after class; each is a region of its own."""
    first = 0
    measure = ground_measure(dataset, ground)
    for one, outlines in class_outlines(dataset, classes, measure, min_area, min_hole_area, progress):
        field = Field(one.band, None, 0.0, level=0.0)
        polygons = _features(outlines, dataset, field)
        polygons.insert(0, "class", np.full(len(polygons), one.value, np.int32))
        polygons.insert(1, "class_name", np.full(len(polygons), one.name, object))
        yield Traced(polygons, np.arange(first, first + len(polygons)))
        first += len(polygons)


def _splitter(
    dataset: DatasetReader, field: Field, rule: SplitRule | None, ground: GroundFrame | None
) -> Splitter | None:
    """Return what parts regions of buildings; None where nothing is to be parted or no band tells of contacts."""
    band = contact_band(dataset)
    if rule is None or band is None or band == field.band or field.is_mask:
        return None
    return Splitter(dataset, field, band, pixel_in(dataset, ground), rule, ground_measure(dataset, ground))


def _check_crs(dataset: DatasetReader, ground: GroundFrame | None) -> None:
    if dataset.crs is None and ground is None:
        raise MissingCrsError(
            f"The raster {dataset.name} has no coordinate reference system, so areas on the ground are not known.",
            "Assign its CRS (in QGIS: Raster > Projections > Assign Projection, or gdal_edit.py -a_srs) and run again.",
        )


def _features(outlines: Outlines, dataset: DatasetReader, field: Field) -> geopandas.GeoDataFrame:
    placed = shapely.transform(outlines.polygons, lambda points: np.column_stack(on_map(points, dataset.transform)))
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
