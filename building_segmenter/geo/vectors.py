"""Reading and writing polygon layers in any OGR format and in GeoParquet."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyogrio
import shapely

from building_segmenter import scratch
from building_segmenter.errors import (
    DiskFullError,
    InputNotFoundError,
    InputUnreadableError,
    MissingCrsError,
    OutputNotWritableError,
)
from building_segmenter.tasks import LAYER_MARK, VECTOR_SUFFIXES

_REMOTE = ("/vsi", "http://", "https://", "pg:", "postgresql:")
_PARQUET = (".parquet", ".geoparquet")


def read_polygons(source: str, what: str = "layer", *, crs_required: bool = True) -> geopandas.GeoDataFrame:
    """Read a polygon layer whole, in its own CRS, with its feature ids as the index.

    Args:
        source: A path or OGR connection; `path|layername=NAME` names a layer.
        what: What the layer is to the user, for error messages: "footprints", "area of interest".
        crs_required: Refuse a layer without CRS.

    Returns:
        The features in file order. Geometries may be null, empty, invalid, or have Z.

    Raises:
        InputNotFoundError: There is no such file.
        InputUnreadableError: OGR cannot read it, the layer is missing, or it holds no polygons.
        MissingCrsError: The layer has no CRS.
    """
    path, _, layer = source.partition(LAYER_MARK)
    _check_exists(path, what)
    frame = _read(path, layer or None, what)
    kinds = set(frame.geometry.geom_type.dropna())
    if kinds and not kinds & {"Polygon", "MultiPolygon", "GeometryCollection"}:
        raise InputUnreadableError(
            f"The {what} {path} holds {', '.join(sorted(kinds))}, not polygons.", "Choose a polygon layer."
        )
    if crs_required and frame.crs is None:
        raise MissingCrsError(
            f"The {what} {path} has no coordinate reference system.",
            "Assign its CRS (in QGIS: Set layer CRS, then export) and run again.",
        )
    return frame


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
        _write(frame, path)
        _check_whole(frame, path)


def check_vector_output(output: str | os.PathLike[str]) -> None:
    """Raise `OutputNotWritableError` if the ending of a file name is of no format that holds polygons with fields."""
    suffix = Path(output).suffix.lower()
    if suffix in VECTOR_SUFFIXES or suffix in _PARQUET:
        return
    driver_of(output)
    sample = geopandas.GeoDataFrame({"score": [1.0], "reason": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=4326)
    # Some formats take points only, or no fields: better known before the work than after.
    with tempfile.TemporaryDirectory(prefix="building-segmenter-") as folder:
        path = Path(folder) / f"sample{suffix}"
        try:
            _write(sample, path)
            _check_whole(sample, path)
        except Exception as error:
            raise _no_format(output) from error


def driver_of(output: str | os.PathLike[str]) -> str:
    """Return the OGR driver that writes files with this ending."""
    try:
        return str(pyogrio.detect_write_driver(str(output)))
    except ValueError as error:
        raise _no_format(output) from error


def _no_format(output: str | os.PathLike[str]) -> OutputNotWritableError:
    return OutputNotWritableError(
        f"The output {output} has an ending of no vector format that polygons with fields can be written in.",
        "Use .gpkg, .geojson, .fgb, .shp or .parquet.",
    )


def _check_exists(path: str, what: str) -> None:
    if not path.lower().startswith(_REMOTE) and not Path(path).exists():
        raise InputNotFoundError(f"The {what} {path} does not exist.", "Check the path.")


def _read(path: str, layer: str | None, what: str) -> geopandas.GeoDataFrame:
    try:
        if path.lower().endswith(_PARQUET):
            return geopandas.read_parquet(path)
        frame = pyogrio.read_dataframe(path, layer=layer, fid_as_index=True)
    except Exception as error:
        raise InputUnreadableError(
            f"The {what} {path} cannot be read: {error}", "Check that it opens as a vector layer in QGIS."
        ) from error
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise InputUnreadableError(f"The {what} {path} has no geometry.", "Choose a polygon layer.")
    return frame


def _write(frame: geopandas.GeoDataFrame, path: Path) -> None:
    if path.suffix.lower() in _PARQUET:
        frame.to_parquet(path, index=False)
        return
    multi = bool((frame.geometry.geom_type == "MultiPolygon").any())
    pyogrio.write_dataframe(
        frame,
        path,
        driver=driver_of(path),
        layer=path.stem,
        geometry_type=_geometry_type(frame, multi),
        promote_to_multi=multi,
    )


def _check_whole(frame: geopandas.GeoDataFrame, path: Path) -> None:
    """Read a written layer again: on a full disk GeoJSON, FlatGeobuf and Shapefile end short without an error."""
    try:
        read = geopandas.read_parquet(path) if path.suffix.lower() in _PARQUET else pyogrio.read_dataframe(path)
        # A table without features has no geometry in some formats.
        whole = len(read) == len(frame) and (len(frame) == 0 or _filled(read) == _filled(frame))
    except Exception as error:
        raise _not_whole(path) from error
    if not whole:
        raise _not_whole(path)


def _filled(frame: geopandas.GeoDataFrame) -> int:
    geometries: Any = frame.geometry.to_numpy()
    return int((~(shapely.is_missing(geometries) | shapely.is_empty(geometries))).sum())


def _not_whole(path: Path) -> DiskFullError:
    return DiskFullError(
        f"The layer {path.name} could not be written to its end.",
        "Free some space, or write to another disk, and run again.",
    )


def _geometry_type(frame: geopandas.GeoDataFrame, multi: bool) -> str:
    known: Any = frame.geometry.dropna().to_numpy()
    has_z = bool(np.any(shapely.has_z(known))) if len(known) else False
    return ("MultiPolygon" if multi else "Polygon") + (" Z" if has_z else "")
