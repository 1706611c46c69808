"""What is known of the ground under a raster: footprints with their classes, and where they are complete."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.chips.chip import IGNORE, ChipClass
from building_segmenter.chips.classes import classes_of
from building_segmenter.chips.contacts import Contacts
from building_segmenter.errors import InvalidParameterError
from building_segmenter.geo.ground import frames_by_place
from building_segmenter.geo.vectors import read_polygons
from building_segmenter.progress import Progress
from building_segmenter.rasters.grid import ModelGrid
from building_segmenter.rasters.overlay import PixelPolygons, Window, area_on_grid, lay_over
from building_segmenter.tasks import ExportChips

_POINTS = ("Point", "MultiPoint")


@dataclass(frozen=True)
class Labels:
    """Labels of a window of pixels; see `chip.Chip`."""

    label: NDArray[Any]
    instances: NDArray[np.int32]
    contact: NDArray[np.uint8]


@dataclass(frozen=True)
class Truth:
    """Footprints and the labelled area on a grid. Made by `read_truth`.

    Args:
        polygons: Footprints over the raster; `polygons.rows` + 1 are their ids.
        area: The labelled area, or None: everywhere.
        values: Class value of every id; 0 of id 0, 255 of footprints without class.
        classes: All classes of the layer.
        contacts: Finds where buildings meet.
    """

    polygons: PixelPolygons
    area: PixelPolygons | None
    values: NDArray[Any]
    classes: tuple[ChipClass, ...]
    contacts: Contacts

    @cached_property
    def ids(self) -> NDArray[np.int32]:
        """The id of each polygon of `polygons`."""
        return (self.polygons.rows + 1).astype(np.int32)

    def labels(self, window: Window) -> Labels:
        """Label a window (column, row, width, height) of the grid, and what lies around it."""
        column, row, width, height = window
        reach = self.contacts.reach
        wider = (column - reach, row - reach, width + 2 * reach, height + 2 * reach)
        indices = self.polygons.in_window(wider)
        ids = self.polygons.burn(wider, indices, self.ids[indices])
        contact = self.contacts.mark_window(ids, window)
        known = None if self.area is None else inside(self.area, window)
        core = np.ascontiguousarray(ids[reach:-reach, reach:-reach])
        return labelled(core, contact, self.values, known)


def labelled(
    ids: NDArray[np.int32], contact: NDArray[np.uint8], values: NDArray[Any], known: NDArray[np.bool_] | None
) -> Labels:
    """Return labels from the footprint of every pixel; unknown ground has neither instance nor contact."""
    highest = values.max(initial=0)
    # One class is the most common case by far, and a comparison much quicker than a look-up.
    label = (ids > 0).view(np.uint8) if highest == 1 == values[1:].min(initial=1) else values[ids]
    if known is None and highest < IGNORE:
        return Labels(label, ids, contact)
    if known is not None:
        label[~known] = IGNORE
    unknown = label == IGNORE
    if unknown.any():
        ids, contact = np.where(unknown, np.int32(0), ids), np.where(unknown, np.uint8(0), contact)
    return Labels(label, ids, contact)


def inside(area: PixelPolygons, window: Window) -> NDArray[np.bool_]:
    """Return where the pixels of a window lie in an area."""
    indices = area.in_window(window)
    return area.burn(window, indices, np.ones(len(indices), np.int32)) > 0


def read_truth(options: ExportChips, grid: ModelGrid, progress: Progress) -> Truth:
    """Read footprints and the labelled area and lay them over a grid.

    Raises:
        NoOverlapError: No footprint lies over the raster, or the area does not.
        InvalidParameterError: The class field does not fit, BUFFER is missing for points, or there are none for it.
    """
    frame = read_polygons(options.footprints, "footprints", points=True)
    frame = _buffered(frame, options.buffer, options.footprints)
    rows, classes = classes_of(frame, options.class_field, options.footprints)
    polygons, notes = lay_over(frame, grid, "footprints")
    classless = int((rows[polygons.rows] == IGNORE).sum())
    if classless:
        notes.append(f"{classless} footprints have no class in {options.class_field}: their pixels are unknown ground.")
    for note in notes:
        progress.warn(note)
    small = max((one.value for one in classes), default=0) < IGNORE
    values = np.concatenate([[0], rows]).astype(np.uint8 if small else np.uint16)
    contacts = Contacts(polygons.geometries, grid.gsd)
    return Truth(polygons, area_on_grid(options.area, grid), values, classes, contacts)


def _buffered(frame: geopandas.GeoDataFrame, radius: float | None, layer: str) -> geopandas.GeoDataFrame:
    """Return the layer with its points as circles of so many ground metres."""
    geometries = frame.geometry.to_numpy().copy()
    points = frame.geometry.geom_type.isin(_POINTS).to_numpy() & ~shapely.is_empty(geometries)
    if not points.any() and radius is None:
        return frame
    if radius is None:
        raise InvalidParameterError(
            f"The footprints {layer} hold points, and BUFFER is empty.",
            "Give BUFFER, the radius in metres of the circle that stands for a point, or choose a polygon layer.",
        )
    if not points.any():
        raise InvalidParameterError(
            f"BUFFER is {radius:g} m; the footprints {layer} hold no points.", "Leave BUFFER empty for polygons."
        )
    where = np.flatnonzero(points)
    for members, ground in frames_by_place(frame.crs, shapely.bounds(geometries[where])):
        circles = shapely.buffer(ground.geometry_to_ground(geometries[where[members]]), radius, quad_segs=16)
        geometries[where[members]] = ground.geometry_to_layer(circles)
    return frame.set_geometry(geopandas.GeoSeries(geometries, index=frame.index, crs=frame.crs))
