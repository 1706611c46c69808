"""What Mask R-CNN learns: matched anchors, sampled regions, small masks and five losses, also beside the original."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from building_segmenter.networks.mask_rcnn.mini_masks import (
    expand_masks,
    mask_boxes,
    minimize_masks,
    minimize_numbers,
)
from building_segmenter.networks.mask_rcnn.rpn_targets import AnchorRule, anchor_targets, best_overlaps, match_anchors

HERE = Path(__file__).parent
ORACLE = HERE.parents[2] / "shared/matterport/data/oracle_resnet50_train.npz"


@pytest.fixture(scope="module")
def oracle():
    if not ORACLE.is_file():
        pytest.skip(f"reference tensors of the original are not here: {ORACLE}")
    with np.load(ORACLE) as arrays:
        return dict(arrays)


def drawn():
    """Two images: one with a crowd and two objects, one with nothing; and heads that answer at random."""
    random = np.random.default_rng(3)
    corners = random.uniform(0, 0.8, (2, 40, 2))
    proposals = np.concatenate([corners, corners + random.uniform(0.05, 0.2, (2, 40, 2))], axis=2)
    boxes = np.zeros((2, 5, 4))
    boxes[0, :3] = [[0.1, 0.1, 0.4, 0.5], [0.5, 0.5, 0.7, 0.9], [0.75, 0.0, 1.0, 0.3]]
    proposals[0, 3:12:2] = boxes[0, 0] + random.uniform(-0.02, 0.02, (5, 4))
    proposals[0, 20] = boxes[0, 1] + [0.01, 0, 0, 0]
    proposals[0, 30] = boxes[0, 2]
    proposals[:, 35:] = 0
    masks = np.zeros((2, 5, 28, 28), np.uint8)
    masks[0, :3, 7:21] = 1
    whole = np.zeros((2, 5, 101, 101), np.uint8)
    whole[0, 0, 10:41, 10:31] = 1
    ids = np.array([[2, 1, -1, 0, 0], [0, 0, 0, 0, 0]], np.int32)
    matches = np.array([[1, 0, -1, 1, 0, 0], [0, -1, 0, 1, 0, -1]], np.int32)
    return {
        "proposals": proposals.astype(np.float32),
        "boxes": boxes.astype(np.float32),
        "true_ids": ids,
        "mini_masks": masks,
        "whole_masks": whole,
        "matches": matches,
        "rpn_logits": random.normal(size=(2, 6, 2)).astype(np.float32),
        "rpn_deltas": 2 * random.normal(size=(2, 6, 4)).astype(np.float32),
        "rpn_targets": random.normal(size=(2, 4, 4)).astype(np.float32),
        "class_ids": np.array([[2, 1, 0, 0], [1, 0, 0, 0]], np.int32),
        "logits": random.normal(size=(2, 4, 3)).astype(np.float32),
        "active": np.array([[1, 1, 1], [1, 1, 0]], np.int32),
        "deltas": 2 * random.normal(size=(2, 4, 3, 4)).astype(np.float32),
        "bbox_targets": random.normal(size=(2, 4, 4)).astype(np.float32),
        "masks": random.uniform(0.01, 0.99, (2, 3, 5, 5, 3)).astype(np.float32),
        "mask_targets": random.integers(0, 2, (2, 3, 5, 5)).astype(np.float32),
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Arrays of `mask_rcnn_training_runs`, from `drawn` and from the original's inputs where they are."""
    folder = tmp_path_factory.mktemp("mask_rcnn_training")
    inputs = drawn()
    if ORACLE.is_file():
        with np.load(ORACLE) as arrays:
            inputs |= {
                "oracle_proposals": arrays["proposals"],
                "oracle_boxes": arrays["in_gt_boxes"][0],
                "oracle_class_ids": arrays["in_gt_class_ids"][0],
                "oracle_masks": original_mini_masks(arrays),
            }
    np.savez(folder / "inputs.npz", **inputs)
    return computed("mask_rcnn_training_runs.py", folder / "inputs.npz", folder / "outputs.npz")


