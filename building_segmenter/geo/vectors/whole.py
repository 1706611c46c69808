"""Polygon layers in memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyogrio
import pyproj
import shapely

from building_segmenter import scratch
from building_segmenter.geo.vectors import formats
from building_segmenter.geo.vectors.batches import surely_filled
from building_segmenter.geo.vectors.check import check_whole
from building_segmenter.tasks import VECTOR_SUFFIXES


def read_polygons(
    source: str, what: str = "layer", *, crs_required: bool = True, points: bool = False
) -> geopandas.GeoDataFrame:
    """Read a polygon layer whole, in its own CRS, with its feature ids as the index.

    Args:
        source: A path or OGR connection; `path|layername=NAME` names a layer.
        what: What the layer is to the user, for error messages: "footprints", "area of interest".
        crs_required: Refuse a layer without CRS.
        points: Take points too.

    Returns:
        The features in file order. Geometries may be null, empty, invalid, or have Z.

    Raises:
        InputNotFoundError: There is no such file.
        InputUnreadableError: OGR cannot read it, the layer is missing, or it holds no polygons.
        MissingCrsError: The layer has no CRS.
    """
    path, layer = formats.found_source(source, what)
    frame = _read(path, layer, what)
    kinds = set(frame.geometry.geom_type.dropna())
    taken = {"Polygon", "MultiPolygon", "GeometryCollection"} | ({"Point", "MultiPoint"} if points else set())
    if kinds and not kinds & taken:
        raise formats.other_geometry(path, what, kinds)
    if crs_required and frame.crs is None:
        raise formats.no_crs(path, what)
    return frame


def read_lines(source: str, what: str, crs: Any, near: tuple[float, float, float, float]) -> geopandas.GeoSeries:
    """Read the lines of a layer that lie near something; outlines of polygons count as lines.

    Args:
        source: As in `read_polygons`.
        what: What the layer is to the user, for error messages.
        crs: CRS to read them in.
        near: Bounds in that CRS; what lies wholly outside them may be left out.

    Raises:
        InputNotFoundError: There is no such file.
        InputUnreadableError: OGR cannot read it, the layer is missing, or it holds points only.
        MissingCrsError: The layer has no CRS.
    """
    path, layer = formats.found_source(source, what)
    frame = _read(path, layer, what, lambda given: _bounds_in(given, crs, near))
    kinds = set(frame.geometry.geom_type.dropna())
    if kinds and kinds <= {"Point", "MultiPoint"}:
        raise formats.other_geometry(path, what, kinds, "line")
    if frame.crs is None:
        raise formats.no_crs(path, what)
    return frame.geometry.to_crs(crs)


def write_polygons(frame: geopandas.GeoDataFrame, output: str | os.PathLike[str]) -> None:
    """Write a polygon layer; the ending of the file name chooses the format.

    The file appears only when whole. Single polygons are written as Polygon, otherwise all as MultiPolygon.

    Args:
        frame: Features in the CRS they should have in the file; the index is not written.
        output: GeoPackage, GeoJSON, FlatGeobuf, Shapefile, GeoParquet or any format that OGR writes by ending.

    Raises:
        OutputNotWritableError: The ending is of no format that can be written here, or the place cannot be
            written to.
        DiskFullError: The disk is full.
    """
    target = Path(output)
    check_vector_output(target)
    with scratch.new_output(target) as path:
        _write_whole(frame, path)


def check_vector_output(output: str | os.PathLike[str]) -> None:
    """Raise `OutputNotWritableError` if the ending of a file name is of no format that holds polygons with fields."""
    suffix = Path(output).suffix.lower()
    if suffix in VECTOR_SUFFIXES or formats.is_parquet(output):
        return
    formats.driver_of(output)
    sample = geopandas.GeoDataFrame({"score": [1.0], "reason": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=4326)
    # Some formats take points only, or no fields: better known before the work than after.
    with tempfile.TemporaryDirectory(prefix="building-segmenter-") as folder:
        try:
            _write_whole(sample, Path(folder) / f"sample{suffix}")
        except Exception as error:
            raise formats.no_format(output) from error


def _bounds_in(given: Any, crs: Any, near: tuple[float, float, float, float]) -> tuple[float, ...] | None:
    """Return bounds in another CRS; None where they cannot be told, or go around the Earth."""
    if given is None:
        return None
    try:
        bounds = pyproj.Transformer.from_crs(crs, given, always_xy=True).transform_bounds(*near, densify_pts=21)
    except pyproj.exceptions.ProjError:
        return None
    return bounds if np.isfinite(bounds).all() and bounds[0] <= bounds[2] else None


def _read(path: str, layer: str | None, what: str, near: Callable[[Any], Any] | None = None) -> geopandas.GeoDataFrame:
    try:
        if formats.is_parquet(path):
            return geopandas.read_parquet(path)
        bounds = None if near is None else near(pyogrio.read_info(path, layer=layer)["crs"])
        frame = pyogrio.read_dataframe(path, layer=layer, fid_as_index=True, bbox=bounds)
    except Exception as error:
        raise formats.unreadable(path, what, error) from error
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise formats.no_geometry(path, what)
    return frame


def _write_whole(frame: geopandas.GeoDataFrame, path: Path) -> None:
    _write(frame, path)
    check_whole(path, len(frame), surely_filled(np.asarray(frame.geometry.to_numpy(), object)))


def _write(frame: geopandas.GeoDataFrame, path: Path) -> None:
    if formats.is_parquet(path):
        frame.to_parquet(path, index=False)
        return
    multi = bool((frame.geometry.geom_type == "MultiPolygon").any())
    pyogrio.write_dataframe(
        frame,
        path,
        driver=formats.driver_of(path),
        layer=path.stem,
        geometry_type=_geometry_type(frame, multi),
        promote_to_multi=multi,
    )


def _geometry_type(frame: geopandas.GeoDataFrame, multi: bool) -> str:
    known: Any = frame.geometry.dropna().to_numpy()
    has_z = bool(np.any(shapely.has_z(known))) if len(known) else False
    return ("MultiPolygon" if multi else "Polygon") + (" Z" if has_z else "")
