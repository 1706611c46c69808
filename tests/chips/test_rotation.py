"""Turned chips: their labels, image and georeference must belong together."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_spec = importlib.util.spec_from_file_location("chip_scenes", Path(__file__).with_name("chip_scenes.py"))
scenes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scenes)


def placed(image):
    with rasterio.open(image) as file:
        return file.transform


@pytest.mark.parametrize(
    ("step", "orientation"),
    [(90, "north-up"), (72, "north-up"), (90, "rotated"), (72, "rotated"), (72, "south-up"), (90, "non-square")],
)
def test_labels_are_the_turned_polygons(tmp_path, write_image, write_roofs, flat_scene, step, orientation):
    image = write_image(flat_scene.image, orientation=orientation)
    upright = placed(write_image(flat_scene.image, "upright.tif"))
    dataset, _ = scenes.exported(tmp_path / "chips", image, write_roofs(flat_scene.roofs), rotation=step)
    angles = set()
    for path in scenes.files(dataset, "labels"):
        label, transform, _ = scenes.read(path)
        truth = scenes.truth_of(path, flat_scene.roofs, upright)
        assert scenes.differing(label[0], truth) < 2e-3
        angles.add(round(np.degrees(np.arctan2(transform.d, transform.a))))
    assert len(angles) == len(range(0, 360, step))


@pytest.mark.parametrize("step", [90, 30])
def test_the_image_lies_under_its_labels(tmp_path, write_image, write_roofs, flat_scene, step):
    dataset, _ = scenes.exported(
        tmp_path / "chips", write_image(flat_scene.image), write_roofs(flat_scene.roofs), rotation=step
    )
    for image_path, label_path in zip(scenes.files(dataset, "images"), scenes.files(dataset, "labels"), strict=True):
        (image, image_transform, _), (label, transform, _) = scenes.read(image_path), scenes.read(label_path)
        assert image_transform == transform
        # A pixel is brighter than the middle of roof and ground where its centre lies on a roof.
        known = label[0] != 255
        wrong = (image[0] > 140) != (label[0] == 1)
        assert wrong[known].mean() < 0.01


def test_quarter_turns_keep_every_pixel(tmp_path, write_image, write_roofs, flat_scene):
    rng = np.random.default_rng(0)
    noise = rng.integers(1, 255, (192, 288, 3)).astype(np.uint8)
    dataset, _ = scenes.exported(tmp_path / "chips", write_image(noise), write_roofs(flat_scene.roofs), rotation=90)
    to_image = ~placed(write_image(noise, "again.tif"))
    counts = {}
    for path in scenes.files(dataset, "images"):
        chip, transform, _ = scenes.read(path)
        to_pixels = to_image @ transform
        rows, columns = np.mgrid[0:96, 0:96] + 0.5
        x, y = to_pixels @ (columns, rows)
        np.testing.assert_array_equal(np.moveaxis(chip, 0, -1), noise[y.astype(int), x.astype(int)])
        turn = round(np.degrees(np.arctan2(to_pixels.d, to_pixels.a))) % 360
        counts[turn] = counts.get(turn, 0) + 1
    assert counts == {0: 6, 90: 6, 180: 6, 270: 6}


def test_corners_without_image_are_unknown_and_blank(tmp_path, write_image, write_roofs):
    white = np.full((96, 96, 3), 200, np.uint8)
    roof = shapely.box(-100, -100, 300, 300)
    dataset, _ = scenes.exported(tmp_path / "chips", write_image(white), write_roofs([roof]), rotation=45)
    turned = next(chip for chip in dataset.chips if chip.name == "000000001")
    image, label, contact = dataset.read(turned)
    assert label[0, 0] == 255 and label[48, 48] == 1
    assert (image[label == 255] == 0).all()
    assert (image[label == 1] == 200).all()
    octagon = 2 * (2**0.5 - 1)
    assert (label == 1).mean() == pytest.approx(octagon, abs=0.05)
    assert not contact.any()


def test_scattered_holes_do_not_grow(tmp_path, write_image, write_roofs):
    ground = np.full((192, 192, 3), 200, np.uint8)
    holes = np.random.default_rng(0).random((192, 192)) < 0.01
    ground[holes] = 0
    roof = shapely.box(-100, -100, 300, 300)
    dataset, _ = scenes.exported(
        tmp_path / "chips", write_image(ground, nodata=0), write_roofs([roof]), tile_size=128, rotation=30
    )
    middle = [scenes.read(path)[0][0][40:88, 40:88] for path in scenes.files(dataset, "labels")]
    assert np.mean([(label == 255).mean() for label in middle]) == pytest.approx(0.01, abs=0.006)
    for path, label in zip(scenes.files(dataset, "images"), scenes.files(dataset, "labels"), strict=True):
        known = scenes.read(label)[0][0] == 1
        assert (scenes.read(path)[0][:, known] == 200).all()


def test_chips_of_other_height_turn_too(tmp_path, write_image, write_roofs, flat_scene):
    upright = placed(write_image(flat_scene.image, "upright.tif"))
    dataset, _ = scenes.exported(
        tmp_path / "chips", write_image(flat_scene.image), write_roofs(flat_scene.roofs), tile_size=100, tile_size_y=61,
        rotation=90,
    )  # fmt: skip
    for path in scenes.files(dataset, "labels"):
        label, _, _ = scenes.read(path)
        assert label.shape == (1, 61, 100)
        assert scenes.differing(label[0], scenes.truth_of(path, flat_scene.roofs, upright)) < 2e-3


def test_turned_validation_chips_show_no_training_ground(tmp_path, write_image, write_roofs, flat_scene):
    dataset, _ = scenes.exported(
        tmp_path / "chips", write_image(flat_scene.image), write_roofs(flat_scene.roofs), tile_size=60, stride=50,
        rotation=45, validation=0.3,
    )  # fmt: skip
    grounds = {"train": [], "validation": []}
    for chip, path in zip(dataset.chips, scenes.files(dataset, "images"), strict=True):
        _, transform, _ = scenes.read(path)
        corners = [transform @ corner for corner in ((0, 0), (60, 0), (60, 60), (0, 60))]
        grounds[chip.split].append(shapely.Polygon(corners).buffer(-1e-6))
    assert min(map(len, grounds.values())) > 5
    tree = shapely.STRtree(grounds["train"])
    assert len(tree.query(np.array(grounds["validation"]), predicate="intersects")[0]) == 0


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.floats(0, 190), st.floats(0, 140), st.floats(3, 60), st.floats(3, 60), st.floats(0, 90)),
        min_size=1, max_size=6,
    ),
    st.sampled_from([0.0, 30.0, 77.0, 90.0]), st.sampled_from([49, 64]), st.sampled_from([None, 32]),
)  # fmt: skip
def test_any_scene_at_any_angle(tmp_path_factory, write_image, write_roofs, houses, step, tile, stride):
    folder = tmp_path_factory.mktemp("scene")
    roofs = [shapely.affinity.rotate(shapely.box(x, y, x + w, y + h), angle) for x, y, w, h, angle in houses]
    # A wall along a row of pixel centres would leave open to whom they belong.
    roofs = [shapely.affinity.translate(roof, 0.1237, 0.2711) for roof in roofs]
    blank = np.zeros((150, 200, 1), np.uint8)
    image, layer = write_image(blank), write_roofs(roofs)
    upright = placed(image)
    dataset, _ = scenes.exported(folder / "chips", image, layer, tile_size=tile, stride=stride, rotation=step)
    centres_on_edges = 4
    for path in scenes.files(dataset, "labels"):
        label, transform, _ = scenes.read(path)
        truth = scenes.truth_of(path, roofs, upright)
        known = label[0] != 255
        assert ((label[0] != truth) & known).sum() <= centres_on_edges
        assert Affine(*transform[:6]).determinant == pytest.approx(upright.determinant)


@pytest.mark.parametrize("angle", [30.0, 45.0, 200.5])
def test_resampling_is_sharp_and_lies_right(angle):
    from building_segmenter.chips.frames import Frame
    from building_segmenter.chips.turning import turned_image

    def wave(x, y):
        return 128 + 100 * np.sin(x / 3) * np.cos(y / 4)

    frame = Frame(30, 31, 96, 80, angle)
    left, top, width, height = frame.window
    y, x = np.mgrid[top : top + height, left : left + width] + 0.5
    piece, valid = wave(x, y)[np.newaxis].astype(np.float32), np.ones((height, width), bool)
    made, whole = turned_image(piece, valid, (left, top), frame, 0)
    rows, columns = np.mgrid[0:80, 0:96] + 0.5
    assert whole.all()
    np.testing.assert_allclose(made[0], wave(*(frame.to_grid @ (columns, rows))), atol=0.2)