@pytest.fixture(scope="module")
def gradients(oracle, tmp_path_factory):
    """Arrays of `mask_rcnn_gradient_runs`, of the original's weights and image; needs `oracle`."""
    output = tmp_path_factory.mktemp("mask_rcnn_gradients") / "outputs.npz"
    return computed("mask_rcnn_gradient_runs.py", ORACLE.parents[1], output)


def computed(script, *arguments):
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(HERE.parents[1])}
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, cwd=HERE.parents[1])
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    with np.load(arguments[-1]) as arrays:
        return dict(arrays)


def original_mini_masks(arrays):
    return np.unpackbits(arrays["in_gt_masks"]).reshape(56, 56, 10).transpose(2, 0, 1)


def pyramid_anchors(size, scales=(16, 32, 64, 128, 256), strides=(4, 8, 16, 32, 64)):
    """Anchors by their definition: at each stride, for each ratio height = scale / sqrt(ratio)."""
    anchors = []
    for scale, stride in zip(scales, strides, strict=True):
        shapes = [(scale / np.sqrt(ratio) / 2, scale * np.sqrt(ratio) / 2) for ratio in (0.5, 1, 2)]
        places = range(0, size, stride)
        anchors += [(y - h, x - w, y + h, x + w) for y in places for x in places for h, w in shapes]
    return np.array(anchors)


def all_overlaps(one, other):
    top_left = np.maximum(one[:, None, :2], other[None, :, :2])
    both = np.prod(np.clip(np.minimum(one[:, None, 2:], other[None, :, 2:]) - top_left, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (one, other)]
    return both / (areas[0][:, None] + areas[1] - both)


# ---- anchors ----


def test_anchor_targets_are_those_of_the_original(oracle):
    random = np.random.RandomState(0)
    matches, deltas = anchor_targets(
        pyramid_anchors(256), oracle["in_gt_boxes"][0], oracle["in_gt_class_ids"][0], random
    )
    assert np.array_equal(matches, oracle["in_rpn_match"][0, :, 0])
    np.testing.assert_allclose(deltas, oracle["in_rpn_bbox"][0], atol=1e-6)


def some_boxes(count, seed, size=128, largest=40):
    random = np.random.default_rng(seed)
    corners = random.uniform(0, size - largest, (count, 2))
    return np.concatenate([corners, corners + random.uniform(3, largest, (count, 2))], axis=1)


@given(st.integers(1, 30), st.integers(0, 10**6))
def test_best_overlaps_are_those_of_a_matrix_of_all_pairs(count, seed):
    anchors, boxes = some_boxes(80, seed), some_boxes(count, seed + 1)
    overlap, nearest, best_anchor = best_overlaps(anchors, boxes)
    expected = all_overlaps(anchors, boxes)
    np.testing.assert_allclose(overlap, expected.max(axis=1), rtol=1e-12)
    assert np.array_equal(nearest, expected.argmax(axis=1))
    met = expected.max(axis=0) > 0
    assert np.array_equal(best_anchor[met], expected.argmax(axis=0)[met])
    assert (best_anchor[~met] == -1).all()


def test_the_best_anchor_of_every_box_is_an_object_also_among_hundreds_of_small_ones():
    rows, columns = np.mgrid[0:20, 0:20] * 12 + 4.0
    boxes = np.stack([rows.ravel(), columns.ravel(), rows.ravel() + 7, columns.ravel() + 9], axis=1)
    anchors = pyramid_anchors(256)
    matches, _ = match_anchors(anchors, boxes)
    overlaps = all_overlaps(anchors, boxes)
    assert overlaps.max() < 0.7
    assert np.array_equal(np.flatnonzero(matches == 1), np.unique(overlaps.argmax(axis=0)))


def test_samples_are_at_most_half_objects_and_deltas_lead_to_the_boxes():
    boxes = some_boxes(60, 1)
    anchors = pyramid_anchors(128)
    rule = AnchorRule(samples=40)
    matches, deltas = anchor_targets(anchors, boxes, np.ones(60, int), np.random.default_rng(0), rule)
    chosen = anchors[matches == 1]
    assert len(chosen) == 20 and (matches == -1).sum() == 20
    reached = moved(chosen, deltas[:20] * rule.deviations)
    expected = boxes[match_anchors(anchors, boxes)[1][matches == 1]]
    np.testing.assert_allclose(reached, expected, atol=1e-4)


def moved(boxes, deltas):
    size = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + size / 2 + deltas[:, :2] * size
    size = size * np.exp(deltas[:, 2:])
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1)


