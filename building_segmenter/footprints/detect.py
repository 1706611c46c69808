"""Detect buildings one by one: from an image to polygons with scores, merged over all tiles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import geopandas

from building_segmenter import scratch
from building_segmenter.footprints.frames import batch_of, schema_of
from building_segmenter.footprints.instances import Instance, Place, Tile, features, merged, placed
from building_segmenter.footprints.instances.features import CLASS_FIELDS, FIELDS
from building_segmenter.footprints.instances.kept import from_bytes, to_bytes
from building_segmenter.footprints.instances.picture import Picture
from building_segmenter.geo.vectors import ahead, check_vector_output, write_batches
from building_segmenter.inference.finished import FinishedParts
from building_segmenter.inference.instances.detection import Detection, TileDetections
from building_segmenter.inference.radiometry import no_valid_pixel
from building_segmenter.inference.tiling import readers, work_of
from building_segmenter.progress import Progress
from building_segmenter.rasters.source import RasterPool, frame_of, open_raster
from building_segmenter.resume import resumable_state
from building_segmenter.tasks import DetectBuildings

_PREPARED = 0.05
"""Share of the work when the first tile is read."""


def detect_buildings(options: DetectBuildings, progress: Progress) -> dict[str, Any]:
    """Write the buildings that a Mask R-CNN finds in a raster as a polygon layer.

    Returns:
        `output`, `features` (how many), `min_score` and, if it was asked for, `picture`.

    Raises:
        BuildingSegmenterError: The raster, the model or an output cannot be used; see `errors`.
    """
    check_vector_output(options.output)
    with ExitStack() as kept:
        rasters = opened(options, kept)
        found = DetectedBuildings(options, rasters, progress.part(0.0, _PREPARED), kept)
        picture = Picture(options.picture_extent or options.extent, rasters.first) if options.picture else None
        schema = schema_of(found.fields, rasters.first)
        with ahead(found.batches(progress.part(_PREPARED, 0.95))) as frames:
            shown = frames if picture is None else picture.noting(frames)
            batches = (batch_of(one, schema) for one in shown)
            count = write_batches(batches, options.output, schema, progress.part(0.95, 1.0))
        if picture is not None and options.picture:
            with scratch.new_output(options.picture) as path:
                picture.write(path)
    progress.log(f"{count} buildings of at least the score {found.min_score:.2f}.")
    result = {"output": options.output, "features": count, "min_score": found.min_score}
    return result | ({"picture": options.picture} if options.picture else {})


def opened(options: DetectBuildings, kept: ExitStack) -> RasterPool:
    """Open the image of a detection until a stack is closed."""
    dataset = kept.enter_context(open_raster(options.input))
    return kept.enter_context(RasterPool(dataset, readers(options.threads)))


class DetectedBuildings:
    """The buildings of one raster: detected, merged and outlined row of tiles by row of tiles.

    Args:
        options: Of the detection.
        rasters: The open image.
        progress: Of the preparation.
        kept: Takes the state that a stopped run leaves beside `options.output`. To be closed by the caller when all
            outputs are in place, which deletes it; a failure until then keeps it.

    Attributes:
        fields: Names of the features' fields, in order.
        min_score: Least score of a building.
        ground: The ground frame of an image without CRS.
        gsd: Width and height of a model pixel in ground metres.
    """

    def __init__(self, options: DetectBuildings, rasters: RasterPool, progress: Progress, kept: ExitStack) -> None:
        self._options = options
        self._detection = Detection.of(options, rasters, progress)
        tiled, self.min_score = self._detection.tiled, self._detection.min_score
        grid, classes = tiled.grid, tiled.facts.classes
        self.ground, self.gsd = frame_of(rasters.first, options.gsd), grid.gsd
        self._place = Place(grid.transform, grid.crs, grid.gsd, self.ground)
        named = {number: (int(one["value"]), str(one["name"])) for number, one in enumerate(classes, 1)}
        self._classes = named if len(named) > 1 else None
        self.fields = CLASS_FIELDS * bool(self._classes) + FIELDS
        work = work_of(options, tiled, self._detection.runtime) | {"min_score": self.min_score}
        # Not before: a mistake in an option should not cost what is kept.
        state = resumable_state(options.output, work, progress, resume=options.resume)
        self._finished = FinishedParts(*kept.enter_context(state), ".npz")

    def batches(self, progress: Progress) -> Iterator[geopandas.GeoDataFrame]:
        """Yield all buildings, each as soon as no later tile can change it, from top to bottom by where they end.

        Memory: the tiles under way, and the instances of two rows of tiles.

        Raises:
            NoDataError: Nothing of what is to be searched is valid.
            BuildingSegmenterError: A tile cannot be read or predicted.
        """
        for batch in merged(self._rows(progress)):
            if batch:
                area = self._options.min_area
                yield features(batch, self._place, classes=self._classes, min_area=area, min_hole_area=area)

    def _rows(self, progress: Progress) -> Iterator[tuple[int, list[Instance]]]:
        """Yield the first row of pixels of each row of tiles, and its instances: finished ones, then new ones."""
        starts, entries = self._detection.row_starts(), self._finished.entries
        searched = sum(int(entry["tiles"]) for entry in entries)
        done = len(entries) / len(starts)
        for number, start in enumerate(starts[: len(entries)]):
            progress.update(number / len(starts), "Going on")
            yield start, from_bytes(self._finished.read(number))
        progress.measure_from(done)
        with closing(self._detection.rows(len(entries), progress.part(done, 1.0))) as rows:
            for start, tiles in rows:
                instances = [one for tile in tiles for one in self._placed(tile)]
                searched += len(tiles)
                if self._finished.are_kept:
                    self._finished.keep(to_bytes(instances), tiles=len(tiles))
                yield start, instances
        if not searched:
            self._finished.forget()
            raise no_valid_pixel(self._detection.tiled.image)

    def _placed(self, tile: TileDetections) -> list[Instance]:
        grid, found = self._detection.tiled.grid, tile.found
        where = Tile.of(tile.window, (0, 0, grid.width, grid.height))
        return placed(found.boxes, found.masks, found.scores, found.labels, where, tile.known)
