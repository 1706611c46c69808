"""How much of a mask changes when the tile grid moves."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from benchmarks.imagery import DATA, make_raster, mosaic, shipped_facts, tile_stride
from benchmarks.prediction import grid_of, predicted, starts_along
from benchmarks.tables import table
from building_segmenter.rasters.grid import Axis, ModelGrid

LARGE = ("banepa_13cm/centre:0", "hot_oam_7cm/zanzibar:0")
"""Blocks of more than 2,000 pixels of the model; it was trained on them."""
PIECE_PX = 512
NETWORK_STRIDE = 16
NEAR_PX = 16
PROMISED_CHANGE, PROMISED_RATIO = 0.015, 1.3
HEADINGS = (
    "image",
    "precision",
    "building pixels",
    "changed",
    "near where tiles begin",
    "elsewhere",
    "ratio",
    "near where they begin or end",
    "elsewhere",
    "ratio",
)

Mask = NDArray[np.bool_]


def run(options: argparse.Namespace, folder: Path) -> bool:
    """Measure, print a table, and tell whether the promises are kept."""
    made = folder / "image.tif"
    make_raster(made, options.size, options.size, options.blocks, PIECE_PX)
    images = {f"{options.size} px of {' and '.join(options.blocks)}": made}
    if DATA.is_dir():
        images |= {block: mosaic(block, folder) for block in options.images}
    rows, kept = [], True
    for name, image in images.items():
        for precision in options.precision:
            change = changed(options, image, folder, precision)
            kept &= change.total <= PROMISED_CHANGE and max(change.begin.ratio, change.both.ratio) <= PROMISED_RATIO
            rows.append((name, precision, f"{change.buildings:,}", f"{change.total:.2%}", *change.cells))
    print(f"\n## Tile grid moved by {shift_px()} px\n\n{table(HEADINGS, rows)}\n")
    print(f"near: within {NEAR_PX} px of a tile line of either grid. changed: share of the building pixels.", end=" ")
    print(f"Goals: at most {PROMISED_CHANGE:.1%} changed, at a ratio of at most {PROMISED_RATIO}.")
    return kept


@dataclass(frozen=True)
class Rates:
    """Shares of building pixels that changed, near some lines and elsewhere."""

    near: float
    elsewhere: float

    @property
    def ratio(self) -> float:
        """How much more often a pixel near the lines changed."""
        return self.near / self.elsewhere if self.elsewhere else float("nan")

    @property
    def cells(self) -> tuple[str, str, str]:
        """For the table."""
        return f"{self.near:.2%}", f"{self.elsewhere:.2%}", f"{self.ratio:.2f}"


@dataclass(frozen=True)
class Change:
    """What a shift of the tile grid changed.

    Args:
        buildings: Building pixels before.
        total: Pixels that became building or ceased to be, as a share of these.
        begin: The same by the lines where tiles begin.
        both: The same by the lines where tiles begin or end.
    """

    buildings: int
    total: float
    begin: Rates
    both: Rates

    @property
    def cells(self) -> tuple[str, ...]:
        """For the table."""
        return (*self.begin.cells, *self.both.cells)


def shift_px() -> int:
    """Return half a stride in model pixels, as the nearest multiple of the network's stride."""
    return round(tile_stride(shipped_facts()) / 2 / NETWORK_STRIDE) * NETWORK_STRIDE


def changed(options: argparse.Namespace, image: Path, folder: Path, precision: str) -> Change:
    """Predict an image where it lies and moved on the map; return what that changed."""
    moved = folder / f"moved{image.suffix}"
    shutil.copyfile(image, moved)
    grids = [grid_of(image)]
    with rasterio.open(moved, "r+") as dataset:
        pixels = shift_px() * grids[0].columns.factor, shift_px() * grids[0].rows.factor
        dataset.transform = dataset.transform @ Affine.translation(*pixels)
    grids.append(grid_of(moved))
    _check_moved(grids)
    before, after = (predicted(options, path, folder / "probability.tif", precision) for path in (image, moved))
    differs, buildings = before.mask != after.mask, before.mask
    if not buildings.any():
        raise AssertionError(f"No building was found in {image}: take a larger image.")
    begin, both = (_near(grids, ends) for ends in (False, True))
    return Change(
        int(buildings.sum()),
        float(differs.sum() / buildings.sum()),
        _rates(differs, buildings, begin),
        _rates(differs, buildings, both),
    )


def _rates(differs: Mask, buildings: Mask, near: Mask) -> Rates:
    shares = [(differs & where).sum() / max((buildings & where).sum(), 1) for where in (near, ~near)]
    return Rates(*map(float, shares))


def _near(grids: list[ModelGrid], ends: bool) -> Mask:
    """Return where (height, width) a tile line of one of the grids is near."""
    rows = np.logical_or.reduce([_near_along(grid.rows, ends) for grid in grids])
    columns = np.logical_or.reduce([_near_along(grid.columns, ends) for grid in grids])
    return rows[:, None] | columns


def _near_along(axis: Axis, ends: bool) -> Mask:
    starts = starts_along(axis)
    lines = [*starts, *(start + shipped_facts().tile_size for start in starts)] if ends else starts
    near = np.zeros(axis.size, np.bool_)
    for line in lines:
        if 0 < line < axis.size:  # the raster's edge is no seam
            near[max(line - NEAR_PX, 0) : line + NEAR_PX] = True
    return near


def _check_moved(grids: list[ModelGrid]) -> None:
    """Make sure that tiles begin elsewhere and pixels are the same: else nothing would be measured, or too much."""
    for axis in ("rows", "columns"):
        before, after = (getattr(grid, axis) for grid in grids)
        same = (before.size, before.factor, before.offset) == (after.size, after.factor, after.offset)
        if not same or after.index - before.index != shift_px():
            raise AssertionError(f"The tile grid did not move as it should: {before} became {after}.")