def test_nothing_is_learned_from_ground_in_a_crowd_and_padding_is_no_object():
    boxes = np.array([[10, 10, 40, 40], [64, 0, 128, 128], [0, 0, 0, 0]])
    anchors = pyramid_anchors(128)
    rule = AnchorRule(samples=10**5)
    matches, _ = anchor_targets(anchors, boxes, np.array([1, -1, 0]), np.random.default_rng(0), rule)
    inside = (anchors[:, 0] > 64) & (anchors[:, 2] < 128) & (anchors[:, 1] > 0) & (anchors[:, 3] < 128)
    assert inside.any() and not (matches[inside] == -1).any()
    alone, _ = anchor_targets(anchors, boxes[:1], np.array([1]), np.random.default_rng(0), rule)
    assert (alone[inside] == -1).all() and np.array_equal(matches == 1, alone == 1)


def test_an_image_without_objects_teaches_ground_only():
    nothing = np.zeros((0, 4)), np.zeros(0, int)
    matches, deltas = anchor_targets(pyramid_anchors(128), *nothing, np.random.default_rng(0))
    assert (matches == -1).sum() == 256 and not (matches == 1).any() and not deltas.any()


# ---- mini masks ----


def test_mini_masks_are_those_of_the_original(oracle):
    whole = np.zeros((10, 256, 256), bool)
    sys.path.insert(0, str(ORACLE.parents[1]))
    try:
        import recipe
    finally:
        sys.path.pop(0)
    whole[:6, 32:224] = recipe.truth()[0].transpose(2, 0, 1)
    boxes = mask_boxes(whole)
    assert np.array_equal(boxes, oracle["in_gt_boxes"][0])
    assert np.array_equal(minimize_masks(whole, boxes), original_mini_masks(oracle))


def test_numbered_objects_give_the_masks_that_full_masks_give():
    numbers = np.zeros((90, 120), np.int32)
    numbers[5:30, 10:50], numbers[20:60, 40:47], numbers[0:3, 117:120] = 1, 2, 4
    boxes, mini = minimize_numbers(numbers, 4)
    whole = np.arange(1, 5)[:, None, None] == numbers
    assert np.array_equal(boxes, mask_boxes(whole)) and not boxes[2].any()
    assert np.array_equal(mini, minimize_masks(whole, boxes)) and not mini[2].any()


@given(st.integers(2, 60), st.integers(2, 60), st.integers(0, 30), st.integers(0, 30))
def test_rectangles_come_back_from_mini_masks(height, width, top, left):
    mask = np.zeros((1, 90, 90), bool)
    mask[0, top : top + height, left : left + width] = True
    boxes = mask_boxes(mask)
    assert np.array_equal(boxes[0], [top, left, top + height, left + width])
    assert np.array_equal(expand_masks(minimize_masks(mask, boxes), boxes, (90, 90)), mask)


def test_a_slanted_mask_comes_back_but_for_its_edge():
    rows, columns = np.mgrid[:100, :100]
    mask = (np.abs(rows - 50 + 0.5 * (columns - 50)) < 20) & (np.abs(columns - 50 - 0.5 * (rows - 50)) < 35)
    boxes = mask_boxes(mask[None])
    back = expand_masks(minimize_masks(mask[None], boxes), boxes, mask.shape)[0]
    assert (back & mask).sum() / (back | mask).sum() > 0.97


# ---- regions ----


def test_region_targets_are_those_of_the_original(oracle, runs):
    masks = np.unpackbits(oracle["target_mask_packed"]).reshape(60, 28, 28)
    assert np.array_equal(runs["oracle_rois"], oracle["target_rois"])
    assert np.array_equal(runs["oracle_class_ids"], oracle["target_class_ids"])
    np.testing.assert_allclose(runs["oracle_deltas"], oracle["target_bbox"], atol=2e-5)
    assert np.array_equal(runs["oracle_masks"][0], masks[:19]) and not masks[19:].any()
    assert masks[:19].any()


