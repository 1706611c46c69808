"""A network that learns what another one says of chips."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from building_segmenter import tasks
from building_segmenter.chips.export import export_chips
from building_segmenter.progress import Progress
from tools.default_model.lessons import BATCH, Lessons, lessons_of, shares_of, softened
from tools.default_model.teaching import TAUGHT_THRESHOLD, disagreement, overlap

SIDE = 64


@pytest.fixture
def chips(tmp_path, flat_scene, write_image, write_roofs):
    """Chips of a site, a part of them for validation."""
    folder = tmp_path / "town_0"
    image, roofs = write_image(flat_scene.image), write_roofs(flat_scene.roofs)
    export_chips(tasks.ExportChips(image, roofs, str(folder), tile_size=SIDE, stride=32, validation=0.3), Progress())
    return folder


def drawn_lessons():
    """Lessons whose logits are the images themselves."""
    images = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)
    return Lessons(images, images.astype(np.float32), np.array([0.5, 0.2, 0.2, 0.1, 0.0]))


def test_what_is_said_turns_with_its_image():
    batches = list(drawn_lessons().batches(6, (1, 1)))
    assert len(batches) == 6
    for images, logits in batches:
        images, logits = images.numpy(), logits.numpy()
        assert images.shape == logits.shape == (BATCH, SIDE, SIDE, 3)
        np.testing.assert_array_equal(images[0], logits[0])
        for soft, sharp in zip(images[1:], logits[1:], strict=True):
            np.testing.assert_allclose(soft, softened(sharp), atol=1e-3)
            assert soft.std() < 0.8 * sharp.std()


def test_lessons_are_turned_to_all_sides_and_those_without_a_share_never_shown():
    lessons = drawn_lessons()
    firsts = {logits.numpy()[0].tobytes() for _, logits in lessons.batches(200, (2, 1))}
    assert len(firsts) == 4 * 8
    unseen = lessons.images[4].astype(np.float32)
    assert all(np.ascontiguousarray(np.rot90(unseen, turn)).tobytes() not in firsts for turn in range(4))


def test_equal_seeds_give_equal_lessons():
    one, same, other = (
        np.stack([images.numpy() for images, _ in drawn_lessons().batches(3, seed)])
        for seed in [(1, 2), (1, 2), (1, 3)]
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_sites_are_shown_equally_often_and_drawn_scenes_seldom():
    shares = shares_of(["north"] + ["centre"] * 3 + ["scene"] * 4)
    assert shares == pytest.approx([0.48, *[0.16] * 3, *[0.01] * 4])
    assert shares_of(["north", "centre"]) == pytest.approx([0.5, 0.5])
    assert shares_of(["scene", "scene"]) == pytest.approx([0.5, 0.5])


def test_softening_keeps_flat_ground_and_the_sum():
    flat = np.full((8, 9, 2), 7.0, np.float32)
    np.testing.assert_allclose(softened(flat), flat, rtol=1e-6)
    point = np.zeros((5, 5, 1), np.float32)
    point[2, 2] = 64.0
    assert softened(point).sum() == pytest.approx(64.0)
    assert softened(point)[2, 2, 0] == pytest.approx(36.0)


def test_lessons_are_what_the_teacher_says_from_eight_sides(chips, earlier, save_earlier):
    lessons = lessons_of([chips], save_earlier(earlier))
    assert lessons.images.shape[1:] == (SIDE, SIDE, 3)
    assert lessons.logits.shape == (len(lessons.images), SIDE // 4, SIDE // 4, 2)
    coarse = keras.Model(earlier.input, earlier.get_layer("logits").output)
    image = softened(lessons.images[0].astype(np.float32))
    said = []
    for quarters in range(4):
        for mirrored in (False, True):
            seen = np.rot90(image[:, ::-1] if mirrored else image, quarters)
            logits = np.rot90(keras.ops.convert_to_numpy(coarse(seen[np.newaxis].copy()))[0], -quarters)
            said.append(logits[:, ::-1] if mirrored else logits)
    np.testing.assert_allclose(lessons.logits[0], np.mean(said, axis=0), atol=1e-3)
    assert np.std(said, axis=0).max() > 0.01


def test_masks_are_where_the_teacher_sees_a_building():
    images = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    logits = np.full((1, SIDE // 4, SIDE // 4, 2), -1.0, np.float32)
    logits[0, :, : SIDE // 8, 0] = 1.0
    ((image, mask),) = Lessons(images, logits, np.ones(1)).masks()
    np.testing.assert_array_equal(image, softened(images[0].astype(np.float32)))
    assert (mask.shape, mask.dtype) == ((SIDE, SIDE, 1), np.uint8)
    assert mask[:, : SIDE // 2].all()
    assert not mask[:, SIDE // 2 :].any()


def test_chips_of_another_size_are_refused(chips, bright_model):
    with pytest.raises(ValueError, match="are not tiles of"):
        lessons_of([chips], bright_model)


def test_who_says_the_same_does_not_disagree():
    said = tf.constant(np.random.default_rng(0).normal(0, 3, (2, 8, 8, 2)).astype("float32"))
    assert float(disagreement(said, said)) == pytest.approx(0.0, abs=1e-6)
    little, much = (float(disagreement(said, said + step)) for step in (0.5, 1.0))
    assert 0 < little < much


def test_contacts_weigh_what_they_are_told():
    said = tf.zeros((1, 4, 4, 2))
    of_contacts = tf.constant([0.0, 1.0]) + said
    one, eight = (float(disagreement(said, of_contacts, (1.0, weight))) for weight in (1.0, 8.0))
    assert eight == pytest.approx(8 * one)
    of_buildings = tf.constant([1.0, 0.0]) + said
    assert float(disagreement(said, of_buildings, (1.0, 8.0))) == pytest.approx(one)


def test_overlap_is_of_the_first_channel():
    said = np.full((1, 2, 2, 2), -1.0, np.float32)
    found = said.copy()
    said[0, 0, :, 0] = 1.0
    found[0, :, 0, 0] = 1.0
    found[..., 1] = 1.0
    assert [float(count) for count in overlap(tf.constant(said), tf.constant(found))] == [1.0, 3.0]


def test_a_taught_model_says_more_of_what_the_earlier_one_says(chips, earlier, save_earlier, tmp_path):
    result = tmp_path / "result.json"
    command = [sys.executable, str(Path(__file__).with_name("taught_run.py")), save_earlier(earlier), chips, result]
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    found = json.loads(result.read_text())
    assert found["losses"][2] < 0.7 * found["losses"][0]
    at_first, at_last = found["disagreement"]
    assert at_last < 0.8 * at_first
    assert found["kept"] < 1e-5  # a mean of equal weights is rounded
    assert found["held"] == []
    assert found["learned"] > 0.0
    before, after = found["created"]
    assert found["training"]["taught_by"]["created"] == before != after
    assert found["training"]["agreement_iou"] == pytest.approx(found["agreement"], abs=1e-4)
    assert found["training"]["options"]["seed"] == 1
    assert found["threshold"] == TAUGHT_THRESHOLD
    assert found["shifted"] == pytest.approx([0.0, 0.25])
