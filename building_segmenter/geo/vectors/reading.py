"""Polygon layers of any size: looked at once, then read in batches, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
import shapely
from numpy.typing import NDArray

from building_segmenter.geo.vectors import formats, wkb
from building_segmenter.geo.vectors.batches import Batch
from building_segmenter.geo.vectors.columns import from_ogr, is_datetime, zones_of
from building_segmenter.geo.vectors.parquet import ParquetSource
from building_segmenter.progress import Progress

FEATURES = 8192
"""Features in a batch: a moment's work, and some megabytes."""
_BYTES = 32 << 20
_AREAL = {3, 6, 7, 10, 12, 13, 14, 15, 16, 17}
_MANY = {6, 12, 15, 16}


@dataclass
class Survey:
    """What a quick look at all features of a layer says.

    Args:
        count: Their number.
        kinds: Codes of their geometry types; see `wkb.NAMES`.
        has_z: One has heights.
        missing: One has no geometry, or an empty one.
        keys: Feature ids can be the key of a GeoPackage: unique, from 1.
        key_fields: Fields named `fid` in any case, and whether they can be that key.
        zones: Date-time fields, and which of their values have an offset from UTC; see `columns.zones_of`.
    """

    count: int = 0
    kinds: set[int] = field(default_factory=set)
    has_z: bool = False
    missing: bool = False
    keys: bool = False
    key_fields: dict[str, bool] = field(default_factory=dict)
    zones: dict[str, str] = field(default_factory=dict)

    @property
    def geometry_type(self) -> str:
        """OGR's name of the type that a layer needs to hold these: Polygon for single polygons, else MultiPolygon."""
        if self.kinds - _AREAL or 7 in self.kinds:
            return "Unknown"
        return ("MultiPolygon" if self.kinds & _MANY else "Polygon") + (" Z" if self.has_z else "")


class PolygonLayer:
    """A polygon layer that can be read in batches, again and again.

    Made by `open_polygons`.

    Attributes:
        crs: As `EPSG:CODE` or WKT, or None.
        fields: Schema of the attributes. Date-times of OGR are text, which keeps their offsets from UTC.
        survey: What is known of all features.
    """

    def __init__(self, path: str, what: str, source: OgrSource | ParquetSource, survey: Survey) -> None:
        self.crs, self.fields, self.survey = source.crs, source.fields, survey
        self._path, self._what, self._source = path, what, source

    def batches(self, size: int = FEATURES) -> Iterator[Batch]:
        """Yield all features in file order; arcs are turned into short straight lines.

        Args:
            size: Most features in a batch. Batches of large geometries are smaller.

        Raises:
            InputUnreadableError: The file breaks off, or has changed.
        """
        read = 0
        parts = self._source.parts(size)
        while True:
            try:
                part = next(parts, None)
                made = list(self._made(part)) if part is not None else []
            except Exception as error:
                raise formats.unreadable(self._path, self._what, error) from error
            if part is None:
                break
            read += len(part[2])
            yield from made
        if read != self.survey.count:
            raise formats.unreadable(self._path, self._what, "it was changed while it was being read")

    def bounds(self, progress: Progress | None = None) -> NDArray[np.float64]:
        """Return the bounds (n, 4) of all features in the layer's CRS, NaN where there is no geometry.

        Args:
            progress: Told after each batch, and asked whether to stop.

        Raises:
            InputUnreadableError: The file breaks off, or has changed.
            CancelledError: The caller asked to stop.
        """
        progress = progress or Progress()
        found = np.full((self.survey.count, 4), np.nan)
        done = 0
        for batch in self.batches():
            found[done : done + len(batch)] = shapely.bounds(batch.geometry)
            done += len(batch)
            progress.update(done / self.survey.count, "Reading")
        return found

    def _made(self, part: Any) -> Iterator[Batch]:
        for rows in _light(part[2]):
            yield self._batch(part, rows)

    def _batch(self, part: Any, rows: slice) -> Batch:
        keys, fields, column = part
        length = rows.stop - rows.start
        column = column.slice(rows.start, length)
        keys = None if keys is None else keys[rows]
        heads = wkb.heads_of(column)
        content = column.to_numpy(zero_copy_only=False)
        curved = np.flatnonzero(np.isin(heads.kind, wkb.CURVES))
        if len(curved) and keys is not None:
            content[curved] = self._source.linear(keys[curved])
        geometry, odd = wkb.shapely_of(content, heads)
        return Batch(geometry, fields.slice(rows.start, length), keys, odd)


def open_polygons(source: str, what: str = "layer", progress: Progress | None = None) -> PolygonLayer:
    """Open a polygon layer for reading in batches, after a quick look at all of its features.

    Args:
        source: A path or OGR connection; `path|layername=NAME` names a layer.
        what: What the layer is to the user, for error messages.
        progress: Asked now and then whether to stop.

    Raises:
        InputNotFoundError: There is no such file.
        InputUnreadableError: OGR cannot read it, the layer is missing, or it holds no polygons.
        MissingCrsError: The layer has no CRS.
    """
    path, layer = formats.found_source(source, what)
    try:
        opened = ParquetSource(path) if formats.is_parquet(path) else OgrSource(path, layer)
    except Exception as error:
        raise formats.unreadable(path, what, error) from error
    if opened.geometry_name is None:
        raise formats.no_geometry(path, what)
    if opened.crs is None:
        raise formats.no_crs(path, what)
    survey = _surveyed(opened, path, what, progress or Progress())
    if survey.kinds and not survey.kinds & _AREAL:
        raise formats.other_geometry(path, what, {wkb.NAMES.get(kind, str(kind)) for kind in survey.kinds})
    return PolygonLayer(path, what, opened, survey)