def test_overlaps_are_those_of_all_pairs_and_0_with_padding(runs):
    arrays = drawn()
    expected = all_overlaps(arrays["proposals"][0, :35], arrays["boxes"][0, :3])
    np.testing.assert_allclose(runs["overlaps"][0, :35, :3], expected, atol=1e-6)
    assert not runs["overlaps"][0, 35:].any() and not runs["overlaps"][:, :, 3:].any()


def test_the_first_objects_are_sampled_with_twice_as_much_ground(runs):
    proposals = drawn()["proposals"][0]
    assert np.array_equal(runs["first_class_ids"][0], [2, 2, 2] + [0] * 9)
    assert np.array_equal(runs["first_rois"][0, :3], proposals[[3, 5, 7]])
    ground = np.flatnonzero(all_overlaps(proposals[:35], drawn()["boxes"][0, :3]).max(axis=1) < 1e-3)
    assert np.array_equal(runs["first_rois"][0, 3:9][:2], proposals[[0, 1]])
    assert (runs["first_rois"][0, 3:9].any(axis=1)).all() and not runs["first_rois"][0, 9:].any()
    assert len(ground) and not any((roi == proposals[30]).all() for roi in runs["first_rois"][0])


def test_an_image_without_objects_has_no_regions_unless_they_are_filled_up(runs):
    assert not runs["first_rois"][1].any() and not runs["first_class_ids"][1].any()
    assert runs["filled_rois"].any(axis=2).all()
    assert not runs["filled_class_ids"][1].any() and not runs["filled_masks"][1].any()


def test_a_drawn_sample_has_objects_first_and_the_same_numbers(runs):
    assert (runs["drawn_class_ids"][0, :3] > 0).all() and not runs["drawn_class_ids"][0, 3:].any()
    assert (runs["drawn_rois"][0].any(axis=1)).sum() == 9
    assert not np.array_equal(runs["drawn_rois"][0], runs["first_rois"][0])


def test_deltas_lead_from_regions_to_their_true_boxes(runs):
    reached = moved(runs["first_rois"][0, :3], runs["first_deltas"][0, :3] * AnchorRule().deviations)
    np.testing.assert_allclose(reached, np.repeat(drawn()["boxes"][0, :1], 3, axis=0), atol=1e-5)
    assert not runs["first_deltas"][0, 3:].any() and np.isfinite(runs["first_deltas"]).all()


def test_masks_are_cut_to_regions_from_mini_masks_and_from_whole_ones(runs):
    for name in ("first", "whole_masks"):
        for roi, mask in zip(runs[f"{name}_rois"][0, :3], runs[f"{name}_masks"][0], strict=True):
            assert np.array_equal(mask, cut_by_hand(name, roi)), name


def cut_by_hand(name, roi):
    """The mask at 28 x 28 places of a region, each judged alone."""
    arrays = drawn()
    whole = arrays["whole_masks"][0, 0].astype(float)
    box, mask = np.array([0.0, 0.0, 1.0, 1.0]), whole
    if name == "first":
        box, mask = arrays["boxes"][0, 0], arrays["mini_masks"][0, 0].astype(float)
    height, width = np.array(mask.shape) - 1
    ys = (np.linspace(roi[0], roi[2], 28) - box[0]) / (box[2] - box[0]) * height
    xs = (np.linspace(roi[1], roi[3], 28) - box[1]) / (box[3] - box[1]) * width
    values = [[read(mask, y, x) for x in xs] for y in ys]
    return np.round(values)


def read(mask, y, x):
    from scipy.ndimage import map_coordinates

    inside = 0 <= y <= mask.shape[0] - 1 and 0 <= x <= mask.shape[1] - 1
    return map_coordinates(mask, [[y], [x]], order=1)[0] if inside else 0.0


