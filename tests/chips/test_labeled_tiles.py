"""Labelled tiles: one building a chip, blackened around it and cut to it, checked against the polygons themselves."""

import csv
import importlib.util
import json
import shutil
import threading
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import shapely.affinity
from drawn_chips import SIZE, chip_of, export, facts, houses, some_chips, written
from hypothesis import given
from hypothesis import strategies as st

from building_segmenter import tasks
from building_segmenter.chips.dataset import open_dataset
from building_segmenter.chips.formats import make_writer
from building_segmenter.chips.subject import shown_alone
from building_segmenter.errors import CancelledError, InputUnreadableError, InvalidParameterError
from building_segmenter.progress import Progress, SilentSink

_spec = importlib.util.spec_from_file_location("chip_scenes", Path(__file__).with_name("chip_scenes.py"))
scenes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scenes)

NOISE = np.random.default_rng(5).integers(1, 255, (192, 288, 3)).astype(np.uint8)
"""An image without any black."""
TILE = 80


def turned(shape, angle=17):
    """Turn a shape in place, so that no pixel's centre lies on an edge."""
    return shapely.affinity.rotate(shape, angle, origin="centroid")


YARD = turned(shapely.box(30, 40, 80, 90).difference(shapely.box(42, 52, 68, 78)))
IN_YARD = turned(shapely.box(50, 60, 60, 70))
PARTS = turned(shapely.MultiPolygon([shapely.box(120, 30, 140, 50), shapely.box(150, 60, 165, 85)]))
UNDER, OVER = turned(shapely.box(200, 20, 240, 50)), turned(shapely.box(215, 30, 260, 70))
LONG = turned(shapely.box(120, 130, 240, 150), 4)
AT_EDGE = turned(shapely.box(255, 160, 300, 180))
SHAPES = (YARD, IN_YARD, PARTS, UNDER, OVER, LONG, AT_EDGE)
KINDS = ("court", "shed", "house", "house", "shed", "hall", "house")


@pytest.fixture
def ground(tmp_path, write_image, write_roofs):
    """The image, and the layer with the kind of each building."""
    frame = geopandas.read_file(write_roofs(SHAPES)).assign(kind=KINDS)
    frame.to_file(tmp_path / "kinds.gpkg")
    return write_image(NOISE), str(tmp_path / "kinds.gpkg")


def labelled(folder, ground, **options):
    facts = {"format": "labeled-tiles", "tile_size": TILE, "class_field": "kind", "rotation": 30.0}
    return scenes.exported(folder, *ground, **facts | options)[0]


def rows_of(dataset):
    """What objects.csv says, by chip."""
    with open(dataset.folder / "objects.csv", newline="") as file:
        return {row["chip"]: row for row in csv.DictReader(file)}


def to_source(image, chip):
    """From pixels of a chip to those of the image, through the georeference of both files alone."""
    with rasterio.open(image) as one, rasterio.open(chip) as other:
        return ~one.transform @ other.transform


def held(shape, to_pixels, size):
    """Where a polygon of the image holds the centres of a chip's pixels, asked point by point."""
    columns, rows = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    return shapely.contains_xy(shape, *(to_pixels @ (columns, rows)))


def source_of(to_pixels, size):
    """The image under each pixel of a chip; 0 beyond it."""
    columns, rows = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    x, y = (np.floor(axis + 1e-6).astype(int) for axis in to_pixels @ (columns, rows))
    there = (x >= 0) & (y >= 0) & (x < NOISE.shape[1]) & (y < NOISE.shape[0])
    return np.where(there[..., None], NOISE[np.clip(y, 0, 191), np.clip(x, 0, 287)], 0)