class OgrSource:
    """The features of a layer that OGR opens.

    Args:
        path: A path or connection.
        layer: The layer's name; None for the first.
    """

    def __init__(self, path: str, layer: str | None) -> None:
        self._path, self._layer = path, layer
        with self._opened(1) as (meta, reader):
            self.crs: str | None = meta["crs"] or None
            self.key: str = meta["fid_column"] or "OGC_FID"
            name = meta["geometry_name"] or "wkb_geometry"
            self.geometry_name: str | None = name if name in reader.schema.names and meta["geometry_type"] else None
            self.fields = pa.schema([])
            if self.geometry_name is None:
                return
            # By place, not by name: a field may have the name of the key or of the geometry.
            self._key_at = reader.schema.names.index(self.key)
            self._geometry_at = len(reader.schema) - 1 - reader.schema.names[::-1].index(name)
            self._fields_at = [k for k in range(len(reader.schema)) if k not in (self._key_at, self._geometry_at)]
            self._columns = from_ogr(pa.schema([reader.schema.field(k) for k in self._fields_at]))
        self.fields = self._columns.schema

    def parts(self, size: int) -> Iterator[tuple[NDArray[np.int64], pa.RecordBatch, pa.Array]]:
        """Yield, some features at a time, their ids, attributes, and geometries as WKB."""
        start = 0
        with self._opened(size) as (_, reader):
            for batch in reader:
                given = pa.record_batch([batch.column(k) for k in self._fields_at], self._given(batch))
                fields = pa.record_batch(self._columns.converted(given), self.fields)
                keys = batch.column(self._key_at).to_numpy(zero_copy_only=False).astype(np.int64)
                column = sound_geometry(batch.column(self._geometry_at), self._path, self._layer, start)
                start += len(column)
                yield keys, fields, column

    def linear(self, keys: NDArray[np.int64]) -> Any:
        """Return the geometries of features as WKB without arcs, which only OGR knows how to straighten."""
        return pyogrio.raw.read(self._path, layer=self._layer, fids=keys, columns=[])[2]

    def _given(self, batch: pa.RecordBatch) -> pa.Schema:
        return pa.schema([batch.schema.field(k) for k in self._fields_at])

    def _opened(self, size: int) -> Any:
        return pyogrio.open_arrow(
            self._path,
            layer=self._layer,
            batch_size=size,
            return_fids=True,
            use_pyarrow=True,
            datetime_as_string=True,
        )


def sound_geometry(column: pa.Array, path: Any, layer: str | None, start: int) -> pa.Array:
    """Return a column of geometries from OGR, read again in another way where its offsets are wrong.

    GDAL (3.12 at least) hands over such columns for FlatGeobuf with null geometries.

    Args:
        column: As handed over.
        path: The layer's file.
        layer: The layer's name; None for the first.
        start: Place of the first feature in the layer.
    """
    if wkb.is_sound(column):
        return column
    again = pyogrio.raw.read(path, layer=layer, columns=[], skip_features=start, max_features=len(column))[2]
    return pa.array(again, pa.binary())


def _surveyed(source: OgrSource | ParquetSource, path: str, what: str, progress: Progress) -> Survey:
    survey = Survey()
    keys: list[Any] = []
    named: dict[str, list[Any]] = {name: [] for name in source.fields.names if name.lower() == "fid"}
    timed = [column.name for column in source.fields if is_datetime(column)]
    parts = source.parts(FEATURES)
    while True:
        progress.check()
        try:
            part = next(parts, None)
        except Exception as error:
            raise formats.unreadable(path, what, error) from error
        if part is None:
            break
        _note(survey, wkb.heads_of(part[2]))
        keys.append(part[0])
        for name in named:
            named[name].append(part[1].column(part[1].schema.get_field_index(name)))
        for name in timed:
            zones = zones_of(part[1].column(part[1].schema.get_field_index(name)), survey.zones.get(name))
            survey.zones |= {name: zones} if zones else {}
    survey.keys = bool(source.key) and _can_be_key(keys)
    survey.key_fields = {name: _can_be_key_column(columns) for name, columns in named.items()}
    return survey


def _note(survey: Survey, heads: wkb.Heads) -> None:
    survey.count += len(heads.kind)
    survey.kinds |= {int(kind) for kind in np.unique(heads.kind[heads.kind > 0])}
    survey.has_z |= bool(heads.has_z.any())
    survey.missing |= not bool(heads.filled.all())


def _can_be_key_column(columns: list[pa.Array]) -> bool:
    if not columns or not pa.types.is_integer(columns[0].type) or any(column.null_count for column in columns):
        return False
    return _can_be_key([column.to_numpy() for column in columns])


def _can_be_key(chunks: list[Any]) -> bool:
    if not chunks or chunks[0] is None:
        return False
    values = np.concatenate(chunks)
    return bool(len(values) and values.min() >= 1 and len(np.unique(values)) == len(values))


def _light(column: pa.Array) -> Iterator[slice]:
    """Yield slices of rows whose geometries have some megabytes together, so that memory stays bounded."""
    ends = np.cumsum(wkb.heads_of(column).size)
    start = 0
    while start < len(column):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + _BYTES, side="right")), start + 1)
        yield slice(start, stop)
        start = stop
