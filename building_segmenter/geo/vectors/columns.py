"""Arrow columns as formats take them: nothing is lost, and as little as can be becomes something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

Convert = Callable[[pa.Array], pa.Array]

_KEPT_FACTS = (b"GDAL:OGR:type", b"GDAL:OGR:subtype", b"GDAL:OGR:width", b"GDAL:OGR:precision",
               b"GDAL:OGR:alternative_name", b"GDAL:OGR:comment", b"ARROW:extension:name")  # fmt: skip
_OFFSET = r"(Z|[+-]\d\d:?\d\d)$"


@dataclass(frozen=True)
class Columns:
    """How the columns of one schema become those of another.

    Args:
        schema: What comes out.
        converts: One function for each column.
    """

    schema: pa.Schema
    converts: tuple[Convert, ...]

    def converted(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Return the columns of a batch as `schema` has them."""
        return [convert(column) for convert, column in zip(self.converts, batch.columns, strict=True)]


def from_ogr(schema: pa.Schema) -> Columns:
    """Return how columns that OGR hands over are to be understood.

    Fields with a domain of coded values come as the names of the values; their codes are what the field holds.
    """
    made = [_coded(field) if pa.types.is_dictionary(field.type) else (field, _same) for field in schema]
    fields = [field.with_metadata(_facts(field)) for field, _ in made]
    return Columns(pa.schema(fields), tuple(convert for _, convert in made))


def for_ogr(schema: pa.Schema) -> Columns:
    """Return how columns are handed to OGR, which has no type for some that GeoParquet has.

    Numbers beyond 64 bits with sign become text, durations seconds, structures JSON; the rest is the same in OGR's
    words, as far as the format goes (GDAL itself tells lists as JSON where there are none).
    """
    made = [(field, _for_ogr(field.type)) for field in schema]
    fields = [field if target is None else pa.field(field.name, target[0]) for field, target in made]
    # GDAL takes a column of this name for feature ids.
    fields = [field.with_name("ogc_fid") if field.name == "OGC_FID" else field for field in fields]
    return Columns(pa.schema(fields), tuple(_same if target is None else target[1] for _, target in made))


def for_parquet(schema: pa.Schema, zones: dict[str, str]) -> Columns:
    """Return how columns are written to GeoParquet.

    Args:
        schema: Columns in which OGR's date-times are text.
        zones: What `zones_of` said of them, by name. Where only some have an offset from UTC they stay text.
    """
    made = [_timed(field, zones.get(field.name, "some")) if is_datetime(field) else (field, _same) for field in schema]
    return Columns(pa.schema([field for field, _ in made]), tuple(convert for _, convert in made))


def is_datetime(field: pa.Field) -> bool:
    """Tell whether a column is a date-time of OGR as text."""
    return bool((field.metadata or {}).get(b"GDAL:OGR:type") == b"DateTime" and pa.types.is_string(field.type))


def zones_of(column: pa.Array, before: str | None) -> str | None:
    """Return whether date-times have an offset from UTC: "all", "none" or "some"; None where there are none.

    Args:
        column: Date-times as text.
        before: What was said of the earlier ones.
    """
    told = pc.match_substring_regex(column, _OFFSET).drop_null()
    if len(told) == 0:
        return before
    here = "all" if pc.all(told).as_py() else "some" if pc.any(told).as_py() else "none"
    return here if before in (None, here) else "some"


def _facts(field: pa.Field) -> dict[bytes, bytes]:
    # A domain is not written with the layer, so its name would refer to nothing.
    return {key: value for key, value in (field.metadata or {}).items() if key in _KEPT_FACTS}


def _coded(field: pa.Field) -> tuple[pa.Field, Convert]:
    return field.with_type(field.type.index_type), lambda column: column.indices


def _timed(field: pa.Field, zones: str) -> tuple[pa.Field, Convert]:
    plain = pa.field(field.name, field.type)
    if zones == "some":
        return plain, _same
    kind = pa.timestamp("ms", "UTC") if zones == "all" else pa.timestamp("ms")
    return plain.with_type(kind), lambda column: column.cast(kind)


def _for_ogr(kind: pa.DataType) -> tuple[pa.DataType, Convert] | None:
    """Return another type and the way to it, or None where OGR takes the type."""
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name != "arrow.json":
        inner = _for_ogr(kind.storage_type) or (kind.storage_type, _same)
        return inner[0], lambda column: inner[1](column.storage)
    if pa.types.is_dictionary(kind):
        return kind.value_type, lambda column: column.dictionary_decode()
    if pa.types.is_duration(kind):
        return pa.float64(), _seconds
    if pa.types.is_struct(kind) or pa.types.is_null(kind) or (_is_list(kind) and not _is_plain(kind.value_type)):
        return pa.string(), _as_json
    other = {"uint64": pa.string(), "string_view": pa.string(), "binary_view": pa.binary()}.get(str(kind))
    if pa.types.is_fixed_size_binary(kind):
        other = pa.binary()
    return None if other is None else (other, lambda column: column.cast(other))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_plain(kind: pa.DataType) -> bool:
    number = pa.types.is_floating(kind) or (pa.types.is_integer(kind) and not pa.types.is_uint64(kind))
    return bool(number or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _seconds(column: pa.Array) -> pa.Array:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
    return pc.divide(column.cast(pa.int64()).cast(pa.float64(), safe=False), float(per_second))


def _as_json(column: pa.Array) -> pa.Array:
    texts = [
        None if value is None else json.dumps(value, default=str, ensure_ascii=False) for value in column.to_pylist()
    ]
    return pa.array(texts, pa.string())


def _same(column: Any) -> Any:
    return column
