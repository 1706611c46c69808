"""Opening rasters with errors that users understand, and the facts of a raster that every task asks for."""

from __future__ import annotations

import os
import queue
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from building_segmenter.errors import BandsError, InputNotFoundError, InputUnreadableError, MissingCrsError
from building_segmenter.geo.ground import GroundFrame, ground_pixel, scaled_frame

# GDAL's own default, a share of the machine's memory, would let a worker grow past what tasks promise.
GDAL_CACHE_MB = 256

_REMOTE = ("/vsi", "http:", "https:")


@contextmanager
def open_raster(path: str, what: str = "image") -> Iterator[DatasetReader]:
    """Open a raster for reading; read errors inside the block become `InputUnreadableError`.

    Args:
        path: A file, VRT, `/vsi` path, URL or subdataset name that GDAL opens.
        what: What the raster is to the user, for error messages.

    Raises:
        InputNotFoundError: There is no such file.
        InputUnreadableError: GDAL cannot open it, it has no bands, or reading breaks off.
    """
    _check_exists(path, what)
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_MB), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(path) as dataset:
                if dataset.count == 0:
                    raise InputUnreadableError(_no_bands(path, what, dataset), "Choose one of its subdatasets.")
                yield dataset
        except RasterioError as error:
            raise InputUnreadableError(
                f"The {what} {path} cannot be read: {words_of(error)}",
                "Check that it opens in QGIS; a file that breaks off was probably not copied to its end.",
            ) from error


def words_of(error: RasterioError) -> str:
    """Return what GDAL said: rasterio's own words often only refer to it."""
    return str(error.__cause__ or error)


class RasterPool:
    """An open raster, opened once more for each further thread that reads it: GDAL has no datasets for several.

    Args:
        dataset: The open raster; it stays open when the pool is closed.
        size: How many threads may read at a time.

    Attributes:
        first: The raster as it was given.
        size: As given.

    Raises:
        RasterioError: It cannot be opened again.
    """

    def __init__(self, dataset: DatasetReader, size: int) -> None:
        self.first, self.size = dataset, size
        self._further = [rasterio.open(dataset.name) for _ in range(size - 1)]
        self._idle: queue.SimpleQueue[DatasetReader] = queue.SimpleQueue()
        for one in (dataset, *self._further):
            self._idle.put(one)

    def __enter__(self) -> RasterPool:
        """Begin to read."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what was opened; no thread may be reading any more."""
        for one in self._further:
            one.close()

    @contextmanager
    def one(self) -> Iterator[DatasetReader]:
        """Give a dataset that no other thread reads; waits while all are busy."""
        dataset = self._idle.get()
        try:
            yield dataset
        finally:
            self._idle.put(dataset)


def image_bands(dataset: DatasetReader, chosen: tuple[int, ...] | None, needed: int | None = None) -> tuple[int, ...]:
    """Return the bands to read, counted from 1.

    Args:
        dataset: The open image.
        chosen: The user's bands in order, or None for the first that are not alpha.
        needed: How many bands the model takes, or None for any number.

    Raises:
        BandsError: A chosen band does not exist, there are too few bands, or the image has a colour table.
    """
    if ColorInterp.palette in dataset.colorinterp:
        raise BandsError(
            f"The image {dataset.name} has a colour table, not bands of brightness.",
            "Expand it first: gdal_translate -expand rgb, or in QGIS: PCT to RGB.",
        )
    bands = chosen or tuple(
        i for i, role in zip(dataset.indexes, dataset.colorinterp, strict=True) if role != ColorInterp.alpha
    )
    if max(bands, default=0) > dataset.count:
        raise BandsError(
            f"BANDS names band {max(bands)}; the image {dataset.name} has {dataset.count}.", "Name bands it has."
        )
    if needed is None:
        return bands
    if len(bands) < needed or (chosen and len(bands) != needed):
        there = "BANDS names" if chosen else f"the image {dataset.name} has"
        raise BandsError(
            f"The model takes {needed} bands; {there} {len(bands)}.",
            f"Give {needed} bands with BANDS; one band may be repeated, as in BANDS=1,1,1.",
        )
    return bands[:needed]


def is_fully_valid(dataset: DatasetReader) -> bool:
    """Tell whether no pixel can be nodata, masked or transparent."""
    return all(MaskFlags.all_valid in flags for flags in dataset.mask_flag_enums) and "float" not in dataset.dtypes[0]


def pixel_on_ground(dataset: DatasetReader, gsd: float | None) -> tuple[float, float]:
    """Return the width and height of a pixel in ground metres.

    Args:
        dataset: The open raster.
        gsd: The user's word on it, which wins over the CRS; needed where there is none.

    Raises:
        MissingCrsError: There is neither a CRS nor `gsd`.
    """
    if gsd is not None:
        return gsd, gsd
    if dataset.crs is None:
        raise _missing_crs(dataset)
    step = dataset.transform
    return ground_pixel(dataset.crs, (step.a, step.d), (step.b, step.e), tuple(dataset.bounds))


def frame_of(dataset: DatasetReader, gsd: float | None) -> GroundFrame | None:
    """Return the ground frame of a raster without CRS, or None where its CRS tells.

    Raises:
        MissingCrsError: There is neither a CRS nor `gsd`.
    """
    if dataset.crs is not None:
        return None
    if gsd is None:
        raise _missing_crs(dataset)
    step = dataset.transform
    return scaled_frame(gsd / float(abs(step.determinant) ** 0.5))


def _missing_crs(dataset: DatasetReader) -> MissingCrsError:
    return MissingCrsError(
        f"The image {dataset.name} has no coordinate reference system, so the size of its pixels on the ground"
        " is not known.",
        "Give GSD, the metres on the ground of one pixel, or assign the CRS of the image.",
    )


def _check_exists(path: str, what: str) -> None:
    looks_local = not path.lower().startswith(_REMOTE) and (os.sep in path or ":" not in path)
    if looks_local and not Path(path).exists() and not path.lstrip().startswith("<"):
        raise InputNotFoundError(f"The {what} {path} does not exist.", "Check the path.")


def _no_bands(path: str, what: str, dataset: DatasetReader) -> str:
    names = ", ".join(dataset.subdatasets[:5])
    return f"The {what} {path} holds no bands of its own" + (f", but subdatasets: {names}." if names else ".")
