"""Geometries as OGR and GeoParquet hand them over, in well-known binary: a quick look, and shapely objects.

The look reads the first bytes of each geometry, as OGC 06-103r4 (simple feature access) lays them out; it costs next
to nothing, so a whole layer can be looked at before the work.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

POLYGON, MULTI_POLYGON, COLLECTION = 3, 6, 7
CURVES = (8, 9, 10, 11, 12, 13, 14)
"""Kinds with arcs, and the abstract ones above them."""
_SURFACES = {15: MULTI_POLYGON, 16: MULTI_POLYGON, 17: POLYGON}
"""Polyhedral surface, triangulated surface and triangle: laid out as the kinds that they are read as."""

_EWKB_Z, _EWKB_M, _EWKB_SRID = 0x80000000, 0x40000000, 0x20000000
NAMES = {
    1: "Point", 2: "LineString", 3: "Polygon", 4: "MultiPoint", 5: "MultiLineString", 6: "MultiPolygon",
    7: "GeometryCollection", 8: "CircularString", 9: "CompoundCurve", 10: "CurvePolygon", 11: "MultiCurve",
    12: "MultiSurface", 13: "Curve", 14: "Surface", 15: "PolyhedralSurface", 16: "TIN", 17: "Triangle",
}  # fmt: skip


@dataclass(frozen=True)
class Heads:
    """What the first bytes of geometries say; arrays (n,).

    Args:
        kind: Code of the geometry type without Z and M; 0 for null.
        has_z: It has heights.
        has_m: It has measures.
        filled: It is neither null nor empty.
        size: Bytes.
    """

    kind: NDArray[np.int64]
    has_z: NDArray[np.bool_]
    has_m: NDArray[np.bool_]
    filled: NDArray[np.bool_]
    size: NDArray[np.int64]


def heads_of(column: Any) -> Heads:
    """Look at a column (n,) of WKB, `pa.BinaryArray` or `pa.LargeBinaryArray`."""
    count, data, edges = len(column), column.buffers()[2], _edges(column)
    size = np.diff(edges)
    there = (size >= 9) & column.is_valid().to_numpy(zero_copy_only=False)
    code, parts = np.zeros(count, np.uint32), np.zeros(count, np.uint32)
    if there.any():
        content = np.frombuffer(data, np.uint8)
        code[there] = _words(content, edges[:-1][there], 1)
        parts[there] = _words(content, edges[:-1][there], 5)
        srid = there & (code & _EWKB_SRID > 0)
        parts[srid] = 1
    plain = code & 0x0FFFFFFF
    dimension = plain // 1000
    kind = (plain % 1000).astype(np.int64)
    # What follows the type is the number of rings or parts, but of a point its x.
    filled = there & ((parts > 0) | (kind == 1))
    return Heads(
        kind,
        there & ((code & _EWKB_Z > 0) | np.isin(dimension, (1, 3))),
        there & ((code & _EWKB_M > 0) | np.isin(dimension, (2, 3))),
        filled,
        size,
    )


def is_sound(column: Any) -> bool:
    """Tell whether the offsets of a column of WKB ascend, as they must."""
    return bool((np.diff(_edges(column)) >= 0).all())


def shapely_of(wkb: NDArray[np.object_], heads: Heads) -> tuple[NDArray[np.object_], dict[int, bytes]]:
    """Return WKB without arcs as shapely geometries without measures.

    Args:
        wkb: Bytes or None (n,).
        heads: What `heads_of` said of them.

    Returns:
        Geometries, None also for what GEOS cannot hold (rings of one or two points, say), whose rows and bytes are
        returned beside.
    """
    if np.isin(heads.kind, tuple(_SURFACES)).any():
        wkb = wkb.copy()
        for k in np.flatnonzero(np.isin(heads.kind, tuple(_SURFACES))):
            wkb[k] = _as_polygons(wkb[k])
    with np.errstate(invalid="ignore"):
        geometry = shapely.from_wkb(wkb, on_invalid="fix")
    for k in np.flatnonzero(heads.has_m):
        if geometry[k] is not None:
            geometry[k] = _without_measures(geometry[k])
    lost = np.flatnonzero(shapely.is_missing(geometry) & (heads.kind > 0))
    return geometry, {int(k): bytes(wkb[k]) for k in lost}


def _edges(column: Any) -> NDArray[np.int64]:
    """Return where each geometry (n + 1) begins and ends in the column's content."""
    if len(column) == 0:
        return np.zeros(1, np.int64)
    kind = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    numbers = np.frombuffer(column.buffers()[1], kind)[column.offset : column.offset + len(column) + 1]
    return numbers.astype(np.int64)


def _words(content: NDArray[np.uint8], starts: NDArray[np.int64], offset: int) -> NDArray[np.uint32]:
    raw = content[starts[:, None] + offset + np.arange(4)]
    little = content[starts] == 1
    raw[~little] = raw[~little, ::-1]
    words: NDArray[np.uint32] = np.ascontiguousarray(raw).view("<u4")[:, 0].astype(np.uint32)
    return words


def _without_measures(geometry: Any) -> Any:
    if not geometry.has_z:
        return shapely.force_2d(geometry)
    return shapely.from_wkb(shapely.to_wkb(geometry, output_dimension=3))


def _as_polygons(wkb: bytes) -> bytes:
    """Return a surface of plane faces as the (multi-)polygon of the same layout."""
    content = bytearray(wkb)
    order = "<" if content[0] == 1 else ">"
    at = 0
    kind = _renamed(content, at, order)
    if kind == 17:
        return bytes(content)
    dimensions = 2 + {0: 0, 1: 1, 2: 1, 3: 2}[struct.unpack_from(f"{order}I", content, 1)[0] // 1000]
    (faces,) = struct.unpack_from(f"{order}I", content, 5)
    at = 9
    for _ in range(faces):
        _renamed(content, at, order)
        (rings,) = struct.unpack_from(f"{order}I", content, at + 5)
        at += 9
        for _ in range(rings):
            (points,) = struct.unpack_from(f"{order}I", content, at)
            at += 4 + 8 * dimensions * points
    return bytes(content)


def _renamed(content: bytearray, at: int, order: str) -> int:
    (code,) = struct.unpack_from(f"{order}I", content, at + 1)
    kind = code % 1000
    struct.pack_into(f"{order}I", content, at + 1, code - kind + _SURFACES.get(kind, kind))
    return int(kind)
