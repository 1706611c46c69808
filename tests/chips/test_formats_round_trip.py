"""Written in a format, read back, rasterized again: the same labels as by rasterizing the polygons directly."""

import json

import numpy as np
import pytest
import rasterio
import shapely
from drawn_chips import CLASSES, SIZE, TURNS, chip_of, export, houses, some_chips
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from building_segmenter.chips.chip import ChipClass, ImageFacts
from building_segmenter.chips.dataset import open_dataset
from building_segmenter.chips.formats import FORMATS, make_writer
from building_segmenter.errors import BandsError, InvalidParameterError

WITH_CLASSES = ("classified-tiles", "rcnn-masks", "coco", "yolo", "hdf5")
WITH_INSTANCES = ("rcnn-masks", "coco", "yolo", "hdf5")
WITH_BOXES = (*WITH_INSTANCES, "pascal-voc", "kitti")


def entry_of(dataset, chip):
    return next(entry for entry in dataset.chips if entry.name == chip.name)


def identities(found):
    """Put footprints' ids where instances are."""
    return np.concatenate([[0], found.ids])[found.numbers]


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("name", WITH_CLASSES)
def test_classes_contacts_and_unknown_ground_come_back(tmp_path, name, turn):
    chips = some_chips(transform=TURNS[turn])
    dataset = open_dataset(export(tmp_path / "d", name, chips))
    assert "classes" in dataset.labels
    for chip in chips:
        image, label, contact = dataset.read(entry_of(dataset, chip))
        np.testing.assert_array_equal(image, chip.image)
        np.testing.assert_array_equal(label, chip.label)
        np.testing.assert_array_equal(contact, chip.contact)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("name", WITH_INSTANCES)
def test_instances_keep_their_identity_and_class(tmp_path, name, turn):
    chips = some_chips(transform=TURNS[turn])
    dataset = open_dataset(export(tmp_path / "d", name, chips))
    for chip in chips:
        found = dataset.read_instances(entry_of(dataset, chip))
        np.testing.assert_array_equal(identities(found), chip.instances)
        assert dict(zip(found.ids.tolist(), found.values.tolist(), strict=True)) == {
            one.id: one.value for one in chip.objects
        }
        masks = found.masks()
        assert masks.shape == (len(chip.objects), SIZE[1], SIZE[0])
        for mask, footprint in zip(masks, found.ids, strict=True):
            np.testing.assert_array_equal(mask, chip.instances == footprint)


@pytest.mark.parametrize("name", WITH_BOXES)
def test_boxes_hold_their_objects(tmp_path, name):
    chips = some_chips()
    dataset = open_dataset(export(tmp_path / "d", name, chips))
    for chip in chips:
        found = dataset.read_boxes(entry_of(dataset, chip))
        assert sorted(found.ids.tolist()) == [one.id for one in chip.objects]
        for corners, footprint, value in zip(found.corners, found.ids, found.values, strict=True):
            one = next(one for one in chip.objects if one.id == footprint)
            assert value == one.value
            if name in WITH_INSTANCES:
                rows, columns = np.nonzero(chip.instances == footprint)
                assert corners.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            else:
                np.testing.assert_allclose(corners, one.polygon.bounds, atol=0.005 + 1e-9)


def test_the_object_of_a_labelled_tile(tmp_path):
    chips = [chip for chip in some_chips() if chip.objects]
    dataset = open_dataset(export(tmp_path / "d", "labeled-tiles", chips))
    middle = shapely.Point(SIZE[0] / 2, SIZE[1] / 2)
    for chip in chips:
        expected = min(chip.objects, key=lambda one: one.polygon.distance(middle))
        entry = entry_of(dataset, chip)
        assert dataset.read_tile_class(entry) == expected.value
        boxes = dataset.read_boxes(entry)
        assert boxes.ids.tolist() == [expected.id]
        folder = {1: "house", 4: "shed_&_co"}[expected.value]
        with rasterio.open(tmp_path / "d" / "labels" / folder / f"{chip.name}.tif") as tile:
            np.testing.assert_array_equal(tile.read(1), chip.instances == expected.id)
        np.testing.assert_array_equal(dataset.read_tile_mask(entry), chip.instances == expected.id)


