"""What Mask R-CNN learns from drawn chips: objects by number, examples, and batches that vary image and masks alike."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from building_segmenter.chips.dataset import open_dataset
from building_segmenter.errors import InvalidParameterError
from building_segmenter.networks.mask_rcnn.boxes import anchor_boxes
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.progress import Progress
from building_segmenter.training.datasets import join_datasets
from building_segmenter.training.targets import targets_of

pytest.importorskip("tensorflow")

from building_segmenter.training.instances.batches import draw_variation, example_batches
from building_segmenter.training.instances.samples import (
    UNKNOWN,
    ObjectStore,
    example_of,
    find_objects,
    objects_that_fit,
    unknown_boxes,
)

CONFIG = Config(
    BACKBONE="mobilenetv2",
    IMAGE_RESIZE_MODE="pad64",
    MAX_GT_INSTANCES=12,
    NUM_CLASSES=3,
    RPN_ANCHOR_SCALES=(16, 32, 64, 128, 256),
)


@pytest.fixture(scope="module")
def squares():
    spec = importlib.util.spec_from_file_location("drawn_squares", Path(__file__).with_name("drawn_squares.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def opened(*folders, classes="merge", gsd=None):
    data = join_datasets([open_dataset(folder) for folder in folders], gsd)
    targets, _ = targets_of(data, classes)
    return data, targets, ObjectStore(data, targets)


@pytest.mark.parametrize("name", ["rcnn-masks", "coco", "yolo", "hdf5"])
def test_every_format_gives_the_same_objects(squares, tmp_path, name):
    data, _, store = opened(squares.draw_squares(tmp_path / name, name, sheds=True, unknown=10))
    read = store.read(data.validation[0])
    first, _, reference = opened(squares.draw_squares(tmp_path / "own", "rcnn-masks", sheds=True, unknown=10))
    wanted = reference.read(first.validation[0])
    assert np.array_equal(read.numbers > 0, wanted.numbers > 0) and (read.numbers[:, -10:] == UNKNOWN).all()
    assert (read.image == wanted.image).all() and (read.class_ids == 1).all()
    masks, class_ids = read.masks()
    assert len(masks) == len(class_ids) == len(np.unique(wanted.numbers[wanted.numbers > 0]))
    assert not masks[:, :, -10:].any()


def test_classes_are_numbered_and_counted(squares, tmp_path):
    data, targets, store = opened(squares.draw_squares(tmp_path / "both", sheds=True), classes="separate")
    shown, most = find_objects(data, store, len(targets.shown), Progress())
    assert targets.shown == ("house", "shed & co") and 3 <= most <= 4
    assert shown[0].shape == (9, 2) and shown[0].any(axis=0).all() and not shown[0][0].any()
    found = [store.read(chip) for chip in data.validation]
    for read in found:
        for mask, class_id in zip(*read.masks(), strict=True):
            assert (read.image[mask].mean() > 170) == (class_id == 1)


def test_chips_of_another_ground_pixel_are_resampled_with_their_masks(squares, tmp_path):
    folder = squares.draw_squares(tmp_path / "finer")
    data, _, store = opened(folder, gsd=0.1524 * 1.5)
    read = store.read(data.validation[0])
    assert read.image.shape == (64, 64, 3) and read.numbers.shape == (64, 64)
    assert read.image[read.numbers > 0].mean() > 170 > 80 > read.image[read.numbers == 0].mean()


def test_datasets_without_masks_are_refused(squares, tmp_path):
    folder = squares.draw_squares(tmp_path / "tiles", "classified-tiles")
    dataset = open_dataset(folder)
    if "instances" in dataset.labels:
        pytest.skip("classified-tiles has objects")
    with pytest.raises(InvalidParameterError, match="masks of objects"):
        dataset.require("instances")


def test_unknown_ground_comes_in_cells_that_hold_all_of_it():
    numbers = np.zeros((128, 192), np.int32)
    numbers[:, 100:] = UNKNOWN
    numbers[40:50, 110:120] = 1
    boxes = unknown_boxes(numbers)
    assert boxes.tolist() == [[0, 100, 64, 128], [0, 128, 64, 192], [64, 100, 128, 128], [64, 128, 128, 192]]
    assert unknown_boxes(np.ones((8, 8), np.int32)).shape == (0, 4)
    assert objects_that_fit(300, 512) == 384 and objects_that_fit(0, 64) == 32


def test_an_example_has_objects_first_then_crowds_and_no_ground_where_nobody_knows():
    numbers = np.zeros((128, 128), np.int32)
    numbers[10:40, 20:60], numbers[60:100, 10:30], numbers[:, 100:] = 1, 3, UNKNOWN
    anchors = anchor_boxes(CONFIG, 128, 128)
    rng = np.random.default_rng(0)
    example = example_of(np.full((128, 128, 3), 9), numbers, np.array([1, 1, 2]), CONFIG, rng, anchors)
    assert example.class_ids.tolist() == [1, 2, -1, -1, *[0] * 8]
    assert example.boxes[:2].tolist() == [[10, 20, 40, 60], [60, 10, 100, 30]]
    assert example.masks[:2].all() and not example.masks[2:].any() and example.masks.shape == (12, 56, 56)
    assert example.image.dtype == np.float32 and (example.image == 9).all()
    ground = anchors[example.matches == -1]
    assert len(ground) and not (ground[:, 3] > 110).any()


def test_of_more_objects_than_fit_some_are_drawn_and_none_becomes_ground():
    numbers = np.zeros((128, 128), np.int32)
    for number in range(16):
        row, column = number // 4 * 32, number % 4 * 32
        numbers[row : row + 31, column : column + 31] = number + 1
    anchors = anchor_boxes(CONFIG, 128, 128)
    example = example_of(np.zeros((128, 128, 3)), numbers, np.ones(16, int), CONFIG, np.random.default_rng(0), anchors)
    assert (example.class_ids == 1).all() and len(np.unique(example.boxes, axis=0)) == 12


def batches(data, store, config, chips=None, **changed):
    options = {"crop": 64, "batch_size": 3, "vary": True, "seed": (1, 2)} | changed
    chips = list(data.train[0]) if chips is None else chips
    return list(example_batches(data, store, chips, config, ((1 / 127.5,) * 3, (-1.0,) * 3), **options))


def test_batches_hold_what_the_seed_draws(squares, tmp_path):
    data, _, store = opened(squares.draw_squares(tmp_path / "drawn"))
    first, again = (batches(data, store, CONFIG) for _ in range(2))
    other = batches(data, store, CONFIG, seed=(1, 3))
    assert [len(batch.image) for batch in first] == [3, 3, 3]
    assert [len(batch.image) for batch in batches(data, store, CONFIG, batch_size=4)] == [4, 4, 1]
    for one, two in zip(first, again, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(first[0].image, other[0].image)


def test_boxes_follow_what_the_image_shows(squares, tmp_path):
    data, _, store = opened(squares.draw_squares(tmp_path / "drawn"))
    compared = 0
    for batch in [*batches(data, store, CONFIG), *batches(data, store, CONFIG, seed=(3, 4))]:
        for image, boxes, class_ids in zip(batch.image, batch.boxes, batch.class_ids, strict=True):
            grey = image.mean(axis=-1)
            inside = [
                np.median(grey[y1:y2, x1:x2]) for y1, x1, y2, x2 in boxes[class_ids > 0] if min(y2 - y1, x2 - x1) > 8
            ]
            known = np.ones(grey.shape, bool)
            for y1, x1, y2, x2 in boxes[class_ids != 0]:
                known[max(y1 - 2, 0) : y2 + 2, max(x1 - 2, 0) : x2 + 2] = False
            if inside and known.sum() > 200:
                assert min(inside) > np.median(grey[known]), "a box lies on the ground"
                compared += 1
    assert compared >= 8


def test_chips_as_they_are_keep_their_pixels(squares, tmp_path):
    data, _, store = opened(squares.draw_squares(tmp_path / "drawn"))
    batch = batches(data, store, CONFIG, crop=96, vary=False)[0]
    read = store.read(data.train[0][0])
    assert np.array_equal(batch.image[0], read.image.astype(np.float32))
    masks, _ = store.read(data.train[0][1]).masks()
    assert (batch.class_ids[1] > 0).sum() == len(masks) and not (batch.class_ids[1] < 0).any()


def test_variations_are_flips_and_quarter_turns_of_many_sizes():
    rng = np.random.default_rng(5)
    drawn = [draw_variation(rng, (96, 96), 64, 3).transform for _ in range(200)]
    linear = np.array([[[t[0], t[1]], [t[3], t[4]]] for t in drawn])
    zooms = np.sqrt(np.abs(np.linalg.det(linear)))
    whole = np.abs(np.round(linear / zooms[:, None, None]))
    assert np.allclose(np.abs(linear / zooms[:, None, None]), whole, atol=1e-5)
    assert len({tuple(np.round(turn / zoom).ravel()) for turn, zoom in zip(linear, zooms, strict=True)}) == 8
    assert 1 / 1.6 <= zooms.min() < 0.7 and 1.5 < zooms.max() <= 1 / 0.6
