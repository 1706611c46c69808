"""Polygon layers of any size written in batches, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyogrio

from building_segmenter import scratch
from building_segmenter.geo.vectors import formats
from building_segmenter.geo.vectors.batches import Batch, surely_filled, wkb_column
from building_segmenter.geo.vectors.check import check_whole
from building_segmenter.geo.vectors.columns import for_ogr, for_parquet
from building_segmenter.geo.vectors.parquet import write_parquet
from building_segmenter.progress import Progress


@dataclass(frozen=True)
class LayerSchema:
    """What must be known of a layer before its first feature is written.

    Args:
        fields: The attributes. A whole-numbered `fid` becomes the key of a GeoPackage.
        crs: As `EPSG:CODE` or WKT, or None.
        geometry_type: `Polygon`, `MultiPolygon` (polygons are then made such), both also with ` Z`, or `Unknown`.
        missing: Features may have no geometry, or an empty one.
        zones: Of date-times as text, whether they have offsets from UTC; see `columns.zones_of`.
    """

    fields: pa.Schema
    crs: str | None
    geometry_type: str = "Polygon"
    missing: bool = False
    zones: dict[str, str] = field(default_factory=dict)


def write_batches(
    batches: Iterable[Batch],
    output: str | os.PathLike[str],
    schema: LayerSchema,
    progress: Progress | None = None,
) -> int:
    """Write a polygon layer from batches that are made while it is written.

    The file appears only when whole: not if the batches end in an error, which is raised as it is.

    Args:
        batches: Features with the fields of the schema.
        output: The ending of its name chooses the format; see `write_polygons`.
        schema: What the layer is like.
        progress: Told while the written layer is looked at again, after the last batch; asked whether to stop.

    Returns:
        The number of features.

    Raises:
        OutputNotWritableError: The ending is of no format that can be written here, or the place cannot be
            written to.
        DiskFullError: The disk is full.
        CancelledError: The caller asked to stop.
    """
    progress = progress or Progress()
    target = Path(output)
    with scratch.new_output(target) as path:
        stream = _Stream(batches, schema, formats.is_parquet(path))
        if formats.is_parquet(path):
            write_parquet(stream.batches(), path, schema=stream.schema, geometry=stream.geometry_name, crs=schema.crs)
        else:
            _write_ogr(stream, path, schema)
        check_whole(path, stream.count, stream.filled, progress)
        progress.update(1.0, "Done")
    return stream.count


class _Stream:
    """Batches as a format takes them, counted."""

    def __init__(self, batches: Iterable[Batch], schema: LayerSchema, parquet: bool) -> None:
        self._batches, self._multi = batches, schema.geometry_type.startswith("Multi")
        self._columns = for_parquet(schema.fields, schema.zones) if parquet else for_ogr(schema.fields)
        self.geometry_name = free_name("geometry", schema.fields.names)
        self.schema = self._columns.schema.append(pa.field(self.geometry_name, pa.binary()))
        self.count = self.filled = 0
        self.failure: BaseException | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._batches:
                wkb = wkb_column(batch, self._multi)
                self.count += len(wkb)
                self.filled += surely_filled(batch.geometry)
                yield pa.record_batch([*self._columns.converted(batch.fields), wkb], self.schema)
        except BaseException as error:
            # Arrow's stream would turn it into text.
            self.failure = error
            raise


def free_name(name: str, taken: Iterable[str]) -> str:
    """Return the name, or `NAME_1`, `NAME_2` ... where fields have it; upper and lower case are one to formats."""
    lower = {other.lower() for other in taken}
    found, number = name, 0
    while found.lower() in lower:
        number += 1
        found = f"{name}_{number}"
    return found


def _write_ogr(stream: _Stream, path: Path, schema: LayerSchema) -> None:
    reader = pa.RecordBatchReader.from_batches(stream.schema, stream.batches())
    try:
        pyogrio.write_arrow(
            reader,
            path,
            driver=formats.driver_of(path),
            layer=path.stem,
            geometry_name=stream.geometry_name,
            geometry_type=schema.geometry_type,
            crs=schema.crs,
            layer_options=_layer_options(path, schema),
        )
    except Exception:
        if stream.failure is not None:
            raise stream.failure from None
        raise


def _layer_options(path: Path, schema: LayerSchema) -> dict[str, Any]:
    driver = formats.driver_of(path)
    if driver == "FlatGeobuf" and schema.missing:
        # Its index has no place for features without geometry.
        return {"SPATIAL_INDEX": "NO"}
    if driver == "GPKG" and "geom" in (name.lower() for name in schema.fields.names):
        return {"GEOMETRY_NAME": free_name("geom", schema.fields.names)}
    return {}
