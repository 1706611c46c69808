"""A raster that is read from its top on while its lower rows are still being made.

GDAL cannot read a GeoTIFF that it is writing. So each strip of rows is a file of its own, whole before anyone reads it,
and a VRT shows them as one raster; it opens a strip when its rows are read and not before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.windows import Window

from building_segmenter.errors import CancelledError
from building_segmenter.rasters.probability import (
    BLOCK,
    CLASS_VALUE,
    FULL,
    NODATA,
    ProbabilityPlan,
    in_block_rows,
    probability_writer,
)
from building_segmenter.rasters.vrt import Part, add_part, add_text, vrt_root
from building_segmenter.rasters.writing import write_rows

_MOST_STRIPS = 200
_LOOK_S = 0.1


class GrowingRaster:
    """A probability raster in a scratch folder, made by one thread and read by others.

    Args:
        folder: Empty, or to be made; what lies in it goes with its owner.
        plan: What it is like.

    Attributes:
        path: What GDAL opens, from the start on; only rows that were waited for may be read.
    """

    def __init__(self, folder: Path, plan: ProbabilityPlan) -> None:
        self._folder, self._plan = folder, plan
        blocks = -(-plan.height // BLOCK)
        self._rows = BLOCK * -(-blocks // _MOST_STRIPS)
        self._changed = threading.Condition()
        self._done, self._stopped = 0, False
        self._error: BaseException | None = None
        folder.mkdir(exist_ok=True)
        self.path = folder / "whole.vrt"
        Xml.ElementTree(self._vrt()).write(self.path, encoding="utf-8")

    @property
    def is_finished(self) -> bool:
        """Whether all rows are there, and all is well."""
        return self._done >= self._plan.height

    def write(self, parts: Iterable[NDArray[np.uint8]], copy: DatasetWriter | None = None) -> None:
        """Write all rows, from the top on. The last one is not there for readers until `finish`.

        Args:
            parts: Values (bands, rows, width) as stored; drawn to their end.
            copy: Gets the same rows.

        Raises:
            CancelledError: Its readers have stopped.
            DiskFullError: A strip could not be written to its end.
        """
        blocks = in_block_rows(parts)
        for top in range(0, self._plan.height, self._rows):
            height = min(self._rows, self._plan.height - top)
            with probability_writer(self._strip(top), self._plan.rows(top, height), passing=True) as strip:
                for row, (_, values) in zip(range(0, height, BLOCK), blocks, strict=False):
                    write_rows(strip, row, values)
                    if copy is not None:
                        write_rows(copy, top + row, values)
            self._tell(min(top + height, self._plan.height - 1))
        # The maker may find at its end that something is wrong.
        for _ in blocks:
            raise ValueError("There are more rows than the raster has.")

    def finish(self) -> None:
        """Tell that nothing can go wrong any more."""
        self._tell(self._plan.height)

    def fail(self, error: BaseException) -> None:
        """Tell those who wait that no more rows will come, and why."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def wait(self, rows: int, check: Callable[[], None]) -> None:
        """Wait until so many rows from the top can be read.

        Args:
            rows: How many.
            check: Called several times a second; stops the waiting by raising.

        Raises:
            CancelledError: The readers are to stop.
            Exception: What its maker failed with.
        """
        while True:
            with self._changed:
                if self._stopped:
                    raise CancelledError
                if self._done >= rows:
                    return
                if self._error is not None:
                    raise self._error
                self._changed.wait(_LOOK_S)
            check()

    @contextmanager
    def reader(self, check: Callable[[], None]) -> Iterator[DatasetReader]:
        """Open the raster for one thread; reading waits for the rows, and fails with what its maker failed with.

        Args:
            check: As of `wait`.
        """
        # No context of GDAL's: it must end in the thread where it began, and this is closed where it suits.
        with closing(rasterio.open(self.path)) as dataset:
            yield _Reader(dataset, self, check)

    @contextmanager
    def stopped_by_errors(self) -> Iterator[None]:
        """End the waiting and the writing of others when the block fails."""
        try:
            yield
        except BaseException:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            raise

    def _tell(self, done: int) -> None:
        with self._changed:
            if self._stopped:
                raise CancelledError
            self._done = done
            self._changed.notify_all()

    def _strip(self, top: int) -> Path:
        return self._folder / f"rows_{top}.tif"

    def _vrt(self) -> Xml.Element:
        plan = self._plan
        root = vrt_root(plan.width, plan.height, plan.transform, plan.crs)
        for number, description in enumerate(plan.descriptions, start=1):
            blocks = {"blockXSize": str(BLOCK), "blockYSize": str(BLOCK)}
            band = Xml.SubElement(root, "VRTRasterBand", {"dataType": "Byte", "band": str(number), **blocks})
            add_text(band, "Description", description)
            if plan.class_values:
                add_text(Xml.SubElement(band, "Metadata"), "MDI", str(plan.class_values[number - 1]), key=CLASS_VALUE)
            add_text(band, "NoDataValue", str(NODATA))
            add_text(band, "Scale", repr(1 / FULL))
            for top in range(0, plan.height, self._rows):
                size = plan.width, min(self._rows, plan.height - top)
                part = Part(self._strip(top).name, size, (BLOCK, BLOCK), (0, top), relative=True)
                add_part(band, "SimpleSource", str(number), "Byte", part)
        return root


class _Reader:
    """An open raster that waits for the rows that are to be read."""

    def __init__(self, dataset: DatasetReader, raster: GrowingRaster, check: Callable[[], None]) -> None:
        self._dataset, self._raster, self._check = dataset, raster, check

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def read(self, band: int, *, window: Window) -> NDArray[Any]:
        """Read a window of a band."""
        self._raster.wait(window.row_off + window.height, self._check)
        return np.asarray(self._dataset.read(band, window=window))