@pytest.mark.parametrize("name", FORMATS)
def test_images_come_back_whatever_is_labelled(tmp_path, name):
    chips = [chip for chip in some_chips() if chip.objects]
    dataset = open_dataset(export(tmp_path / "d", name, chips))
    assert dataset.format == name
    assert dataset.size == SIZE
    assert dataset.tile_size == 80
    assert [entry.split for entry in dataset.chips] == [chip.split for chip in chips]
    for chip in chips:
        np.testing.assert_array_equal(dataset.read_image(entry_of(dataset, chip)), chip.image)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 9), name=st.sampled_from(WITH_CLASSES))
def test_random_scenes(tmp_path_factory, seed, count, name):
    rng = np.random.default_rng(seed)
    chips = []
    for number, turn in enumerate(TURNS):
        polygons = houses(rng, count)
        values = rng.choice([1, 4], len(polygons)).tolist()
        unknown = rng.random((SIZE[1], SIZE[0])) < 0.3 if rng.random() < 0.5 else None
        ids = rng.permutation(5000)[: len(polygons)] + 1
        chips.append(
            chip_of(
                polygons, values, ids=sorted(ids.tolist()), number=number, transform=TURNS[turn], unknown=unknown,
                split="validation" if number == 2 else "train",
            )
        )  # fmt: skip
    dataset = open_dataset(export(tmp_path_factory.mktemp("scene") / "d", name, chips))
    for chip, entry in zip(chips, dataset.chips, strict=True):
        image, label, contact = dataset.read(entry)
        np.testing.assert_array_equal(image, chip.image)
        np.testing.assert_array_equal(label, chip.label)
        np.testing.assert_array_equal(contact, chip.contact)
        if "instances" in dataset.labels:
            np.testing.assert_array_equal(identities(dataset.read_instances(entry)), chip.instances)


@pytest.mark.parametrize("name", WITH_INSTANCES)
def test_the_later_of_overlapping_footprints_is_seen(tmp_path, name):
    chip = chip_of([shapely.box(5, 5, 50, 50), shapely.box(30.2, 30.2, 70, 70)], [1, 1], ids=[7, 9])
    dataset = open_dataset(export(tmp_path / "d", name, [chip]))
    found = dataset.read_instances(dataset.chips[0])
    np.testing.assert_array_equal(identities(found), chip.instances)
    assert identities(found)[40, 40] == 9


@pytest.mark.parametrize("name", WITH_INSTANCES)
def test_corners_on_pixel_centres_do_not_move_a_pixel(tmp_path, name):
    ring = shapely.box(10.5, 10.5, 60.5, 50.5).difference(shapely.box(20.5, 20.5, 30.5, 30.5))
    chips = [chip_of([ring, shapely.box(70, 0, 96, 80)], [1, 4])]
    dataset = open_dataset(export(tmp_path / "d", name, chips))
    np.testing.assert_array_equal(identities(dataset.read_instances(dataset.chips[0])), chips[0].instances)


@pytest.mark.parametrize("name", WITH_INSTANCES)
def test_hundreds_of_objects_on_a_chip(tmp_path, name):
    polygons = [shapely.box(x, y, x + 3, y + 3) for x in range(0, 96, 4) for y in range(0, 80, 4)]
    chip = chip_of(polygons, [1] * len(polygons))
    dataset = open_dataset(export(tmp_path / "d", name, [chip]))
    found = dataset.read_instances(dataset.chips[0])
    assert len(found.ids) == len(polygons) == 480
    np.testing.assert_array_equal(identities(found), chip.instances)


def test_every_object_as_run_lengths_by_choice(tmp_path):
    chips = some_chips()
    folder = export(tmp_path / "d", "coco", chips, choices={"segmentation": "run-lengths"})
    for path in (folder / "annotations").iterdir():
        annotations = json.loads(path.read_text())["annotations"]
        assert annotations
        assert all(set(one["segmentation"]) == {"size", "counts"} for one in annotations)
    dataset = open_dataset(folder)
    for chip in chips:
        np.testing.assert_array_equal(identities(dataset.read_instances(entry_of(dataset, chip))), chip.instances)


@pytest.mark.parametrize("name", ["classified-tiles", "rcnn-masks", "hdf5"])
def test_class_values_above_255(tmp_path, name):
    classes = (ChipClass(300, "far", (1, 2, 3)), ChipClass(65535, "farthest", (1, 2, 3)))
    chip = chip_of([shapely.box(5, 5, 50, 50), shapely.box(60, 5, 90, 50)], [300, 65535], classes=classes)
    dataset = open_dataset(export(tmp_path / "d", name, [chip], classes=classes))
    np.testing.assert_array_equal(dataset.read(dataset.chips[0])[1], chip.label)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("name", ["classified-tiles", "rcnn-masks", "hdf5"])