def test_more_regions_than_proposals_leave_the_rest_empty(runs):
    assert runs["larger_than_proposals_rois"].shape == (2, 90, 4)
    assert runs["larger_than_proposals_masks"].shape == (2, 29, 28, 28)
    assert (runs["larger_than_proposals_class_ids"][0] > 0).sum() == 6


def test_gradients_run_into_proposals_only_where_asked(runs):
    assert not runs["gradient_False"].any()
    through = runs["gradient_True"]
    assert np.isfinite(through).all()
    assert np.array_equal(np.flatnonzero(through[0].any(axis=1)), [3, 5, 7]) and not through[1].any()


# ---- losses ----


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def smooth(distance):
    distance = np.abs(distance)
    return np.where(distance < 1, 0.5 * distance**2, distance - 0.5).mean()


def test_losses_of_anchors(runs):
    arrays = drawn()
    sampled = [(0, 0, 1), (0, 2, 0), (0, 3, 1), (1, 1, 0), (1, 3, 1), (1, 5, 0)]
    entropy = [-log_softmax(arrays["rpn_logits"])[place] for place in sampled]
    assert runs["loss_rpn_class"] == pytest.approx(np.mean(entropy), rel=1e-5)
    wanted = np.concatenate([arrays["rpn_targets"][0, :2], arrays["rpn_targets"][1, :1]])
    found = arrays["rpn_deltas"][[0, 0, 1], [0, 3, 3]]
    assert runs["loss_rpn_bbox"] == pytest.approx(smooth(wanted - found), rel=1e-5)


def test_losses_of_regions(runs):
    arrays = drawn()
    called = arrays["logits"].argmax(axis=2)
    counts = np.take_along_axis(arrays["active"], called, axis=1)
    assert counts.min() == 0
    entropy = -np.take_along_axis(log_softmax(arrays["logits"]), arrays["class_ids"][..., None], axis=2)[..., 0]
    assert runs["loss_class"] == pytest.approx((entropy * counts).sum() / counts.sum(), rel=1e-5)
    places = [0, 0, 1], [0, 1, 0], [2, 1, 1]
    wanted = arrays["bbox_targets"][places[:2]]
    assert runs["loss_bbox"] == pytest.approx(smooth(wanted - arrays["deltas"][places]), rel=1e-5)
    truth, found = arrays["mask_targets"][places[:2]], arrays["masks"].transpose(0, 1, 4, 2, 3)[places]
    entropy = -np.where(truth == 1, np.log(found), np.log(1 - found)).mean()
    assert runs["loss_mask"] == pytest.approx(entropy, rel=1e-5)


def test_losses_without_a_sample_are_0(runs):
    assert runs["loss_rpn_bbox_none"] == runs["loss_mask_none"] == runs["loss_class_none"] == 0


def test_large_weights_are_penalised_by_their_mean_square_but_not_batch_norms(runs):
    assert runs["penalty"] == pytest.approx(1e-4 * (4 + 9), rel=1e-6)


# ---- the whole ----


def test_the_five_losses_are_those_of_the_original(oracle, gradients):
    np.testing.assert_allclose(gradients["image"], oracle["in_image"], atol=1e-4)
    np.testing.assert_allclose(gradients["rois"], oracle["target_rois"], atol=1e-4)
    assert np.array_equal(gradients["class_ids"], oracle["target_class_ids"])
    np.testing.assert_allclose(gradients["losses"], oracle["losses"], atol=1e-4)
    assert gradients["penalty"] == pytest.approx(float(oracle["l2"]), rel=1e-4)


def test_the_gradients_are_as_large_as_those_of_the_original(oracle, gradients):
    found = dict(zip(gradients["names"], gradients["norms"], strict=True))
    expected = dict(zip((name[:-2] for name in oracle["grad_names"]), oracle["grad_norms"], strict=True))
    assert found.keys() == expected.keys() and len(found) == 266
    for name, norm in expected.items():
        assert found[name] == pytest.approx(norm, rel=1e-2, abs=1e-6), name


def test_twice_the_same_image_in_a_batch_has_the_losses_of_one(gradients):
    np.testing.assert_allclose(gradients["losses_of_two"], gradients["losses"], atol=1e-5)
