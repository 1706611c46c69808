"""A look at what was written: on a full disk GeoJSON, FlatGeobuf and Shapefile end short without an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyogrio
from pyarrow import parquet

from building_segmenter.errors import CancelledError, DiskFullError
from building_segmenter.geo.vectors.formats import is_parquet
from building_segmenter.geo.vectors.reading import sound_geometry
from building_segmenter.geo.vectors.wkb import heads_of
from building_segmenter.progress import Progress

_FEATURES = 16_384


def check_whole(path: Path, count: int, filled: int, progress: Progress | None = None) -> None:
    """Read a written layer again, in batches.

    Args:
        path: The layer.
        count: Features that were written.
        filled: How many of them surely have a geometry in any format; see `surely_filled`.
        progress: Told after each batch, and asked whether to stop.

    Raises:
        DiskFullError: Features or geometries are missing.
        CancelledError: The caller asked to stop.
    """
    progress = progress or Progress()
    found = np.zeros(2, np.int64)
    try:
        for counts in _parquet_counts(path) if is_parquet(path) else _ogr_counts(path):
            found += counts
            progress.update(found[0] / max(count, 1), "Checking the output")
    except CancelledError:
        raise
    except Exception as error:
        raise _not_whole(path) from error
    if found[0] != count or found[1] < filled:
        raise _not_whole(path)


def _ogr_counts(path: Path) -> Iterator[tuple[int, int]]:
    with pyogrio.open_arrow(path, columns=[], batch_size=_FEATURES, use_pyarrow=True) as (meta, reader):
        name = meta["geometry_name"] or "wkb_geometry"
        column = reader.schema.get_field_index(name)
        start = 0
        for batch in reader:
            # A table without features has no geometry in some formats.
            yield len(batch), _filled(sound_geometry(batch.column(column), path, None, start)) if column >= 0 else 0
            start += len(batch)


def _parquet_counts(path: Path) -> Iterator[tuple[int, int]]:
    with parquet.ParquetFile(path) as file:
        name = json.loads(file.metadata.metadata[b"geo"])["primary_column"]
        for batch in file.iter_batches(_FEATURES, columns=[name]):
            yield len(batch), _filled(batch.column(0))


def _filled(column: pa.Array) -> int:
    storage = column.storage if isinstance(column, pa.ExtensionArray) else column
    return int(heads_of(storage).filled.sum())


def _not_whole(path: Path) -> DiskFullError:
    return DiskFullError(
        f"The layer {path.name} could not be written to its end.",
        "Free some space, or write to another disk, and run again.",
    )
