"""Two abutting halves of a raster, a VRT of them, and an EXTENT of the whole."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from benchmarks.imagery import CELL_PX, DATA, make_raster, mosaic, shipped_facts
from benchmarks.prediction import Prediction, grid_of, predicted, starts_along
from benchmarks.tables import table

PIECE_PX = 512
FINER, FINER_PX = "hot_oam_7cm/zanzibar:0", 2600
"""A block of half the model's pixel: cut at an odd pixel, a model pixel lies on both halves. And how much of it: halves
no longer than a tile would begin their pixels where they begin."""
HEADINGS = ("image", "cut", "compared with the whole", "pixels", "differ", "differ in the mask")

Mask = NDArray[np.bool_]
Row = tuple[str, str, str, str, str, str]


def run(options: argparse.Namespace, folder: Path) -> bool:
    """Compare, print a table, and tell whether all that should agree does."""
    made = folder / "image.tif"
    make_raster(made, options.size, options.size, options.blocks, PIECE_PX)
    images = {f"{options.size} px, model's pixel": made}
    if DATA.is_dir():
        images[f"{FINER_PX} px, half the model's"] = _corner(mosaic(FINER, folder), folder / "finer.tif")
    rows, kept = [], True
    for name, image in images.items():
        whole = predicted(options, image, folder / "whole.tif", options.precision[-1])
        for across in (True, False):
            more, same = _compared(options, name, image, whole, folder, across)
            rows += more
            kept &= same
    print(f"\n## Halves ({options.precision[-1]})\n\n{table(HEADINGS, rows)}")
    return kept


def _compared(
    options: argparse.Namespace, name: str, image: Path, whole: Prediction, folder: Path, across: bool
) -> tuple[list[Row], bool]:
    """Return rows of the table for a raster cut across or upright, and whether all that should agree does."""
    paths, title = [folder / "first.tif", folder / "second.tif"], "upright" if across else "across"
    windows = _cut(image, paths, across)
    mosaic_of_both = folder / "halves.vrt"
    _write_vrt(mosaic_of_both, image, paths, windows)
    output, precision = folder / "part.tif", options.precision[-1]
    everywhere = np.ones(whole.mask.shape, np.bool_)
    together = predicted(options, mosaic_of_both, output, precision)
    rows = [_row(name, title, "VRT of both halves", together, whole, everywhere)]
    for number, path in enumerate(paths, start=1):
        with rasterio.open(path) as dataset:
            extent = tuple(dataset.bounds)
        of_whole = predicted(options, image, output, precision, extent)
        rows.append(_row(name, title, f"EXTENT of half {number}", of_whole, whole, everywhere))
        half = predicted(options, path, output, precision)
        alike = _under_same_tiles(image, path, whole)
        rows.append(_row(name, title, f"half {number}, where tiles are the same", half, whole, alike))
        rows.append(_row(name, title, f"half {number}, in the last tile before the cut", half, whole, ~alike))
    return rows, all(row[4] == "0" for row in rows if "last tile" not in row[2])


def _row(name: str, title: str, what: str, part: Prediction, whole: Prediction, where: Mask) -> Row:
    column, row = _place(part.transform, whole)
    height, width = part.mask.shape
    # A pixel on a half's edge may reach beyond the whole.
    place = slice(row, row + height), slice(column, column + width)
    counted = where[place]
    shape = slice(counted.shape[0]), slice(counted.shape[1])
    differ = (part.stored[:, *shape] != whole.stored[:, *place]).any(axis=0) & counted
    in_mask = (part.mask[shape] != whole.mask[place]) & counted
    return name, title, what, f"{counted.sum():,}", f"{differ.sum():,}", f"{in_mask.sum():,}"


def _place(transform: rasterio.Affine, whole: Prediction) -> tuple[int, int]:
    """Return the column and row of the whole where another raster begins; it lies on the same pixels."""
    column, row = ~whole.transform @ (transform.c, transform.f)
    if abs(column - round(column)) + abs(row - round(row)) > 1e-3:
        raise AssertionError(f"A part begins between the pixels of the whole, at {column}, {row}.")
    return round(column), round(row)


def _under_same_tiles(image: Path, half: Path, whole: Prediction) -> Mask:
    """Return where in the whole (height, width) no tile begins elsewhere in the half than in the whole."""
    grids, size = [grid_of(path) for path in (image, half)], shipped_facts().tile_size
    column, row = _place(grids[1].transform, whole)
    alike = np.ones(whole.mask.shape, np.bool_)
    for axis, (name, first) in enumerate((("rows", row), ("columns", column))):
        of_whole, of_half = getattr(grids[0], name), getattr(grids[1], name)
        last = first + of_half.size
        ours = {start + first for start in starts_along(of_half)}
        seen = {start for start in starts_along(of_whole) if start < last and start + size > first}
        for start in ours ^ seen:
            line = [slice(None), slice(None)]
            # Pixels beside a tile are interpolated with its cells.
            line[axis] = slice(max(start - CELL_PX // 2, 0), start + size + CELL_PX // 2)
            alike[tuple(line)] = False
    return alike


def _cut(image: Path, paths: list[Path], across: bool) -> list[Window]:
    """Write the two halves of an image, cut at an odd column or row."""
    with rasterio.open(image) as dataset:
        width, height = dataset.width, dataset.height
        middle = (width if across else height) // 2 | 1
        windows = (
            [Window(0, 0, middle, height), Window(middle, 0, width - middle, height)]
            if across
            else [Window(0, 0, width, middle), Window(0, middle, width, height - middle)]
        )
        for path, window in zip(paths, windows, strict=True):
            profile = dataset.profile | {"width": window.width, "height": window.height}
            profile["transform"] = dataset.window_transform(window)
            with rasterio.open(path, "w", **profile) as half:
                half.write(dataset.read(window=window))
    return windows


def _write_vrt(path: Path, image: Path, parts: list[Path], windows: list[Window]) -> None:
    with rasterio.open(image) as dataset:
        place = ", ".join(map(repr, dataset.transform.to_gdal()))
        bands = [_vrt_band(band, parts, windows) for band in dataset.indexes]
        path.write_text(
            f'<VRTDataset rasterXSize="{dataset.width}" rasterYSize="{dataset.height}"><SRS>{dataset.crs.to_string()}'
            f"</SRS><GeoTransform>{place}</GeoTransform>{''.join(bands)}</VRTDataset>",
            encoding="utf-8",
        )


def _vrt_band(band: int, parts: list[Path], windows: list[Window]) -> str:
    sources = [
        f'<SimpleSource><SourceFilename relativeToVRT="1">{part.name}</SourceFilename><SourceBand>{band}</SourceBand>'
        f'<SrcRect xOff="0" yOff="0" xSize="{window.width}" ySize="{window.height}"/>'
        f'<DstRect xOff="{window.col_off}" yOff="{window.row_off}" xSize="{window.width}" ySize="{window.height}"/>'
        "</SimpleSource>"
        for part, window in zip(parts, windows, strict=True)
    ]
    return f'<VRTRasterBand dataType="Byte" band="{band}">{"".join(sources)}</VRTRasterBand>'


def _corner(image: Path, output: Path) -> Path:
    with rasterio.open(image) as dataset:
        profile = dataset.profile | {"count": 3, "width": FINER_PX, "height": FINER_PX}
        with rasterio.open(output, "w", **profile) as copy:
            copy.write(dataset.read((1, 2, 3), window=Window(0, 0, FINER_PX, FINER_PX)))
    return output
