"""Vector layers laid over a grid of model pixels."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import geopandas
import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray

from building_segmenter.errors import NoDataError, NoOverlapError
from building_segmenter.geo.unions import union_of
from building_segmenter.geo.vectors import read_polygons
from building_segmenter.rasters.grid import ModelGrid
from building_segmenter.rasters.reprojection import moved_to, wrapped_onto

Window = tuple[int, int, int, int]


class PixelPolygons:
    """Polygons in model pixel coordinates (column, row; pixel centres at .5), found by window.

    Args:
        geometries: Valid polygons.
        rows: Position of each in its layer; by default that in `geometries`.
    """

    def __init__(self, geometries: NDArray[Any], rows: NDArray[np.intp] | None = None) -> None:
        self.geometries = geometries
        self.rows = np.arange(len(geometries)) if rows is None else rows
        self._tree = shapely.STRtree(geometries)

    def in_window(self, window: Window) -> NDArray[np.intp]:
        """Return the indices, in order, of the polygons that touch a window (column, row, width, height)."""
        column, row, width, height = window
        return self.touching_polygon(shapely.box(column, row, column + width, row + height))

    def touching_polygon(self, polygon: Any) -> NDArray[np.intp]:
        """Return the indices, in order, of the polygons that touch another one."""
        found: NDArray[np.intp] = np.sort(self._tree.query(polygon, predicate="intersects"))
        return found

    def touching(self, shapes: NDArray[Any], among: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Tell which of many shapes touch a polygon, or one of the polygons of a mask."""
        shape, polygon = self._tree.query(shapes, predicate="intersects")
        touched = np.zeros(len(shapes), np.bool_)
        touched[shape if among is None else shape[among[polygon]]] = True
        return touched

    @cached_property
    def union(self) -> Any:
        """All polygons as one, prepared to be asked about many shapes."""
        union = union_of(self.geometries)
        shapely.prepare(union)
        return union

    def burn(self, window: Window, indices: NDArray[np.intp], values: NDArray[Any]) -> NDArray[np.int32]:
        """Return a raster (height, width) with each polygon's value where it holds a pixel's centre, else 0.

        Of overlapping polygons the last one counts.
        """
        column, row, width, height = window
        if len(indices) == 0:
            return np.zeros((height, width), np.int32)
        burned: NDArray[np.int32] = rasterio.features.rasterize(
            zip(self.geometries[indices], values.tolist(), strict=True),
            out_shape=(height, width),
            transform=Affine.translation(column, row),
            dtype=np.int32,
        )
        return burned


def lay_over(frame: geopandas.GeoDataFrame, grid: ModelGrid, what: str) -> tuple[PixelPolygons, list[str]]:
    """Bring a polygon layer to the pixels of a grid.

    Invalid polygons are repaired (`shapely.make_valid`, polygonal parts); null and empty ones are left out.

    Args:
        frame: The layer, in any CRS; taken to be in the grid's where either has none.
        grid: The grid.
        what: What the layer is to the user, for messages.

    Returns:
        The polygons, and a line for each thing that was repaired or left out.

    Raises:
        NoDataError: There is no polygon at all.
        NoOverlapError: No polygon lies over the grid.
    """
    notes = []
    geometries = frame.geometry.to_numpy()
    rows = np.flatnonzero(~(shapely.is_missing(geometries) | shapely.is_empty(geometries)))
    if len(rows) < len(frame):
        notes.append(
            f"{len(frame) - len(rows)} of {len(frame)} features of the {what} have no geometry and are left out."
        )
    geometries = shapely.force_2d(geometries[rows])
    if frame.crs is not None and grid.crs is not None:
        geometries = _on_raster(geometries, frame.crs, grid)
    invalid = ~shapely.is_valid(geometries)
    if invalid.any():
        notes.append(f"{int(invalid.sum())} invalid polygons of the {what} were repaired.")
        geometries[invalid] = [_polygonal(shapely.make_valid(geometry)) for geometry in geometries[invalid]]
    to_pixels = ~grid.transform
    pixels = shapely.transform(geometries, lambda x, y: to_pixels @ (x, y), interleaved=False)
    over = shapely.intersects(pixels, shapely.box(0, 0, grid.width, grid.height))
    if len(rows) == 0:
        raise NoDataError(
            f"No polygon in the layer of {what}: {len(frame)} features, none with a geometry.",
            "Choose the layer with the polygons, or draw some.",
        )
    if not over.any():
        raise _no_overlap(geometries, grid, what)
    return PixelPolygons(pixels[over], rows[over]), notes


def area_on_grid(area: str | None, grid: ModelGrid) -> PixelPolygons | None:
    """Return the polygons of an area of interest on a grid, or None where there is no such area.

    Raises:
        NoOverlapError: The area does not touch the raster.
    """
    if area is None:
        return None
    return lay_over(read_polygons(area, "area", crs_required=grid.crs is not None), grid, "area")[0]


def extent_on_grid(extent: tuple[float, ...] | None, grid: ModelGrid) -> Window:
    """Return the window of model pixels that covers an extent given in the grid's CRS; None: the whole grid.

    Raises:
        NoOverlapError: The extent does not touch the raster.
    """
    if extent is None:
        return 0, 0, grid.width, grid.height
    xmin, ymin, xmax, ymax = extent
    corners = [~grid.transform @ point for point in ((xmin, ymin), (xmin, ymax), (xmax, ymin), (xmax, ymax))]
    columns, rows = zip(*corners, strict=True)
    # A millionth of a pixel is rounding, not ground that was asked for.
    left, top = max(0, int(np.floor(min(columns) + 1e-6))), max(0, int(np.floor(min(rows) + 1e-6)))
    right = min(grid.width, int(np.ceil(max(columns) - 1e-6)))
    bottom = min(grid.height, int(np.ceil(max(rows) - 1e-6)))
    if right <= left or bottom <= top:
        raise NoOverlapError(
            f"EXTENT {' '.join(f'{edge:g}' for edge in extent)} does not touch the image.",
            "Give it as XMIN YMIN XMAX YMAX in the CRS of the image.",
        )
    return left, top, right - left, bottom - top


def _on_raster(geometries: NDArray[Any], crs: Any, grid: ModelGrid) -> NDArray[Any]:
    moved = geometries if crs == grid.crs else moved_to(geometries, crs, grid.crs, grid.transform)
    corners = [grid.transform @ (x, y) for x in (0, grid.width) for y in (0, grid.height)]
    xs, ys = zip(*corners, strict=True)
    return wrapped_onto(moved, grid.crs, (min(xs), min(ys), max(xs), max(ys)))


def _polygonal(geometry: Any) -> Any:
    parts = [part for part in shapely.get_parts(geometry) if part.geom_type in ("Polygon", "MultiPolygon")]
    return union_of(parts) if parts else shapely.Polygon()


def _no_overlap(geometries: NDArray[Any], grid: ModelGrid, what: str) -> NoOverlapError:
    corner, opposite = grid.transform @ (0, 0), grid.transform @ (grid.width, grid.height)
    raster = ", ".join(f"{edge:g}" for edge in (*corner, *opposite))
    layer = ", ".join(f"{edge:g}" for edge in shapely.total_bounds(geometries))
    return NoOverlapError(
        f"No polygon of the {what} lies over the image. In the CRS of the image, the image spans ({raster}) and the"
        f" {what} ({layer}).",
        "Check that both lie at the same place and carry the right CRS.",
    )
