"""GeoParquet through pyarrow, in batches: https://geoparquet.org/releases/v1.1.0/."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa
import pyproj
import shapely
from pyarrow import parquet

_ROWS_IN_GROUP = 65_536
_NO_CRS_SAID = "OGC:CRS84"


class ParquetSource:
    """The features of a GeoParquet file.

    Args:
        path: The file.

    Raises:
        ValueError: It has no geometry.
    """

    key = ""

    @property
    def geometry_name(self) -> str:
        """Name of the geometry column."""
        return self._geometry

    def __init__(self, path: str) -> None:
        self._path = path
        with parquet.ParquetFile(path) as file:
            self._schema = file.schema_arrow
            facts = (file.metadata.metadata or {}).get(b"geo")
        if facts is None:
            raise ValueError("it has no metadata of geometry, so it is Parquet, but not GeoParquet")
        described = json.loads(facts)
        self._geometry: str = described["primary_column"]
        column = described["columns"][self._geometry]
        crs = column.get("crs", _NO_CRS_SAID)
        self.crs: str | None = None if crs is None else pyproj.CRS.from_user_input(crs).to_wkt()
        self._is_wkb = column["encoding"].upper() == "WKB"
        # A box of each feature that only serves to find it would no longer be true.
        covering = column.get("covering", {}).get("bbox", {}).get("xmin", [""])[0]
        self._names = [name for name in self._schema.names if name not in (self._geometry, covering)]
        self.fields = pa.schema([self._schema.field(name) for name in self._names])

    def parts(self, size: int) -> Iterator[tuple[Any, pa.RecordBatch, pa.Array]]:
        """Yield, some features at a time, None (there are no ids), the attributes, and the geometries as WKB."""
        with parquet.ParquetFile(self._path) as file:
            for batch in file.iter_batches(size):
                wkb = self._as_wkb(batch)
                yield None, batch.select(self._names).replace_schema_metadata(None), wkb

    def linear(self, keys: Any) -> Any:
        """Return nothing: GeoParquet has no arcs."""
        raise ValueError("GeoParquet has no curved geometries")

    def _as_wkb(self, batch: pa.RecordBatch) -> pa.Array:
        column = batch.column(batch.schema.get_field_index(self._geometry))
        if self._is_wkb:
            storage = column.storage if isinstance(column, pa.ExtensionArray) else column
            plain = pa.types.is_binary(storage.type) or pa.types.is_large_binary(storage.type)
            return storage if plain else storage.cast(pa.binary())
        geometry = geopandas.GeoDataFrame.from_arrow(
            pa.table([column], schema=self._schema.empty_table().select([self._geometry]).schema)
        )
        return pa.array(shapely.to_wkb(geometry.geometry.to_numpy(), flavor="iso"), pa.binary())


def write_parquet(
    batches: Iterable[pa.RecordBatch], path: Path, *, schema: pa.Schema, geometry: str, crs: str | None
) -> None:
    """Write batches whose column `geometry` is WKB; kinds and bounds are told in the file's metadata at the end."""
    summary = _Summary()
    with parquet.ParquetWriter(path, schema, compression="snappy") as writer:
        waiting: list[pa.RecordBatch] = []
        for batch in batches:
            summary.add(batch.column(batch.schema.get_field_index(geometry)))
            waiting.append(batch)
            if sum(map(len, waiting)) >= _ROWS_IN_GROUP:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting = []
        writer.write_table(pa.Table.from_batches(waiting, schema))
        writer.add_key_value_metadata({"geo": json.dumps(summary.described(geometry, crs))})


class _Summary:
    """What GeoParquet wants to be told of a geometry column."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._low, self._high = np.full(2, np.inf), np.full(2, -np.inf)

    def add(self, wkb: pa.Array) -> None:
        geometry = shapely.from_wkb(wkb.to_numpy(zero_copy_only=False), on_invalid="ignore")
        there = geometry[~shapely.is_missing(geometry)]
        height = np.where(shapely.has_z(there), " Z", "")
        self._kinds |= {f"{one.geom_type}{z}" for one, z in zip(there, height, strict=True)}
        bounds = shapely.bounds(there)
        bounds = bounds[np.isfinite(bounds).all(axis=1)]
        if len(bounds):
            self._low = np.minimum(self._low, bounds[:, :2].min(axis=0))
            self._high = np.maximum(self._high, bounds[:, 2:].max(axis=0))

    def described(self, geometry: str, crs: str | None) -> dict[str, Any]:
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": sorted(self._kinds),
            "crs": None if crs is None else pyproj.CRS.from_user_input(crs).to_json_dict(),
        }
        if np.isfinite(self._low).all():
            column["bbox"] = [*self._low.tolist(), *self._high.tolist()]
        return {"version": "1.1.0", "primary_column": geometry, "columns": {geometry: column}}
