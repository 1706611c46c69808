"""The same raster in 1, 4 and 16 blocks: the same bytes."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from unittest import mock

import numpy as np
import rasterio
from numpy.typing import NDArray

from benchmarks.imagery import make_raster
from benchmarks.prediction import predicted
from benchmarks.tables import table
from building_segmenter import engine, tasks
from building_segmenter.footprints.contours import field
from building_segmenter.progress import Progress
from building_segmenter.rasters.probability import ProbabilityPlan, in_block_rows, probability_writer
from building_segmenter.rasters.writing import write_rows

COUNTS = (1, 4, 16)
PIECE_PX = 512


def run(options: argparse.Namespace, folder: Path) -> bool:
    """Compare, print a table, and tell whether all blocks gave the same bytes."""
    image, whole = folder / "image.tif", folder / "whole.tif"
    make_raster(image, options.size, options.size, options.blocks, PIECE_PX)
    rows, kept = [], True
    for precision in options.precision:
        predicted(options, image, whole, precision)
        layer = None
        for count in COUNTS:
            raster = in_blocks(options, image, whole, precision, count) if count > 1 else whole
            found, features = polygons(whole, count)
            layer = layer or found
            same = raster.read_bytes() == whole.read_bytes(), found == layer
            kept &= all(same)
            rows.append((precision, f"{count}", *("same" if one else "DIFFERENT" for one in same), f"{features:,}"))
    headings = ("precision", "blocks", "bytes of the probability", "bytes of the polygons", "polygons")
    print(f"\n## Blocks: {options.size} x {options.size} px\n\n{table(headings, rows)}")
    return kept


def in_blocks(options: argparse.Namespace, image: Path, whole: Path, precision: str, count: int) -> Path:
    """Predict blocks of rows by a run each; return the file that they make together."""
    joined = whole.with_name(f"joined_{count}.tif")
    with rasterio.open(whole) as dataset:
        names = tuple(text.removeprefix("Probability of ") for text in dataset.descriptions)
        place = (dataset.width, dataset.height, dataset.transform, dataset.crs)
    with probability_writer(joined, ProbabilityPlan(*place, names)) as output:
        for top, rows in in_block_rows(_parts(options, image, whole, precision, count)):
            write_rows(output, top, rows)
    return joined


def _parts(
    options: argparse.Namespace, image: Path, whole: Path, precision: str, count: int
) -> Iterator[NDArray[np.uint8]]:
    with rasterio.open(whole) as dataset:
        ends = np.linspace(0, dataset.height, count + 1).round().astype(int)
        west, east = dataset.bounds.left, dataset.bounds.right
        norths = [(dataset.transform @ (0, int(end)))[1] for end in ends]
    for north, south in pairwise(norths):
        part = predicted(options, image, whole.with_name("part.tif"), precision, (west, south, east, north))
        yield part.stored


def polygons(raster: Path, count: int) -> tuple[bytes, int]:
    """Trace a raster in so many bands of rows; return the layer's bytes and its number of polygons."""
    with rasterio.open(raster) as dataset:
        rows, width = -(-dataset.height // count), dataset.width
    output = raster.with_name("polygons.fgb")
    task = tasks.PolygonizeMask(input=str(raster), output=str(output), min_area=0.0, min_hole_area=0.0)
    with mock.patch.object(field, "_READ_PIXELS", rows * width), mock.patch.object(field, "_BAND_PIXELS", rows * width):
        features = engine.run(task, Progress())["features"]
    return output.read_bytes(), features
