"""The contact sheet of training chips: some of them with their labels drawn over, and what is in the folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion

from building_segmenter import scratch
from building_segmenter.chips.chip import BOUNDING_BOX, IGNORE
from building_segmenter.chips.dataset import ChipDataset, ChipEntry, open_dataset
from building_segmenter.chips.manifest import read_manifest
from building_segmenter.progress import Progress
from building_segmenter.reports import pictures
from building_segmenter.reports.page import escape, page, table
from building_segmenter.tasks import ExportChips

_SAMPLES = 36
_SHARE_BUILT = 0.75
_LARGEST_PX = 384
_CONTACT = (255, 225, 25)
_UNKNOWN_STRIPE_PX = 8


def write_contact_sheet(options: ExportChips, progress: Progress) -> None:
    """Write the report of an export that has just been made.

    Raises:
        OutputNotWritableError: The page cannot be written.
    """
    assert options.report is not None
    progress.update(0.99, "Drawing the contact sheet")
    sheet = render_contact_sheet(Path(options.output), options.seed)
    with scratch.new_output(options.report) as path:
        path.write_text(sheet, encoding="utf-8")


def render_contact_sheet(folder: Path, seed: int) -> str:
    """Return the contact sheet of a folder of chips as HTML.

    Args:
        folder: Made by *Export training chips*.
        seed: Chooses the chips that are shown.
    """
    dataset, facts = open_dataset(folder), read_manifest(folder)
    counts = facts["counts"]
    most = "at most " if facts.get("crop_mode") == BOUNDING_BOX else ""
    size = most + " x ".join(str(side) for side in dataset.size)
    lead = (
        f"{counts['chips']:,} chips of {size} px at {dataset.gsd[0]:.3g} m in the format {dataset.format}:"
        f" {counts.get('train', 0):,} for training, {counts.get('validation', 0):,} for validation;"
        f" {counts['objects']:,} objects, those on several chips counted on each."
    )
    shown = [dataset.chips[index] for index in _chosen(facts["chips"], seed)]
    sections = [
        ("Classes", _classes(dataset.classes)),
        (f"{len(shown)} of {len(dataset.chips):,} chips", _key(dataset) + _sheet(dataset, shown)),
        ("Bands", _bands(facts, dataset)),
    ]
    return page(f"Training chips in {folder.name}", lead, sections)


def _chosen(chips: Sequence[Mapping[str, Any]], seed: int) -> list[int]:
    """Choose chips to show: those that show the rarest class, then most with objects and some without."""
    random = np.random.default_rng(seed)
    built = np.array([bool(chip["pixels"] or chip["objects"]) for chip in chips], np.bool_)
    drawn: list[int] = []
    for value in {value for chip in chips for value in chip["pixels"]}:
        having = [index for index, chip in enumerate(chips) if value in chip["pixels"]]
        drawn += random.permutation(having)[:2].tolist()
    wanted = round(_SAMPLES * _SHARE_BUILT)
    for group, count in ((np.flatnonzero(built), wanted), (np.flatnonzero(~built), _SAMPLES - wanted)):
        drawn += random.permutation(group)[:count].tolist()
    return sorted(list(dict.fromkeys(drawn))[:_SAMPLES])


def _classes(classes: Sequence[Mapping[str, Any]]) -> str:
    rows = [[c["value"], c["name"], c["chips"], c["objects"], c["pixels"]] for c in classes]
    return table(rows, ["Value", "Name", "Chips", "Objects", "Pixels"])


def _bands(facts: Mapping[str, Any], dataset: ChipDataset) -> str:
    names = facts["image"]["bands"]
    rows = [[n, s["min"], s["max"], s["mean"], s["std"]] for n, s in zip(names, dataset.statistics, strict=True)]
    return table(rows, ["Band", "Lowest", "Highest", "Mean", "Deviation"], f"Type {dataset.dtype}; over known pixels.")


def _key(dataset: ChipDataset) -> str:
    colors = [(one["name"], tuple(one["color"])) for one in dataset.classes]
    if "classes" in dataset.labels:
        colors.append(("contact of two buildings", _CONTACT))
    keys = "".join(f'<span class="key" style="background:rgb{color}"></span>{escape(name)}' for name, color in colors)
    striped = " Grey stripes: unknown, ignored in training." if "classes" in dataset.labels else ""
    return f"<p>{keys}{striped}</p>"


def _sheet(dataset: ChipDataset, shown: Sequence[ChipEntry]) -> str:
    figures = [pictures.picture(_drawn(dataset, chip), f"{chip.name}, {chip.split}") for chip in shown]
    return f'<div class="row">{"".join(figures)}</div>'


def _drawn(dataset: ChipDataset, chip: ChipEntry) -> NDArray[np.uint8]:
    """Return a chip as red, green, blue with its labels over it, no larger than the sheet needs."""
    colors = {int(one["value"]): np.array(one["color"]) for one in dataset.classes}
    image = _visible(dataset.read_image(chip), dataset.statistics)
    if "classes" in dataset.labels:
        _, label, contact = dataset.read(chip)
        image = _with_classes(image, label, contact, colors)
    elif "boxes" in dataset.labels:
        boxes = dataset.read_boxes(chip)
        image = _with_boxes(image, boxes.corners, [colors[int(value)] for value in boxes.values])
    elif "tile" in dataset.labels:
        height, width = image.shape[:2]
        edge = np.array([[0, 0, width - 1, height - 1]])
        image = _with_boxes(image, edge, [colors[dataset.read_tile_class(chip)]])
    picture = Image.fromarray(image)
    picture.thumbnail((_LARGEST_PX, _LARGEST_PX))
    return np.asarray(picture)


def _visible(image: NDArray[Any], statistics: Sequence[Mapping[str, float]]) -> NDArray[np.uint8]:
    """Return bands as bytes: as they are, or stretched to two deviations about the mean."""
    if image.dtype == np.uint8:
        return pictures.as_rgb(image)
    low = np.array([band["mean"] - 2 * band["std"] for band in statistics])
    high = np.array([band["mean"] + 2 * band["std"] for band in statistics])
    share = (np.nan_to_num(image.astype(np.float64)) - low) / np.maximum(high - low, 1e-12)
    return pictures.as_rgb((np.clip(share, 0, 1) * 255).astype(np.uint8))


def _with_classes(
    image: NDArray[np.uint8], label: NDArray[Any], contact: NDArray[np.uint8] | None, colors: Mapping[int, Any]
) -> NDArray[np.uint8]:
    drawn = image.astype(np.float64)
    for value, color in colors.items():
        mask = label == value
        edge = mask & ~binary_erosion(mask, iterations=2, border_value=1)
        drawn[mask] = 0.8 * drawn[mask] + 0.2 * color
        drawn[edge] = color
    if contact is not None:
        drawn[contact == 1] = _CONTACT
    rows, columns = np.indices(label.shape)
    stripes = (label == IGNORE) & ((rows + columns) // _UNKNOWN_STRIPE_PX % 2 == 0)
    drawn[stripes] = 0.3 * drawn[stripes] + 0.7 * 150
    return drawn.astype(np.uint8)


def _with_boxes(image: NDArray[np.uint8], corners: NDArray[Any], colors: Sequence[Any]) -> NDArray[np.uint8]:
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    for box, color in zip(corners, colors, strict=True):
        pen.rectangle([float(edge) for edge in box], outline=tuple(int(c) for c in color), width=2)
    return np.array(picture)
