"""The loss of several classes against formulas by hand."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from building_segmenter.training.losses import (  # noqa: E402
    class_loss,
    class_overlap_counts,
    mean_overlap,
    measures_of,
    overlap_counts,
    segmentation_loss,
)


def tensors(numbers, logits):
    """One image of one row: channel numbers (pixels), logits (pixels, channels)."""
    target = np.array(numbers, np.uint8)[np.newaxis, np.newaxis, :, np.newaxis]
    return tf.constant(target), tf.constant(np.array(logits, np.float32)[np.newaxis, np.newaxis])


def softmax(logits):
    powers = np.exp(np.array(logits, float))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_cross_entropy_and_dice_of_shown_classes_by_hand():
    logits = [[2.0, 0.0, 0.0], [0.0, 1.0, -1.0]]
    p = softmax(logits)
    entropy = -(np.log(p[0, 0]) + np.log(p[1, 1])) / 2
    # Channel 2 is not in the truth: it has no Dice.
    dice = [1 - (2 * p[i, i] + 1) / (1 + p[:, i].sum() + 1) for i in (0, 1)]
    assert float(class_loss(*tensors([0, 1], logits))) == pytest.approx(entropy + np.mean(dice), rel=1e-5)


def test_unknown_pixels_change_nothing():
    known = tensors([2, 1], [[0.0, 1.0, 2.0], [1.0, 0.5, 0.0]])
    more = tensors([2, 1, 255], [[0.0, 1.0, 2.0], [1.0, 0.5, 0.0], [9.0, -9.0, 9.0]])
    assert float(class_loss(*more)) == pytest.approx(float(class_loss(*known)), rel=1e-6)
    for mine, theirs in zip(class_overlap_counts(*more), class_overlap_counts(*known), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_batch_of_unknown_pixels_is_finite_and_has_no_gradient():
    target, logits = tensors([255] * 4, np.zeros((4, 3)))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = class_loss(target, logits)
    assert np.isfinite(float(loss))
    assert not tape.gradient(loss, logits).numpy().any()


def test_a_rare_class_pulls_as_strongly_as_a_common_one():
    # A hundred pixels of class 1 and one of class 2; missing either one whole costs about the same Dice.
    numbers = [1] * 100 + [2]
    right = np.eye(3)[numbers] * 20.0
    rare_missed, common_missed = right.copy(), right.copy()
    rare_missed[100] = [0.0, 20.0, 0.0]
    common_missed[:100] = [0.0, 0.0, 20.0]

    def dice_of(logits):
        target, given = tensors(numbers, logits)
        entropy = -np.log(softmax(logits)[np.arange(101), numbers]).mean()
        return float(class_loss(target, given)) - entropy

    assert dice_of(right) == pytest.approx(0.0, abs=1e-3)
    assert dice_of(rare_missed) > 0.2
    assert dice_of(common_missed) < 5 * dice_of(rare_missed)


def test_overlap_by_hand_leaves_the_background_out():
    both, either = class_overlap_counts(*tensors([0, 1, 1, 2, 255], np.eye(3)[[0, 1, 2, 2, 1]]))
    np.testing.assert_array_equal(both, [1, 1])
    np.testing.assert_array_equal(either, [2, 2])
    assert mean_overlap(both.numpy(), either.numpy()) == 0.5


def test_mean_overlap_is_over_what_occurs():
    assert mean_overlap(np.array([3.0, 0.0]), np.array([4.0, 0.0])) == 0.75
    assert mean_overlap(np.float64(1.0), np.float64(4.0)) == 0.25
    assert mean_overlap(np.zeros(2), np.zeros(2)) == 1.0


def test_measures_go_with_what_a_network_ends_in():
    assert measures_of("softmax") == (class_loss, class_overlap_counts)
    assert measures_of("sigmoid") == (segmentation_loss, overlap_counts)