class TestSubjects:
    def test_every_building_has_one_chip_an_angle_whatever_lies_in_its_middle(self, tmp_path, ground):
        dataset = labelled(tmp_path / "chips", ground, rotation=90.0)
        rows = rows_of(dataset)
        assert sorted(int(row["id"]) for row in rows.values()) == sorted([*range(1, 8)] * 4)
        names = {one["value"]: one["name"] for one in dataset.classes}
        for chip in dataset.chips:
            kind = KINDS[int(rows[chip.name]["id"]) - 1]
            annotation = ElementTree.parse(dataset.folder / "labels" / f"{chip.name}.xml")
            (value,) = [one.text for one in annotation.iter("name")]
            assert names[int(value)] == names[dataset.read_tile_class(chip)] == kind
            assert (dataset.folder / "labels" / kind / f"{chip.name}.tif").is_file()
            assert dataset.read_boxes(chip).ids.tolist() == [int(rows[chip.name]["id"])]

    def test_what_lies_under_another_building_is_still_its_own(self, tmp_path, ground):
        dataset = labelled(tmp_path / "chips", ground, rotation=0.0)
        rows = rows_of(dataset)
        (under,) = [chip for chip in dataset.chips if rows[chip.name]["id"] == "4"]
        mask = dataset.read_tile_mask(under)
        to_pixels = to_source(ground[0], dataset.folder / "images" / f"{under.name}.tif")
        np.testing.assert_array_equal(mask, held(UNDER, to_pixels, (TILE, TILE)))
        assert (mask & held(OVER, to_pixels, (TILE, TILE))).sum() > 100

    def test_one_object_is_counted_a_chip(self, tmp_path, ground):
        dataset = labelled(tmp_path / "chips", ground, rotation=0.0)
        manifest = json.loads((dataset.folder / "dataset.json").read_text())
        assert manifest["counts"]["objects"] == len(dataset.chips) == len(SHAPES)
        assert [one["objects"] for one in manifest["classes"]] == [1, 1, 3, 2]
        for chip, told in zip(dataset.chips, manifest["chips"], strict=True):
            value = str(dataset.read_tile_class(chip))
            assert told["pixels"] == {value: int(dataset.read_tile_mask(chip).sum())}

    def test_a_building_with_too_little_on_its_chip_has_none(self, tmp_path, ground):
        dataset = labelled(tmp_path / "chips", ground, rotation=0.0, min_overlap=0.9)
        assert {int(row["id"]) for row in rows_of(dataset).values()} == {1, 2, 3, 4, 5, 7}

    def test_buildings_without_a_chip_are_told(self, tmp_path, ground, write_roofs):
        area = write_roofs([shapely.box(0.2, 0.2, 110.2, 191.8)], "area.gpkg")
        facts = {"format": "labeled-tiles", "tile_size": TILE, "area": area}
        _, sink = scenes.exported(tmp_path / "some", *ground, **facts)
        assert any(line.startswith("4 of 7 buildings have no chip") for line in sink.logs)
        _, sink = scenes.exported(tmp_path / "all", *ground, format="labeled-tiles", tile_size=TILE)
        assert not any("have no chip" in line for line in sink.logs)


