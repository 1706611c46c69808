"""Export training chips: a raster and its footprints become a folder that networks train on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rasterio.io import DatasetReader

from building_segmenter import scratch
from building_segmenter.chips.chip import BUILDING, Chip, Split
from building_segmenter.chips.classified_tiles import (
    CLASS_NAME,
    CONTACTS,
    IMAGES,
    LABELS,
    chip_name,
    write_chip,
    write_side_files,
)
from building_segmenter.chips.cutting import cut_chip
from building_segmenter.chips.manifest import MANIFEST, write_manifest
from building_segmenter.chips.split import SpatialSplit
from building_segmenter.chips.statistics import BandStatistics, ClassStatistics
from building_segmenter.errors import MissingCrsError, NoDataError
from building_segmenter.geo.vectors import read_polygons
from building_segmenter.progress import Progress
from building_segmenter.rasters.grid import ModelGrid, model_grid
from building_segmenter.rasters.overlay import Window, area_on_grid, extent_on_grid, lay_over
from building_segmenter.rasters.source import image_bands, open_raster, pixel_on_ground
from building_segmenter.rasters.tiles import tile_starts
from building_segmenter.tasks import LAYER_MARK, ExportChips


def export_chips(options: ExportChips, progress: Progress) -> dict[str, Any]:
    """Cut a raster and its footprints into training chips.

    Memory does not grow with the raster: chips are cut and written one at a time.

    Returns:
        `output`, and the numbers of `chips`, `train` and `validation`.

    Raises:
        NoOverlapError: No footprint lies over the raster.
        NoDataError: No chip was left.
        MissingCrsError: The raster has no CRS.
    """
    with open_raster(options.input) as dataset, scratch.new_folder(options.output, MANIFEST) as folder:
        if dataset.crs is None:
            raise MissingCrsError(
                f"The image {options.input} has no coordinate reference system, so no footprints can be laid over it.",
                "Assign its CRS (in QGIS: Assign projection) and run again.",
            )
        grid = model_grid(dataset, pixel_on_ground(dataset, None), options.gsd, options.tile_size)
        facts = _export(options, dataset, grid, folder, progress)
    counts = {split: sum(chip["split"] == split for chip in facts["chips"]) for split in ("train", "validation")}
    progress.log(
        f"{len(facts['chips'])} chips of {options.tile_size} px at {grid.gsd[0]:.3f} m: {counts['train']} for training,"
        f" {counts['validation']} for validation."
    )
    return {"output": options.output, "chips": len(facts["chips"]), **counts}


def _export(
    options: ExportChips, dataset: DatasetReader, grid: ModelGrid, folder: Path, progress: Progress
) -> dict[str, Any]:
    bands = image_bands(dataset, options.bands)
    for part in (IMAGES, LABELS, CONTACTS):
        (folder / part).mkdir()
    statistics, classes = BandStatistics(), ClassStatistics()
    chips: list[dict[str, Any]] = []
    for split, chip in _chips(options, dataset, grid, bands, progress):
        name = chip_name(len(chips))
        write_chip(folder, name, chip)
        statistics.add(chip)
        classes.add(chip)
        chips.append({"name": name, "split": split, "building_share": float((chip.label == BUILDING).mean())})
    if not chips:
        raise NoDataError(
            f"No chip is left of {options.input}: every one is nodata, empty, outside the area, or lies across a line"
            " between training and validation ground.",
            "Check AREA, EXTENT, SKIP_EMPTY and VALIDATION, or choose a smaller TILE_SIZE.",
        )
    names = [chip["name"] for chip in chips]
    write_side_files(folder, names, options.tile_size, statistics.summary(), classes, grid.gsd)
    facts = _facts(options, dataset, grid, statistics) | {"chips": chips}
    write_manifest(folder, facts)
    return facts


def _chips(
    options: ExportChips, dataset: DatasetReader, grid: ModelGrid, bands: tuple[int, ...], progress: Progress
) -> Iterator[tuple[Split, Chip]]:
    footprints, notes = lay_over(read_polygons(options.footprints, "footprints"), grid, "footprints")
    for note in notes:
        progress.warn(note)
    area = area_on_grid(options.area, grid)
    splits = SpatialSplit(grid.width, grid.height, options.tile_size, options.validation, options.seed)
    windows = _windows(options, grid)
    for done, window in enumerate(windows):
        progress.update(done / len(windows), "Cutting chips")
        split = splits.of(window)
        chip = cut_chip(dataset, grid, bands, footprints, area, window, done, split) if split else None
        if split and chip and not (options.skip_empty and not (chip.label == BUILDING).any()):
            yield split, chip


def _windows(options: ExportChips, grid: ModelGrid) -> list[Window]:
    left, top, width, height = extent_on_grid(options.extent, grid)
    tile, stride = options.tile_size, options.stride or options.tile_size
    return [
        (left + column, top + row, tile, tile)
        for row in tile_starts(height, tile, stride)
        for column in tile_starts(width, tile, stride)
    ]


def _facts(options: ExportChips, dataset: DatasetReader, grid: ModelGrid, statistics: BandStatistics) -> dict[str, Any]:
    return {
        "format": options.format,
        "tile_size": options.tile_size,
        "stride": options.stride or options.tile_size,
        "crs": dataset.crs.to_wkt(),
        "gsd": list(grid.gsd),
        "dtype": dataset.dtypes[0],
        "statistics": statistics.summary(),
        "classes": [{"value": BUILDING, "name": CLASS_NAME}],
        "validation": options.validation,
        "seed": options.seed,
        "sources": {
            "image": Path(options.input).name,
            "footprints": Path(options.footprints.partition(LAYER_MARK)[0]).name,
        },
    }
