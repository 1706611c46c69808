"""The outlines of an open raster as features, batch by batch, each as soon as it is complete."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from typing import Any

import geopandas
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from building_segmenter import tasks
from building_segmenter.errors import MissingCrsError
from building_segmenter.footprints.class_polygons import class_bands_of, class_outlines
from building_segmenter.footprints.contours.field import Field, excess_bands, field_of
from building_segmenter.footprints.contours.nesting import Outlines, joined_outlines, nested
from building_segmenter.footprints.contours.rings import contour_rings
from building_segmenter.footprints.contours.sizes import ground_measure, on_map, pixel_in
from building_segmenter.footprints.measures import vertex_counts
from building_segmenter.footprints.splitting import SplitRule, Splitter, contact_band
from building_segmenter.geo.ground import GroundFrame
from building_segmenter.geo.vectors import ahead
from building_segmenter.progress import Progress

FEATURES = 2048
"""Features in a batch: few enough for the steps to overlap in the layer of one tile."""


@dataclass(frozen=True)
class TraceRule:
    """What to trace in a raster, and what of it to keep.

    Args:
        band: Band, counted from 1. None: the first; of a raster whose bands carry CLASS_VALUE tags, all those: each
            class is then traced where it is more probable than every other and than the background, the threshold is
            not used, and neighbours have their boundary in common (see `class_outlines`).
        threshold: Probability from which a pixel is inside (0..1); not used for masks.
        value: The stored value that is inside in a mask. None: probabilities, or, for integers without a scale, a
            mask of every value but 0.
        min_area: Polygons with less area, holes taken off, are left out; ground m2.
        min_hole_area: Holes with less area are filled, unless a polygon lies in them; ground m2.
        split: When a region is parted; None: never. Only a raster with a band of contacts beside `band` has any.
    """

    band: int | None = None
    threshold: float = 0.5
    value: int | None = None
    min_area: float = 4.0
    min_hole_area: float = 4.0
    split: SplitRule | None = None


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


class Tracing:
    """The tracing of one open raster.

    Args:
        dataset: Open until the last batch was taken; read by one thread at a time.
        rule: What to trace.
        ground: The ground frame of a raster without CRS.
        progress: Receives warnings.
        second: Opens the same raster once more, for a thread of its own; None: by its name.
        known_as: What the user knows the raster as, or what it was made of; None: its name.

    Attributes:
        fields: Names of the features' fields, in order.

    Raises:
        BandsError: There is no such band.
        MissingCrsError: The raster has no CRS and `ground` is not given.
        InvalidParameterError: VALUE is nodata.
    """

    def __init__(
        self,
        dataset: DatasetReader,
        rule: TraceRule,
        ground: GroundFrame | None,
        progress: Progress,
        second: Callable[[], AbstractContextManager[DatasetReader]] | None = None,
        known_as: str | None = None,
    ) -> None:
        _check_crs(dataset, ground)
        # Not its own context, which brings one of GDAL that must end in the thread where it began.
        self._second = second or (lambda: closing(rasterio.open(dataset.name)))
        self._dataset, self._rule, self._ground = dataset, rule, ground
        self._known_as = known_as or dataset.name
        self._measure = ground_measure(dataset, ground)
        self._classes = class_bands_of(dataset) if rule.band is None and rule.value is None else ()
        self.fields = ("class", "class_name") * bool(self._classes) + ("score", "area_m2", "perim_m", "vertices")
        if self._classes:
            return
        self._field = field_of(dataset, rule.band or 1, rule.threshold, rule.value)
        if self._field.is_mask and rule.threshold != tasks.default_of(tasks.PolygonizeMask, "threshold"):
            progress.warn(f"THRESHOLD is not used: band {self._field.band} of {dataset.name} is read as a mask.")

    def batches(self, progress: Progress) -> Generator[Traced, None, None]:
        """Yield all features, by the row in which their regions end and then by that in which they begin.

        Neither the features nor their order nor the batches depend on how the raster is cut into blocks; classes
        follow each other. Memory: a row of the raster's blocks, the regions that are still open, a batch, and the
        window of one region that is parted. To be closed before the raster: regions are parted while the next ones
        are traced in a thread.

        Yields:
            `FEATURES` at a time and then what is left; a single empty batch where there is nothing.

        Raises:
            InputUnreadableError: Reading breaks off.
            InvalidParameterError: The values are no probabilities and no VALUE was named.
            CancelledError: The user asked to stop.
        """
        with closing(self._of_classes(progress) if self._classes else self._of_buildings(progress)) as found:
            yield from _gathered(self._told(found, progress), FEATURES)

    def _told(self, batches: Iterable[Traced], progress: Progress) -> Iterator[Traced]:
        """Tell at the end how much was parted, or that nothing was found."""
        count = parted = pieces = 0
        for batch in batches:
            # All pieces of a region are in one batch here.
            _, members = np.unique(batch.regions, return_counts=True)
            count += len(batch.regions)
            parted, pieces = parted + int((members > 1).sum()), pieces + int(members[members > 1].sum())
            yield batch
        if not count:
            least = self._rule.min_area
            progress.warn(f"No polygon was found in {self._known_as}: nothing inside is larger than {least:g} m2.")
        if parted:
            progress.log(f"{parted} regions were parted into {pieces} buildings that touch.")

    def _of_buildings(self, progress: Progress) -> Generator[Traced, None, None]:
        """Yield the polygons of buildings, some batches at a time: a frame costs as much as some hundred features."""
        waiting: list[tuple[Outlines, NDArray[np.int64]]] = []
        held = 0
        with closing(self._parted(progress)) as found:
            for outlines, regions in found:
                waiting.append((outlines, regions))
                held += len(regions)
                if held >= FEATURES:
                    yield self._traced(waiting)
                    waiting, held = [], 0
        if waiting:
            yield self._traced(waiting)

    def _traced(self, parts: list[tuple[Outlines, NDArray[np.int64]]]) -> Traced:
        outlines = joined_outlines([part for part, _ in parts])
        polygons = _features(outlines, self._dataset, self._field)
        return Traced(polygons, np.concatenate([regions for _, regions in parts])[polygons.index])

    def _parted(self, progress: Progress) -> Generator[tuple[Outlines, NDArray[np.int64]], None, None]:
        """Yield outlines band by band, and the number of the region that each is; parted while the next are traced."""
        splitter = _splitter(self._dataset, self._field, self._rule.split, self._ground)
        with nullcontext(self._outlines(progress)) if splitter is None else ahead(self._outlines(progress)) as found:
            first = 0
            for outlines in found:
                regions = np.arange(first, first + len(outlines.polygons))
                first += len(regions)
                if splitter is None:
                    yield outlines, regions
                else:
                    pieces, places = splitter.parted(outlines, progress)
                    yield pieces, regions[places]

    def _outlines(self, progress: Progress) -> Iterator[Outlines]:
        """Yield the outlines of whole regions, read from a dataset of its own: another thread may use the first."""
        rule = self._rule
        with self._second() as dataset:
            rings = contour_rings(excess_bands(dataset, self._field, progress), dataset.shape)
            yield from nested(rings, self._measure, rule.min_area, rule.min_hole_area)

    def _of_classes(self, progress: Progress) -> Generator[Traced, None, None]:
        """Yield the polygons of classes, class after class; each is a region of its own."""
        rule, first = self._rule, 0
        areas = rule.min_area, rule.min_hole_area
        for one, outlines in class_outlines(self._dataset, self._classes, self._measure, *areas, progress):
            polygons = _features(outlines, self._dataset, Field(one.band, None, 0.0, level=0.0))
            polygons.insert(0, "class", np.full(len(polygons), one.value, np.int32))
            polygons.insert(1, "class_name", np.full(len(polygons), one.name, object))
            yield Traced(polygons, np.arange(first, first + len(polygons)))
            first += len(polygons)


def joined_traced(batches: Iterable[Traced]) -> Traced:
    """Return the features of one or more batches as one."""
    found = list(batches)
    polygons = geopandas.GeoDataFrame(pd.concat([batch.polygons for batch in found], ignore_index=True))
    return Traced(polygons, np.concatenate([batch.regions for batch in found]))


def _gathered(batches: Iterable[Traced], size: int) -> Iterator[Traced]:
    """Yield features `size` at a time, and then what is left; at least one batch."""
    waiting: list[Traced] = []
    held = given = 0
    for batch in batches:
        if waiting and not len(batch.regions):
            continue
        waiting.append(batch)
        held += len(batch.regions)
        if held >= size:
            whole = joined_traced(waiting)
            stop = held - held % size
            yield from (_part(whole, start, start + size) for start in range(0, stop, size))
            given += stop
            # A piece of a frame would keep the whole alive.
            waiting, held = [Traced(whole.polygons[stop:].copy(), whole.regions[stop:].copy())], held - stop
    if held or not given:
        yield joined_traced(waiting)


def _part(whole: Traced, start: int, stop: int) -> Traced:
    return Traced(whole.polygons[start:stop].reset_index(drop=True), whole.regions[start:stop])


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