class TestBlackened:
    @pytest.mark.parametrize("crop_mode", ["fixed-size", "bounding-box"])
    def test_black_but_where_the_polygon_holds_the_pixel(self, tmp_path, ground, crop_mode):
        dataset = labelled(tmp_path / "chips", ground, blacken_around=True, crop_mode=crop_mode)
        rows, turns = rows_of(dataset), set()
        assert len(dataset.chips) == 12 * len(SHAPES)
        for chip in dataset.chips:
            path = dataset.folder / "images" / f"{chip.name}.tif"
            image, mask = dataset.read_image(chip), dataset.read_tile_mask(chip)
            size, to_pixels = mask.shape[::-1], to_source(ground[0], path)
            turns.add(round(np.degrees(np.arctan2(to_pixels.d, to_pixels.a))) % 360)
            inside = held(shapely.box(0, 0, 288, 192), to_pixels, size)
            truth = held(SHAPES[int(rows[chip.name]["id"]) - 1], to_pixels, size)
            # Turned pixels across the image's edge are known from half of them on.
            assert (mask != (truth & inside)).mean() < 2e-3
            assert (image[~mask] == 0).all() and (image[mask] > 0).any(axis=-1).mean() > 0.99
        assert turns == set(range(0, 360, 30))

    @pytest.mark.parametrize("rotation", [0.0, 90.0])
    def test_the_building_itself_is_untouched(self, tmp_path, ground, rotation):
        dataset = labelled(tmp_path / "chips", ground, blacken_around=True, crop_mode="bounding-box", rotation=rotation)
        rows = rows_of(dataset)
        for chip in dataset.chips:
            image = dataset.read_image(chip)
            size = image.shape[1::-1]
            to_pixels = to_source(ground[0], dataset.folder / "images" / f"{chip.name}.tif")
            truth = held(SHAPES[int(rows[chip.name]["id"]) - 1], to_pixels, size)
            np.testing.assert_array_equal(image, source_of(to_pixels, size) * truth[..., None])

    def test_a_turned_image_is_that_of_the_export_without(self, tmp_path, ground):
        plain = labelled(tmp_path / "plain", ground)
        black = labelled(tmp_path / "black", ground, blacken_around=True)
        assert len(plain.chips) == len(black.chips) == 12 * len(SHAPES)
        for one, other in zip(plain.chips, black.chips, strict=True):
            mask = plain.read_tile_mask(one)
            np.testing.assert_array_equal(black.read_tile_mask(other), mask)
            np.testing.assert_array_equal(black.read_image(other), plain.read_image(one) * mask[..., None])
            assert (plain.read_image(one)[~mask] > 0).any()

    def test_the_figures_of_bands_are_those_of_the_images_on_disk(self, tmp_path, ground):
        dataset = labelled(tmp_path / "chips", ground, blacken_around=True, rotation=0.0)
        whole = [chip for chip in dataset.chips if rows_of(dataset)[chip.name]["id"] != "7"]
        assert len(whole) == 6
        known = []
        for chip in dataset.chips:
            to_pixels = to_source(ground[0], dataset.folder / "images" / f"{chip.name}.tif")
            known.append(dataset.read_image(chip)[held(shapely.box(0, 0, 288, 192), to_pixels, (TILE, TILE))])
        pixels = np.concatenate(known).astype(float)
        for band, figures in enumerate(dataset.statistics):
            assert figures["mean"] == pytest.approx(pixels[:, band].mean())
            assert figures["std"] == pytest.approx(pixels[:, band].std())

    def test_unknown_ground_is_black_as_well(self, tmp_path, ground, write_roofs):
        area = write_roofs([shapely.box(0.2, 0.2, 55.2, 191.8)], "area.gpkg")
        dataset = labelled(tmp_path / "chips", ground, blacken_around=True, area=area, rotation=0.0)
        rows = rows_of(dataset)
        assert {row["id"] for row in rows.values()} == {"1", "2"}
        for chip in dataset.chips:
            to_pixels = to_source(ground[0], dataset.folder / "images" / f"{chip.name}.tif")
            shown = SHAPES[int(rows[chip.name]["id"]) - 1].intersection(shapely.box(0, 0, 55.2, 192))
            truth = held(shown, to_pixels, (TILE, TILE))
            np.testing.assert_array_equal(dataset.read_tile_mask(chip), truth)
            np.testing.assert_array_equal((dataset.read_image(chip) > 0).any(axis=-1), truth)

    @pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
    def test_any_type_and_nodata(self, tmp_path, write_image, write_roofs, dtype):
        array = np.full((96, 96, 4), 700, dtype)
        nodata = np.nan if dtype == "float32" else 9
        array[:40] = nodata
        image = write_image(array, nodata=nodata)
        roof = turned(shapely.box(30, 30, 60, 60))
        dataset = labelled(
            tmp_path / "chips", (image, write_roofs([roof])), blacken_around=True, class_field=None, rotation=0.0
        )
        (chip,) = dataset.chips
        found, mask = dataset.read_image(chip), dataset.read_tile_mask(chip)
        assert found.dtype == dtype
        assert (found[mask] == 700).all() and (found[~mask] == 0).all()
        to_pixels = to_source(image, dataset.folder / "images" / f"{chip.name}.tif")
        below = shapely.box(0, 40, 96, 96)
        np.testing.assert_array_equal(mask, held(roof.intersection(below), to_pixels, (TILE, TILE)))


