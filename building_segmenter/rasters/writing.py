"""Writing GeoTIFFs that are known to be whole.

GDAL and libtiff only log what fails while a file is closed, which on a full disk is most of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from building_segmenter.errors import DiskFullError


@contextmanager
def geotiff_writer(path: Path, **profile: Any) -> Iterator[DatasetWriter]:
    """Open a GeoTIFF for writing and make sure, when it is closed, that all its blocks are in the file.

    Write to it through `write_rows`: a plain `RasterioError` would pass for one of the raster that is being read.

    Args:
        path: A scratch path; see `building_segmenter.scratch`.
        **profile: As for `rasterio.open`; the driver is GTiff.

    Raises:
        DiskFullError: The file does not hold all that was written.
    """
    try:
        dataset = rasterio.open(path, "w", driver="GTiff", **profile)
    except RasterioError as error:
        raise _not_whole(path, error) from error
    with dataset:
        yield dataset
    _check_whole(path)


def write_rows(dataset: DatasetWriter, row: int, values: NDArray[Any]) -> None:
    """Write rows (bands, rows, width) from `row` on.

    Raises:
        DiskFullError: They could not be written.
    """
    try:
        dataset.write(values, window=Window(0, row, values.shape[2], values.shape[1]))
    except RasterioError as error:
        rows = f"rows {row} to {row + values.shape[1] - 1}"
        raise _not_whole(Path(dataset.name), f"{rows}: {error}") from error


def _check_whole(path: Path) -> None:
    size = path.stat().st_size
    try:
        with rasterio.open(path) as dataset:
            bands = dataset.indexes if dataset.interleaving.name == "band" else (1,)
            for band in bands:
                _check_blocks(dataset, band, size)
            # Tells that the file's own description of its blocks is whole, too.
            dataset.read(window=Window(dataset.width - 1, dataset.height - 1, 1, 1))
    except (RasterioError, ValueError) as error:
        raise _not_whole(path, error) from error


def _check_blocks(dataset: Any, band: int, size: int) -> None:
    height, width = dataset.block_shapes[band - 1]
    for row in range(-(-dataset.height // height)):
        for column in range(-(-dataset.width // width)):
            place = f"{column}_{row}"
            offset = dataset.get_tag_item(f"BLOCK_OFFSET_{place}", "TIFF", bidx=band)
            length = dataset.get_tag_item(f"BLOCK_SIZE_{place}", "TIFF", bidx=band)
            if offset is None or length is None or int(offset) + int(length) > size:
                raise ValueError(f"block {place} of band {band} is missing")


def _not_whole(path: Path, error: Exception | str) -> DiskFullError:
    return DiskFullError(
        f"The raster {path.name} could not be written to its end: {error}.",
        "Free some space, or write to another disk, and run again.",
    )
