"""Predictions with the shipped model in this process, and their pixels."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from benchmarks.imagery import CELL_PX, OVERLAP, shipped_facts
from building_segmenter import engine, tasks
from building_segmenter.progress import Progress, SilentSink
from building_segmenter.rasters.grid import Axis, ModelGrid, model_grid
from building_segmenter.rasters.source import pixel_on_ground
from building_segmenter.rasters.tiles import tile_axis

Extent = tuple[float, float, float, float]


@dataclass(frozen=True)
class Prediction:
    """A probability raster that was read.

    Args:
        path: Its file.
        stored: Its values as stored (bands, height, width); the first band is that of buildings.
        transform: From its pixels to its CRS.
        cut: The model's threshold as a stored value.
    """

    path: Path
    stored: NDArray[np.uint8]
    transform: Affine
    cut: float

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Where buildings are (height, width)."""
        return (self.stored[0] >= self.cut) & (self.stored[0] != 255)


def predicted(
    options: argparse.Namespace, image: Path, output: Path, precision: str, extent: Extent | None = None
) -> Prediction:
    """Run the task *Segment raster*.

    Args:
        options: Has `threads`, and `model`: a file, or None for the shipped one.
        image: Raster.
        output: GeoTIFF to write.
        precision: Of the network.
        extent: Part of the image.
    """
    sink = SilentSink()
    task = tasks.SegmentRaster(
        input=str(image),
        output=str(output),
        model=str(options.model) if options.model else None,
        overlap=OVERLAP,
        inference_precision=precision,
        threads=options.threads,
        extent=extent,
    )
    result = engine.run(task, Progress(sink))
    for warning in sink.warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    with rasterio.open(output) as dataset:
        cut = result["threshold"] / dataset.scales[0]
        return Prediction(output, dataset.read(), dataset.transform, cut)


def grid_of(image: Path) -> ModelGrid:
    """Return the grid of the shipped model's pixels over an image."""
    facts = shipped_facts()
    with rasterio.open(image) as dataset:
        return model_grid(dataset, pixel_on_ground(dataset, None), facts.gsd, facts.tile_size)


def starts_along(axis: Axis) -> list[int]:
    """Return where tiles of the shipped model begin along an axis of such a grid."""
    facts = shipped_facts()
    return tile_axis(axis.size, facts.tile_size, OVERLAP, axis.index, None, CELL_PX).starts
