"""Which formats polygons are read from and written in, and what is to be said of the others."""

from __future__ import annotations

import os
from pathlib import Path

import pyogrio

from building_segmenter.errors import InputNotFoundError, InputUnreadableError, MissingCrsError, OutputNotWritableError
from building_segmenter.tasks import LAYER_MARK

_REMOTE = ("/vsi", "http://", "https://", "pg:", "postgresql:")
_PARQUET = (".parquet", ".geoparquet")


def is_parquet(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is GeoParquet, which goes through pyarrow and not through OGR."""
    return os.fspath(path).lower().endswith(_PARQUET)


def found_source(source: str, what: str) -> tuple[str, str | None]:
    """Return the path or connection and the layer's name of `path|layername=NAME`.

    Raises:
        InputNotFoundError: There is no such file.
    """
    path, _, layer = source.partition(LAYER_MARK)
    if not path.lower().startswith(_REMOTE) and not Path(path).exists():
        raise InputNotFoundError(f"The {what} {path} does not exist.", "Check the path.")
    return path, layer or None


def driver_of(output: str | os.PathLike[str]) -> str:
    """Return the OGR driver that writes files with this ending."""
    try:
        return str(pyogrio.detect_write_driver(str(output)))
    except ValueError as error:
        raise no_format(output) from error


def unreadable(path: str, what: str, error: object) -> InputUnreadableError:
    """Return the error for a source that OGR or pyarrow cannot read."""
    return InputUnreadableError(
        f"The {what} {path} cannot be read: {error}", "Check that it opens as a vector layer in QGIS."
    )


def no_geometry(path: str, what: str) -> InputUnreadableError:
    """Return the error for a table."""
    return InputUnreadableError(f"The {what} {path} has no geometry.", "Choose a polygon layer.")


def other_geometry(path: str, what: str, kinds: set[str], wanted: str = "polygon") -> InputUnreadableError:
    """Return the error for a layer of points, say, where polygons are needed."""
    return InputUnreadableError(
        f"The {what} {path} holds {', '.join(sorted(kinds))}, not {wanted}s.", f"Choose a {wanted} layer."
    )


def no_crs(path: str, what: str) -> MissingCrsError:
    """Return the error for a layer that does not say where it lies."""
    return MissingCrsError(
        f"The {what} {path} has no coordinate reference system.",
        "Assign its CRS (in QGIS: Set layer CRS, then export) and run again.",
    )


def no_format(output: str | os.PathLike[str]) -> OutputNotWritableError:
    """Return the error for an ending that says nothing to us."""
    return OutputNotWritableError(
        f"The output {output} has an ending of no vector format that polygons with fields can be written in.",
        "Use .gpkg, .geojson, .fgb, .shp or .parquet.",
    )
