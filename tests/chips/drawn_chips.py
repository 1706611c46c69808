"""Chips that tests draw: random polygons with exact truth, written in any format."""

from pathlib import Path

import numpy as np
import shapely
import shapely.affinity
from affine import Affine
from rasterio.crs import CRS
from rasterio.features import rasterize

from building_segmenter.chips.chip import Chip, ChipClass, ChipObject, ExportFacts, ImageFacts, WrittenChip
from building_segmenter.chips.formats import make_writer
from building_segmenter.chips.statistics import chip_statistics, summarize
from building_segmenter.chips.subject import shown_alone

SIZE = (96, 80)
CRS_FEET = CRS.from_epsg(2240)
NORTH_UP = Affine(0.5, 0, 2_200_000.25, 0, -0.5, 1_360_000.75)
CLASSES = (ChipClass(1, "house", (230, 57, 70)), ChipClass(4, "shed & co", (10, 20, 30)))
TURNS = {0: NORTH_UP, 90: NORTH_UP @ Affine.rotation(90, (48, 40)), 30: NORTH_UP @ Affine.rotation(30, (48, 40))}


def facts(
    name, *, classes=CLASSES, image_format="tiff", image=None, image2=None, size=SIZE, crs=CRS_FEET, choices=None
):
    image = image or ImageFacts("uint8", ("Red", "Green", "Blue"), None)
    choices, sources = {"seed": 1, "validation": 0.25} | (choices or {}), {"image": {"name": "a.tif", "sha256": "0"}}
    return ExportFacts(
        name, image_format, size, size, (0.1524, 0.1524), crs, image, image2, tuple(classes), 0.0, choices, sources
    )


def burned(polygons, size=SIZE):
    """Number polygons from 1 where they hold a pixel's centre, later ones over earlier ones."""
    shapes = [(polygon, number) for number, polygon in enumerate(polygons, 1) if not polygon.is_empty]
    if not shapes:
        return np.zeros((size[1], size[0]), np.int32)
    return rasterize(shapes, (size[1], size[0]), dtype=np.int32)


def chip_of(
    polygons,
    values,
    *,
    ids=None,
    number=0,
    split="train",
    transform=NORTH_UP,
    unknown=None,
    image=None,
    size=SIZE,
    classes=CLASSES,
    crs=CRS_FEET,
    **extra,
):
    """Make the chip that cutting would make of polygons in its pixels: the truth by direct rasterization."""
    window = shapely.box(0, 0, *size)
    ids = list(range(1, len(polygons) + 1)) if ids is None else ids
    raster = burned(polygons, size)
    if unknown is not None:
        raster[unknown] = 0
    label = np.concatenate([[0], values]).astype(np.uint16)[raster]
    label = label.astype(np.uint16 if max(values, default=0) > 255 else np.uint8)
    if unknown is not None:
        label[unknown] = 255
    names = {one.value: one.name for one in classes}
    seen = set(np.unique(raster).tolist()) - {0}
    objects = []
    for index, (polygon, value, footprint) in enumerate(zip(polygons, values, ids, strict=True), 1):
        if index in seen:
            inside = polygon.intersection(window)
            objects.append(ChipObject(footprint, value, names[value], inside, inside.area / polygon.area))
    instances = np.concatenate([[0], ids]).astype(np.int32)[raster]
    contact = np.zeros(label.shape, np.uint8)
    contact[10:12, 20:30] = 1
    if unknown is not None:
        contact[unknown] = 0
    if image is None:
        image = np.random.default_rng(number).integers(0, 250, (size[1], size[0], 3)).astype(np.uint8)
    return Chip(image, label, contact, instances, tuple(objects), transform, crs, number, split, **extra)


def houses(rng, count, size=SIZE):
    """Draw polygons that stand apart, some with a yard, some of two parts, some reaching out of the chip."""
    drawn = []
    for _ in range(count * 20):
        if len(drawn) == count:
            break
        width, height = rng.uniform(6, 30, 2)
        shape = shapely.box(-width / 2, -height / 2, width / 2, height / 2)
        kind = rng.integers(4)
        if kind == 0 and min(width, height) > 12:
            shape = shape.difference(shapely.box(-width / 5, -height / 5, width / 5, height / 5))
        elif kind == 1:
            shape = shapely.MultiPolygon([shape, shapely.box(width / 2 + 2, 0, width / 2 + 7.3, 5.1)])
        turned = shapely.affinity.rotate(shape, rng.uniform(0, 90), origin=(0, 0))
        placed = shapely.affinity.translate(turned, rng.uniform(-4, size[0] + 4), rng.uniform(-4, size[1] + 4))
        if not any(placed.distance(other) < 0.5 for other in drawn):
            drawn.append(placed)
    return drawn


def about_one(chip):
    """Show of a chip the object nearest to its middle alone, as the format labeled-tiles needs it."""
    middle = shapely.Point(SIZE[0] / 2, SIZE[1] / 2)
    nearest = min(chip.objects, key=lambda one: one.polygon.distance(middle))
    return shown_alone(chip, nearest.id, blacken=False, crop=False)


def export(folder, name, chips, **options):
    """Write chips in a format, as the export does."""
    chips = [about_one(chip) for chip in chips] if name == "labeled-tiles" else chips
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    known = facts(name, **options)
    writer = make_writer(folder, known)
    entries = [written(writer, chip, known) for chip in chips]
    writer.finish(entries, summarize([entry.statistics for entry in entries], known.classes))
    return folder


def written(writer, chip, known):
    record = writer.write(chip, chip.name)
    return WrittenChip(chip.name, chip.split, chip.angle, chip_statistics(chip, known.classes), record)


def some_chips(count=4, seed=0, **options):
    """Draw chips with houses of both classes; one has none, one has unknown ground, the last is for validation."""
    rng = np.random.default_rng(seed)
    chips, next_id = [], 1
    for number in range(count):
        polygons = houses(rng, 0 if number == 1 else 5)
        unknown = np.zeros((SIZE[1], SIZE[0]), bool)
        unknown[60:, :50] = number == 2
        ids = list(range(next_id, next_id + len(polygons)))
        next_id += len(polygons) + 3
        values = [int(rng.choice([1, 4])) for _ in polygons]
        split = "validation" if number == count - 1 else "train"
        transform = options.get("transform", NORTH_UP) @ Affine.translation(number * SIZE[0], 0)
        chips.append(
            chip_of(
                polygons, values, ids=ids, number=number, split=split, unknown=unknown if number == 2 else None,
                **options | {"transform": transform},
            )
        )  # fmt: skip
    return chips
