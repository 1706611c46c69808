"""Writing probability rasters: uint8, 0..254 with scale 1/254, 255 nodata, tiled and compressed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import DatasetWriter

from building_segmenter.rasters.writing import geotiff_writer

FULL = 254
NODATA = 255
CLASS_VALUE = "CLASS_VALUE"
"""Tag of a band that holds the probability of one of several classes: the value of that class."""

BLOCK = 512
"""Rows and columns of a block of the file."""


def quantized(
    probability: NDArray[np.float32], valid: NDArray[np.bool_], *, overwrite: bool = False
) -> NDArray[np.uint8]:
    """Return probabilities 0..1 (..., rows, columns) as stored values; 255 where not valid (rows, columns).

    Args:
        probability: Values about 0..1.
        valid: Where they count.
        overwrite: The probabilities are not needed any more: their memory may be used.
    """
    scaled = np.multiply(probability, np.float32(FULL), out=probability if overwrite else None)
    scaled += np.float32(0.5)
    return marked(np.clip(scaled, 0, FULL, out=scaled).astype(np.uint8), valid)


def marked(stored: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return stored values (..., rows, columns) with 255 where they are not valid (rows, columns); overwritten."""
    if not valid.all():
        stored[..., ~valid] = NODATA
    return stored


def in_block_rows(parts: Iterable[NDArray[np.uint8]]) -> Generator[tuple[int, NDArray[np.uint8]], None, None]:
    """Yield rows as the file's blocks hold them: the first row's number, and values (bands, rows, width).

    GDAL may write a block that it was given a part of at any time, and compresses it to another place when the rest
    comes: the file would grow, and its bytes depend on what other threads read meanwhile.

    Args:
        parts: Values (bands, rows, width) from the top of the raster on, without gaps.
    """
    top, waiting = 0, list[NDArray[np.uint8]]()
    for part in parts:
        waiting.append(part)
        while sum(one.shape[1] for one in waiting) >= BLOCK:
            rows = np.concatenate(waiting, axis=1)
            yield top, rows[:, :BLOCK]
            top, waiting = top + BLOCK, [rows[:, BLOCK:].copy()]
    if rest := [one for one in waiting if one.shape[1]]:
        yield top, np.concatenate(rest, axis=1)


@dataclass(frozen=True)
class ProbabilityPlan:
    """What a probability raster is like.

    Args:
        width: Pixels in a row.
        height: Rows.
        transform: From pixels to the CRS.
        crs: CRS, or None.
        names: What each band is the probability of.
        class_values: The value of each band's class, where the bands are classes that exclude each other. Such a band
            is described by the name alone and tagged with its value; what is missing to 1 over all bands is background.
    """

    width: int
    height: int
    transform: Affine
    crs: Any
    names: tuple[str, ...]
    class_values: tuple[int, ...] = ()

    @property
    def descriptions(self) -> tuple[str, ...]:
        """Of each band."""
        return self.names if self.class_values else tuple(f"Probability of {name}" for name in self.names)

    def rows(self, top: int, height: int) -> ProbabilityPlan:
        """Return the plan of some rows of it."""
        return replace(self, height=height, transform=self.transform @ Affine.translation(0, top))


@contextmanager
def probability_writer(path: Path, plan: ProbabilityPlan, *, passing: bool = False) -> Iterator[DatasetWriter]:
    """Open a probability raster for writing rows from `in_block_rows` with `writing.write_rows`.

    Args:
        path: A scratch path; see `building_segmenter.scratch`.
        plan: What it is like.
        passing: Only this program reads it, and soon.

    Raises:
        DiskFullError: The file does not hold all that was written.
    """
    # PackBits takes half of Deflate's time for files that are half as large again, and no GDAL is built without it.
    packed = {"compress": "packbits"} if passing else {"compress": "deflate", "zlevel": 1}
    profile = {
        "width": plan.width,
        "height": plan.height,
        "count": len(plan.names),
        "dtype": "uint8",
        "nodata": NODATA,
        "crs": plan.crs,
        "transform": plan.transform,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "interleave": "band",
        "bigtiff": "if_safer",
    }
    with geotiff_writer(path, **profile, **packed) as dataset:
        dataset.scales = (1 / FULL,) * len(plan.names)
        for band, description in enumerate(plan.descriptions, start=1):
            dataset.set_band_description(band, description)
        for band, value in enumerate(plan.class_values, start=1):
            dataset.update_tags(band, **{CLASS_VALUE: str(value)})
        yield dataset
