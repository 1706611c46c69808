"""Export training chips: a raster and its footprints become a folder that networks train on."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rasterio.io import DatasetReader

from building_segmenter.chips.chip import BOUNDING_BOX, IGNORE, Chip, ExportFacts, WrittenChip
from building_segmenter.chips.cutting import Cutter
from building_segmenter.chips.formats import make_writer
from building_segmenter.chips.frames import Frame
from building_segmenter.chips.manifest import MANIFEST
from building_segmenter.chips.pipeline import Pipeline, as_entry, from_entries
from building_segmenter.chips.sources import source_facts
from building_segmenter.chips.statistics import ExportStatistics, summarize
from building_segmenter.chips.strips import StripReader, common_window
from building_segmenter.chips.truth import Truth, read_truth
from building_segmenter.chips.views import RasterView, View, blank_value, second_view
from building_segmenter.chips.windows import LABELED_TILES, Plan, plan_chips
from building_segmenter.errors import MissingCrsError, NoDataError
from building_segmenter.progress import Progress
from building_segmenter.rasters.grid import ModelGrid, model_grid
from building_segmenter.rasters.overlay import extent_on_grid
from building_segmenter.rasters.source import image_bands, open_raster, pixel_on_ground
from building_segmenter.resume import Journal, input_state, resumable_folder
from building_segmenter.tasks import ExportChips

_INPUTS = {"image": "input", "footprints": "footprints", "area": "area", "image2": "input2"}
_CHOICES = (
    "class_field", "buffer", "area_rule", "min_overlap", "skip_empty", "negative_ratio", "segmentation",
    "blacken_around", "crop_mode", "validation", "seed",
)  # fmt: skip
_NOT_PART_OF_THE_WORK = ("output", "report", "resume")
_WRITTEN = 0.98
"""Share of the work when all chips are written, and statistics are not."""


def export_chips(options: ExportChips, progress: Progress) -> dict[str, Any]:
    """Cut a raster and its footprints into training chips.

    Memory does not grow with the raster: it is read in strips, each pixel once.

    Returns:
        `output`, and the numbers of `chips`, `train`, `validation` and `objects`; an object on several chips counts
        on each.

    Raises:
        NoOverlapError: No footprint lies over the raster.
        NoDataError: No chip was left.
        MissingCrsError: The raster has no CRS.
        BandsError: The image format cannot hold the images.
        InvalidParameterError: Options do not fit the inputs.
    """
    with open_raster(options.input) as dataset:
        if dataset.crs is None:
            raise MissingCrsError(
                f"The image {options.input} has no coordinate reference system, so no footprints can be laid over it.",
                "Assign its CRS (in QGIS: Assign projection) and run again.",
            )
        work = _work(options)
        with resumable_folder(options.output, MANIFEST, work, progress, resume=options.resume) as (folder, journal):
            statistics, splits = _export(options, dataset, folder, journal, progress)
    objects = int(statistics.features_per_image.total)
    progress.log(
        f"{statistics.chips} chips with {objects} objects: {splits['train']} for training, {splits['validation']} for"
        " validation."
    )
    counts = {"chips": statistics.chips, "train": splits["train"], "validation": splits["validation"]}
    return {"output": options.output, **counts, "objects": objects}


def _export(
    options: ExportChips, dataset: DatasetReader, folder: Path, journal: Journal, progress: Progress
) -> tuple[ExportStatistics, Counter[str]]:
    size = options.tile_size, options.tile_size_y or options.tile_size
    grid = model_grid(dataset, pixel_on_ground(dataset, None), options.gsd, max(size))
    view = RasterView(dataset, grid, image_bands(dataset, options.bands))
    with second_view(options.input2, dataset, grid) as view2:
        truth = read_truth(options, grid, progress)
        facts = _facts(options, grid, view, view2, truth)
        writer = make_writer(folder, facts)
        plan = _plan(options, grid, view, truth)
        if options.format == LABELED_TILES:
            _tell_left_out(plan, truth, progress)
        blanks = (blank_value(view.facts), None if view2 is None else blank_value(view2.facts))
        cutter = Cutter(
            truth, grid, options.min_overlap, blanks, options.blacken_around, options.crop_mode == BOUNDING_BOX
        )
        reader = StripReader(plan, truth, view, view2)
        pipeline = Pipeline(plan, reader, cutter, writer, facts, _chosen(options, truth))
        chips = _cut_and_written(pipeline, journal, progress)
    if not chips:
        journal.forget()
        raise _nothing_left(options)
    progress.update(_WRITTEN, "Writing statistics")
    statistics = summarize([chip.statistics for chip in chips], facts.classes)
    writer.finish(chips, statistics)
    return statistics, Counter(chip.split for chip in chips)


def _cut_and_written(pipeline: Pipeline, journal: Journal, progress: Progress) -> list[WrittenChip]:
    chips = from_entries(journal.done)
    first = len(journal.done)

    def update(share: float) -> None:
        progress.update(_WRITTEN * share, "Cutting chips")

    for index, written in pipeline.run(first, len(chips), update):
        journal.add(as_entry(index, written))
        chips += written
    return chips


def _plan(options: ExportChips, grid: ModelGrid, view: RasterView, truth: Truth) -> Plan:
    ground = extent_on_grid(options.extent, grid)

    def has_image(frame: Frame) -> bool:
        window = common_window(frame.window, ground)
        return min(window[2:]) > 0 and view.has_image(window)

    return plan_chips(options, ground, truth, has_image)


def _tell_left_out(plan: Plan, truth: Truth, progress: Progress) -> None:
    there = int((truth.values[truth.ids] != IGNORE).sum())
    if plan.subjects < there:
        progress.log(
            f"{there - plan.subjects} of {there} buildings have no chip: their middle lies outside the image or the"
            " extent, or their chip outside the labelled area or across a line between training and validation ground."
        )


def _chosen(options: ExportChips, truth: Truth) -> Callable[[Chip, Frame], bool]:
    """Return what tells whether a chip is kept, now that its pixels are known."""
    if options.skip_empty or options.format == LABELED_TILES:
        return lambda chip, frame: bool(chip.objects)
    if options.negative_ratio is None:
        return lambda chip, frame: True
    # A chip that a footprint only grazes, or shows on nodata, is neither one with buildings nor one without.
    return lambda chip, frame: bool(chip.objects) or len(truth.polygons.touching_polygon(frame.outline)) == 0


def _facts(options: ExportChips, grid: ModelGrid, view: View, view2: View | None, truth: Truth) -> ExportFacts:
    stride = options.stride or options.tile_size
    return ExportFacts(
        format=options.format,
        image_format=options.image_format,
        tile_size=(options.tile_size, options.tile_size_y or options.tile_size),
        stride=(stride, options.stride_y or options.stride or options.tile_size_y or options.tile_size),
        gsd=grid.gsd,
        crs=grid.crs,
        image=view.facts,
        image2=None if view2 is None else view2.facts,
        classes=truth.classes,
        rotation=options.rotation,
        choices={name: getattr(options, name) for name in _CHOICES},
        sources={
            role: source_facts(getattr(options, name)) for role, name in _INPUTS.items() if getattr(options, name)
        },
    )


def _work(options: ExportChips) -> dict[str, Any]:
    """Return what a stopped export must have in common with this one to be gone on with."""
    inputs = {name: input_state(getattr(options, name)) for name in _INPUTS.values()}
    rest = {k: v for k, v in dataclasses.asdict(options).items() if k not in (*inputs, *_NOT_PART_OF_THE_WORK)}
    return inputs | rest


def _nothing_left(options: ExportChips) -> NoDataError:
    return NoDataError(
        f"No chip is left of {options.input}: every one is nodata, empty, outside the area, or lies across a line"
        " between training and validation ground.",
        "Check AREA, EXTENT, SKIP_EMPTY and VALIDATION, or choose a smaller TILE_SIZE.",
    )