class TestCropped:
    def test_the_fewest_pixels_that_hold_the_building(self, tmp_path, ground):
        dataset = labelled(tmp_path / "chips", ground, crop_mode="bounding-box")
        rows, sizes = rows_of(dataset), set()
        for chip in dataset.chips:
            with rasterio.open(dataset.folder / "images" / f"{chip.name}.tif") as file:
                size, back = (file.width, file.height), ~to_source(ground[0], file.name)
            sizes.add(size)
            shape = SHAPES[int(rows[chip.name]["id"]) - 1]
            moved = shapely.affinity.affine_transform(shape, [back.a, back.b, back.d, back.e, back.c, back.f])
            left, top, right, bottom = moved.intersection(shapely.box(0, 0, *size)).bounds
            assert 0 <= left < 1 and 0 <= top < 1
            assert 0 <= size[0] - right < 1 and 0 <= size[1] - bottom < 1
            # Nothing of it was cut off but what a chip of the full size does not hold.
            if max(size) < TILE:
                assert float(rows[chip.name]["share"]) == 1.0
                np.testing.assert_allclose(moved.bounds, (left, top, right, bottom), atol=1e-6)
            (box,) = dataset.read_boxes(chip).corners
            # The text of a box has two decimals.
            np.testing.assert_allclose(box, (left, top, right, bottom), atol=0.006)
        assert max(max(size) for size in sizes) == TILE and len(sizes) > 20

    def test_a_building_larger_than_a_chip_is_cut_at_the_chip(self, tmp_path, ground):
        dataset = labelled(tmp_path / "chips", ground, crop_mode="bounding-box", rotation=0.0)
        rows = rows_of(dataset)
        (long,) = [chip for chip in dataset.chips if rows[chip.name]["id"] == "6"]
        height, width = dataset.read_image(long).shape[:2]
        assert width == TILE and 20 < height < 30
        assert float(rows[long.name]["share"]) == pytest.approx(TILE / 120, abs=0.01)

    @pytest.mark.parametrize("image_format", ["png", "jpeg"])
    def test_in_other_image_formats(self, tmp_path, ground, image_format):
        plain = labelled(tmp_path / "plain", ground, blacken_around=True, crop_mode="bounding-box")
        dataset = labelled(
            tmp_path / "chips", ground, blacken_around=True, crop_mode="bounding-box", image_format=image_format
        )
        for one, other in zip(plain.chips, dataset.chips, strict=True):
            image, expected = dataset.read_image(other), plain.read_image(one)
            assert image.shape == expected.shape
            if image_format == "png":
                np.testing.assert_array_equal(image, expected)
            np.testing.assert_array_equal(dataset.read_tile_mask(other), plain.read_tile_mask(one))


@given(seed=st.integers(0, 2**32 - 1), blacken=st.booleans(), crop=st.booleans(), unknown=st.booleans())
def test_any_object_of_any_chip_alone(seed, blacken, crop, unknown):
    rng = np.random.default_rng(seed)
    polygons = houses(rng, 6)
    ignored = rng.random((SIZE[1], SIZE[0])) < 0.2 if unknown else None
    ids = sorted((rng.permutation(900)[: len(polygons)] + 1).tolist())
    chip = chip_of(polygons, [4 if number % 2 else 1 for number in ids], ids=ids, unknown=ignored)
    assert shown_alone(chip, 1000, blacken=blacken, crop=crop) is None
    for one in chip.objects:
        alone = shown_alone(chip, one.id, blacken=blacken, crop=crop)
        left, top = (round(value) for value in ~chip.transform @ alone.transform @ (0, 0))
        height, width = alone.label.shape
        part = slice(top, top + height), slice(left, left + width)
        mask = chip.instances[part] == one.id
        assert mask.sum() == (chip.instances == one.id).sum()
        np.testing.assert_array_equal(alone.instances, mask * one.id)
        np.testing.assert_array_equal(alone.label == 255, chip.label[part] == 255)
        np.testing.assert_array_equal(alone.label[alone.label != 255], (mask * one.value)[alone.label != 255])
        np.testing.assert_array_equal(alone.image, chip.image[part] * (mask | (not blacken))[..., None])
        (shown,) = alone.objects
        assert (shown.id, shown.value, shown.name, shown.share) == (one.id, one.value, one.name, one.share)
        assert shapely.affinity.translate(shown.polygon, left, top).equals_exact(one.polygon, 1e-9)
        assert (width, height) == SIZE if not crop else True