def test_any_number_of_bands_and_type(tmp_path, name, dtype):
    values = np.random.default_rng(0).integers(0, 250, (SIZE[1], SIZE[0], 7)).astype(dtype)
    image = ImageFacts(dtype, tuple(f"Band_{i}" for i in range(7)), 0)
    chip = chip_of(houses(np.random.default_rng(1), 3), [1, 1, 4], image=values)
    dataset = open_dataset(export(tmp_path / "d", name, [chip], image=image))
    assert (dataset.bands, dataset.dtype) == (7, dtype)
    back = dataset.read_image(dataset.chips[0])
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, values)
    np.testing.assert_allclose([band["mean"] for band in dataset.statistics], values.mean(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_allclose([band["std"] for band in dataset.statistics], values.std(axis=(0, 1)), rtol=1e-5)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("image_format", ["png", "jpeg"])
def test_pictures_that_cannot_hold_an_image_say_so(tmp_path, name, image_format):
    from drawn_chips import facts

    for image in (ImageFacts("uint8", ("a", "b", "c", "d"), None), ImageFacts("uint16", ("a",), None)):
        with pytest.raises(BandsError, match=rf"{image_format.upper()} chips hold 1 or 3 bands of type uint8"):
            make_writer(tmp_path, facts(name, image_format=image_format, image=image))


@pytest.mark.parametrize("name", ["classified-tiles", "rcnn-masks", "coco", "yolo"])
@pytest.mark.parametrize(("image_format", "ending"), [("png", ".png"), ("jpeg", ".jpg")])
def test_labels_of_pictures_are_exact(tmp_path, name, image_format, ending):
    chips = some_chips()
    dataset = open_dataset(export(tmp_path / "d", name, chips, image_format=image_format))
    for chip in chips:
        image, label, _ = dataset.read(entry_of(dataset, chip))
        np.testing.assert_array_equal(label, chip.label)
        if image_format == "png":
            np.testing.assert_array_equal(image, chip.image)
    path = next((tmp_path / "d" / "images").rglob(f"*{ending}"))
    with rasterio.open(path) as file:
        # CRS from the side file, place from the world file.
        assert file.crs.to_epsg() == 2240
        assert file.transform.a == pytest.approx(0.5)


@pytest.mark.parametrize("turn", TURNS)
def test_chips_lie_where_they_were_cut(tmp_path, turn):
    chips = some_chips(transform=TURNS[turn])
    export(tmp_path / "d", "classified-tiles", chips)
    for chip in chips:
        for part in ("images", "labels", "contacts"):
            path = tmp_path / "d" / part / f"{chip.name}.tif"
            with rasterio.open(path) as file:
                assert file.crs.to_epsg() == 2240
                np.testing.assert_allclose(file.transform[:6], chip.transform[:6], rtol=0, atol=1e-9)
            if part == "contacts":
                continue
            # a, d, b, e and the centre of the first pixel.
            lines = [float(line) for line in path.with_suffix(".tfw").read_text().split()]
            a, b, _, d, e, _ = chip.transform[:6]
            np.testing.assert_allclose(lines, [a, d, b, e, *(chip.transform @ (0.5, 0.5))], rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["classified-tiles", "export-tiles"])
def test_second_images(tmp_path, name):
    second = ImageFacts("float32", ("height",), None)
    heights = np.random.default_rng(3).normal(200, 5, (SIZE[1], SIZE[0], 1)).astype(np.float32)
    chip = chip_of([shapely.box(5, 5, 50, 50)], [1], image2=heights)
    export(tmp_path / "d", name, [chip], image2=second)
    with rasterio.open(tmp_path / "d" / "images2" / f"{chip.name}.tif") as file:
        np.testing.assert_array_equal(file.read(1), heights[..., 0])
    line = (tmp_path / "d" / "map.txt").read_text()
    assert line.startswith("images\\000000000.tif images2\\000000000.tif ")
    with pytest.raises(InvalidParameterError, match="no place for a second raster"):
        export(tmp_path / "e", "coco", [chip], image2=second)


def test_a_class_on_no_chip_is_listed(tmp_path):
    chip = chip_of([shapely.box(5, 5, 50, 50)], [1])
    for name in WITH_CLASSES:
        dataset = open_dataset(export(tmp_path / name, name, [chip]))
        assert [one["value"] for one in dataset.classes] == [one.value for one in CLASSES]
