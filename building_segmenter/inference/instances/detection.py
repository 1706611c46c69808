"""Detecting the objects of a raster tile by tile; nothing is merged yet."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from building_segmenter.inference.instances.parts import model_parts
from building_segmenter.inference.instances.predictor import Found, InstancePredictor
from building_segmenter.inference.places import checked_numbers, told_where
from building_segmenter.inference.reading import Pixels
from building_segmenter.inference.runtime import Runtime
from building_segmenter.inference.tiling import USUAL_OVERLAP, TiledImage, tile_results, tiled_image, told
from building_segmenter.networks.mask_rcnn.model_file import read_mask_rcnn_facts
from building_segmenter.progress import Progress
from building_segmenter.rasters.overlay import Window
from building_segmenter.rasters.source import RasterPool
from building_segmenter.tasks import DetectBuildings


class TileDetections(NamedTuple):
    """What was found in a tile.

    Args:
        window: The tile (column, row, width, height) in model pixels.
        known: Where in it (height, width) there is something to be found: valid, in the area, in the extent.
        found: The objects.
    """

    window: Window
    known: NDArray[np.bool_]
    found: Found


@dataclass(frozen=True)
class Detection:
    """All that detecting in a raster needs.

    Args:
        tiled: The image.
        runtime: What runs the networks.
        predictor: The networks.
        min_score: Least score of an object.
    """

    tiled: TiledImage
    runtime: Runtime
    predictor: InstancePredictor
    min_score: float

    @classmethod
    def of(cls, options: DetectBuildings, rasters: RasterPool, progress: Progress) -> Detection:
        """Prepare the detection that a task asks for.

        Raises:
            BuildingSegmenterError: The raster or the model cannot be used; see `errors`.
        """
        progress.update(0.0, "Loading the model")
        config, facts = read_mask_rcnn_facts(options.model)
        score = facts.threshold if options.min_score is None else options.min_score
        overlap = USUAL_OVERLAP if options.overlap is None else options.overlap
        tiled = tiled_image(options, rasters, facts, overlap, progress)
        runtime = Runtime(options.inference_precision, options.threads, options.device, progress.log)
        parts = model_parts(options.model, config, facts.tile_size)
        if tiled.radiometry.keeps_bytes:
            parts = parts.fed_bytes()
        config = replace(config, DETECTION_MIN_CONFIDENCE=score)
        predictor = InstancePredictor(parts, config, facts.tile_size, runtime)
        progress.log(f"{told(tiled, runtime)} Least score {score:.2f}.")
        return cls(tiled, runtime, predictor, score)

    def row_starts(self) -> list[int]:
        """Return the first row of model pixels of each row of tiles, from the top."""
        return self.tiled.axes()[1].starts

    def rows(self, first: int, progress: Progress) -> Generator[tuple[int, list[TileDetections]], None, None]:
        """Yield what is found in each row of tiles: its first row of model pixels, and its tiles.

        Args:
            first: Which row of tiles to begin with, counted from 0.
            progress: Of the rows from there on.
        """
        columns, rows = self.tiled.axes()
        rest = rows.from_tile(first)
        results = tile_results(self.tiled, columns, rest, self._detect, self.predictor.requests, progress)
        with closing(results) as tiles:
            for start in rest.starts:
                row = [next(tiles) for _ in columns.starts]
                yield start, [tile for tile in row if tile is not None]

    def _detect(self, read: Pixels) -> TileDetections:
        tiled = self.tiled
        with told_where(tiled.image.name, tiled.grid, read.window):
            found = self.predictor.predict(tiled.taken(read))
            checked_numbers(found.masks)
        return TileDetections(read.window, read.known & _within(read.window, tiled.window), found)


def _within(window: Window, whole: Sequence[int]) -> NDArray[np.bool_]:
    """Return which pixels of a tile (height, width) lie in the window that is wanted."""
    inside = [
        (np.arange(window[k + 2]) + window[k] >= whole[k])
        & (np.arange(window[k + 2]) + window[k] < whole[k] + whole[k + 2])
        for k in (1, 0)
    ]
    return np.logical_and.outer(*inside)