class TestSideFilesAndReading:
    @pytest.mark.parametrize(
        ("choices", "told"),
        [
            ({}, (False, "Fixed_Size")),
            ({"blacken_around": True}, (True, "Fixed_Size")),
            ({"crop_mode": "bounding-box"}, (False, "Bounding_Box")),
        ],
    )
    def test_the_model_definition_says_what_was_done(self, tmp_path, choices, told):
        chips = [chip for chip in some_chips() if chip.objects]
        folder = export(tmp_path / "d", "labeled-tiles", chips, choices=choices)
        definition = json.loads((folder / "esri_model_definition.emd").read_text())
        assert (definition["BlackenAroundFeature"], definition["CropTileMode"]) == told
        # The most that a chip has, in either mode.
        assert (definition["ImageWidth"], definition["ImageHeight"]) == SIZE

    def test_chips_of_mixed_sizes_open_also_as_those_of_arcgis(self, tmp_path, ground):
        ours = labelled(tmp_path / "chips", ground, crop_mode="bounding-box", blacken_around=True)
        assert ours.size == (TILE, TILE) and "80 x 80 pixels at most" in " ".join(ours.notes)
        with pytest.raises(InvalidParameterError, match="no classes of pixels; it holds boxes of objects, one class"):
            ours.read(ours.chips[0])
        shutil.copytree(ours.folder, tmp_path / "foreign")
        (tmp_path / "foreign" / "dataset.json").unlink()
        theirs = open_dataset(tmp_path / "foreign")
        assert "differ in size" in " ".join(theirs.notes)
        assert theirs.size == tuple(max(ours.read_image(chip).shape[axis] for chip in ours.chips) for axis in (1, 0))
        for one, other in zip(ours.chips, theirs.chips, strict=True):
            np.testing.assert_array_equal(theirs.read_image(other), ours.read_image(one))
            assert theirs.read_tile_class(other) == ours.read_tile_class(one)
            assert theirs.read_tile_mask(other) is None

    def test_chips_that_do_not_fit_are_named(self, tmp_path, ground):
        dataset = labelled(tmp_path / "chips", ground, crop_mode="bounding-box", rotation=0.0)
        first, second = (dataset.folder / "images" / f"{chip.name}.tif" for chip in dataset.chips[:2])
        kept = first.read_bytes()
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "width": 20, "height": 20}
        for changes in ({"width": 20}, {"count": 3, "width": TILE + 1}):
            with rasterio.open(first, "w", **profile | changes):
                pass
            with pytest.raises(InputUnreadableError, match=r"1 of 7 images .* at most 80 x 80 pixels, 3 bands"):
                open_dataset(dataset.folder)
        first.write_bytes(second.read_bytes())
        with pytest.raises(InputUnreadableError, match=r"1 of 7 labels .* do not fit"):
            open_dataset(dataset.folder)
        first.write_bytes(kept)
        next((dataset.folder / "labels" / "court").glob("*.tif")).unlink()
        with pytest.raises(InputUnreadableError, match="1 of 1 files are missing"):
            open_dataset(dataset.folder)

    def test_chips_of_one_size_may_not_be_mixed(self, tmp_path, ground):
        dataset = labelled(tmp_path / "chips", ground, rotation=0.0)
        first = dataset.folder / "images" / f"{dataset.chips[0].name}.tif"
        with rasterio.open(first, "w", driver="GTiff", count=3, dtype="uint8", width=20, height=20):
            pass
        with pytest.raises(InputUnreadableError, match=r"1 of 7 images .* are not 80 x 80 pixels"):
            open_dataset(dataset.folder)

    def test_one_object_and_no_more(self, tmp_path):
        (chip, *_) = some_chips()
        (tmp_path / "d").mkdir()
        known = facts("labeled-tiles")
        writer = make_writer(tmp_path / "d", known)
        for objects in (chip.objects, ()):
            with pytest.raises(ValueError, match=f"has one object, not {len(objects)}"):
                written(writer, replace(chip, objects=objects), known)


def test_a_stopped_export_ends_like_one_that_was_not(tmp_path, ground):
    options = {"blacken_around": True, "crop_mode": "bounding-box", "tile_size": 40}
    labelled(tmp_path / "whole", ground, **options)

    cancelled = threading.Event()

    class Stopping(SilentSink):
        def progress(self, fraction, stage, eta_s):
            if fraction >= 0.5:
                cancelled.set()

    with pytest.raises(CancelledError):
        labelled(tmp_path / "chips", ground, progress=Progress(Stopping(), cancelled), **options)
    assert not (tmp_path / "chips").exists() and (tmp_path / "chips.partial").exists()
    sink = SilentSink()
    labelled(tmp_path / "chips", ground, progress=Progress(sink), **options)
    assert any("Going on" in line for line in sink.logs)
    one, other = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "whole", tmp_path / "chips")
    )
    assert one == other


@pytest.mark.parametrize("given_option", [{"blacken_around": True}, {"crop_mode": "bounding-box"}])
@pytest.mark.parametrize("form", ["classified-tiles", "export-tiles", "coco"])
def test_other_formats_refuse_what_they_cannot_do(given_option, form):
    with pytest.raises(InvalidParameterError, match=f"needs the format labeled-tiles.*FORMAT is {form}") as told:
        tasks.ExportChips(input="a", footprints="b", output="c", format=form, **given_option)
    assert "labeled-tiles" in told.value.hint


@pytest.mark.parametrize("name, value", [("stride", 32), ("stride_y", 32), ("negative_ratio", 0.5)])
def test_options_of_a_grid_mean_nothing_for_chips_of_buildings(name, value):
    with pytest.raises(InvalidParameterError, match=f"{name.upper()} means nothing for labeled-tiles"):
        tasks.ExportChips(input="a.tif", footprints="b.gpkg", output="c", format="labeled-tiles", **{name: value})
