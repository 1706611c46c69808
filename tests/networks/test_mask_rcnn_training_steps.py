"""Examples of images and objects, which layers learn when, and a few steps of a small network."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.learning import make_example

HERE = Path(__file__).parent
CONFIG = Config(IMAGE_MIN_DIM=128, IMAGE_MAX_DIM=128, RPN_ANCHOR_SCALES=(8, 16, 32, 64, 128), MAX_GT_INSTANCES=5)


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """Arrays of `mask_rcnn_step_runs`."""
    output = tmp_path_factory.mktemp("mask_rcnn_steps") / "outputs.npz"
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(HERE.parents[1])}
    command = [sys.executable, str(HERE / "mask_rcnn_step_runs.py"), str(output)]
    done = subprocess.run(command, env=environment, capture_output=True, cwd=HERE.parents[1])
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    with np.load(output) as arrays:
        return dict(arrays)


def row_of_houses(count):
    masks = np.zeros((count, 128, 128), bool)
    for number in range(count):
        masks[number, 20 : 40 + number, 10 * number : 10 * number + 8] = True
    return masks


def example_of(masks, ids, **changed):
    config = Config(**{name: getattr(CONFIG, name) for name in CONFIG.__dataclass_fields__} | changed)
    return make_example(np.zeros((128, 128, 3)), masks, ids, config, np.random.default_rng(0))


def test_an_example_has_fixed_shapes_and_leaves_out_objects_without_a_pixel():
    masks = row_of_houses(3)
    masks[1] = False
    example = example_of(masks, np.array([1, 1, 1]))
    assert example.class_ids.tolist() == [1, 1, 0, 0, 0]
    assert example.boxes.tolist() == [[20, 0, 40, 8], [20, 20, 42, 28], *[[0] * 4] * 3]
    assert example.masks.shape == (5, 56, 56) and example.masks[:2].all() and not example.masks[2:].any()
    assert example.deltas.shape == (256, 4) and (example.matches == 1).any()
    whole = example_of(masks, np.array([1, 1, 1]), USE_MINI_MASK=False)
    assert np.array_equal(whole.masks[:2], masks[[0, 2]])


def test_of_more_objects_than_fit_as_many_as_fit_are_drawn():
    example = example_of(row_of_houses(12), np.ones(12, int))
    assert len(np.unique(example.boxes, axis=0)) == 5 and (example.class_ids == 1).all()
    assert len(np.unique(example_of(row_of_houses(12), np.ones(12, int), MAX_GT_INSTANCES=12).boxes, axis=0)) == 12


def test_a_few_steps_lower_the_losses(steps):
    losses = steps["losses"]
    assert losses.shape == (16, 5) and np.isfinite(losses).all()
    assert (losses[-1, :3] < 0.5 * losses[0, :3]).all()
    # Those of boxes and masks are nothing where no proposal lies on an object.
    assert (losses[:, 3:] > 0).any(axis=0).all()


def test_heads_learn_first_and_the_backbone_stays_as_it_is(steps):
    names = {path.split("/")[0] for path in steps["changed"]}
    assert {"rpn_conv_shared", "fpn_p2", "mrcnn_class_logits"} <= names
    assert all(name.startswith(("mrcnn_", "rpn_", "fpn_", "c5")) for name in names)
    assert not any(path.endswith(("moving_mean", "moving_variance")) for path in steps["changed"])


def test_stages_free_more_of_the_backbone_one_after_the_other(steps):
    frozen = [set(steps[f"frozen_{stage}"]) for stage in ("heads", "5+", "4+", "3+", "all")]
    assert frozen[0] >= frozen[1] > frozen[2] > frozen[3] > frozen[4] == set()
    assert "block_6_depthwise" in frozen[1] - frozen[2] and "block_3_depthwise" in frozen[2] - frozen[3]
