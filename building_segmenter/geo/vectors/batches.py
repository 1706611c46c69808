"""Some features of a layer on their way from disk to disk: shapely geometries and Arrow columns.

Attributes stay Arrow all the way, so that dates, lists, binaries, long integers and nulls come out as they went in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray


@dataclass(frozen=True)
class Batch:
    """Features that follow each other in a layer.

    Args:
        geometry: Array (n,) of shapely geometries or None, in the layer's CRS.
        fields: The n rows of attributes, without geometry.
        keys: Feature ids (n,), or None where the format has none.
        odd: Row -> WKB of geometries that GEOS cannot hold, as rings of two points; None in `geometry`.
    """

    geometry: NDArray[np.object_]
    fields: pa.RecordBatch
    keys: NDArray[np.int64] | None = None
    odd: dict[int, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.geometry)

    def take(self, rows: NDArray[np.integer[Any]]) -> Batch:
        """Return the features of these rows, in this order."""
        odd = {k: self.odd[int(row)] for k, row in enumerate(rows) if int(row) in self.odd} if self.odd else {}
        keys = None if self.keys is None else self.keys[rows]
        return Batch(self.geometry[rows], _taken(self.fields, rows), keys, odd)


def joined(batches: Sequence[Batch]) -> Batch:
    """Return the features of several batches of one layer as one."""
    if len(batches) == 1:
        return batches[0]
    starts = np.cumsum([0, *(len(batch) for batch in batches[:-1])])
    keys = [batch.keys for batch in batches if batch.keys is not None]
    odd = {
        int(start) + row: wkb for start, batch in zip(starts, batches, strict=True) for row, wkb in batch.odd.items()
    }
    return Batch(
        np.concatenate([batch.geometry for batch in batches]),
        pa.concat_batches([batch.fields for batch in batches]),
        np.concatenate(keys) if len(keys) == len(batches) else None,
        odd,
    )


def wkb_column(batch: Batch, multi: bool) -> pa.BinaryArray:
    """Return the geometries as ISO WKB.

    Args:
        batch: Features.
        multi: Make multi-polygons of polygons, as layers of multi-polygons hold them.
    """
    geometry = batch.geometry
    if multi:
        geometry = geometry.copy()
        single = np.flatnonzero(shapely.get_type_id(geometry) == shapely.GeometryType.POLYGON)
        geometry[single] = _as_multi(geometry[single])
    wkb = shapely.to_wkb(geometry, flavor="iso")
    for row, original in batch.odd.items():
        wkb[row] = original
    return pa.array(wkb, pa.binary())


def surely_filled(geometry: NDArray[np.object_]) -> int:
    """Return how many geometries every format holds: neither null nor empty, and all coordinates finite."""
    filled = ~(shapely.is_missing(geometry) | shapely.is_empty(geometry))
    points, owner = shapely.get_coordinates(geometry, include_z=True, return_index=True)
    points[~shapely.has_z(geometry)[owner], 2] = 0.0
    filled[owner[~np.isfinite(points).all(axis=1)]] = False
    return int(filled.sum())


def _as_multi(polygons: NDArray[np.object_]) -> NDArray[np.object_]:
    made: NDArray[np.object_] = np.full(len(polygons), shapely.MultiPolygon(), object)
    filled = np.flatnonzero(~shapely.is_empty(polygons))
    if len(filled):
        made[filled] = shapely.multipolygons(polygons[filled], indices=np.arange(len(filled)))
    return made


def _taken(fields: pa.RecordBatch, rows: NDArray[np.integer[Any]]) -> pa.RecordBatch:
    return fields.take(pa.array(rows)) if fields.num_columns else fields
