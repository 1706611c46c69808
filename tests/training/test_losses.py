"""The loss against formulas by hand."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from building_segmenter.training.losses import overlap_counts, segmentation_loss  # noqa: E402


def tensors(target, logits):
    return tf.constant(target, tf.uint8), tf.constant(logits, tf.float32)


def test_cross_entropy_and_dice_by_hand():
    target, logits = tensors([[[[1], [0]]]], [[[[2.0], [-1.0]]]])
    p, q = 1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(1.0))
    expected = -(np.log(p) + np.log(1 - q)) / 2 + 1 - (2 * p + 1) / (p + q + 1 + 1)
    assert float(segmentation_loss(target, logits)) == pytest.approx(expected, rel=1e-5)


def test_unknown_pixels_change_nothing():
    known = tensors([[[[1], [0]]]], [[[[2.0], [-1.0]]]])
    more = tensors([[[[1], [0], [255]]]], [[[[2.0], [-1.0], [9.0]]]])
    assert float(segmentation_loss(*more)) == pytest.approx(float(segmentation_loss(*known)), rel=1e-6)
    assert [float(x) for x in overlap_counts(*more)] == [1.0, 1.0]


def test_batch_of_unknown_pixels_is_finite_and_has_no_gradient():
    target, logits = tensors(np.full((1, 4, 4, 2), 255), np.zeros((1, 4, 4, 2)))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = segmentation_loss(target, logits)
    assert np.isfinite(float(loss))
    assert not tape.gradient(loss, logits).numpy().any()


def test_contacts_count_little_and_a_missed_one_more_than_a_false_one():
    buildings = np.zeros((1, 1, 2, 1))
    plain = float(segmentation_loss(*tensors(buildings, np.full((1, 1, 2, 1), -3.0))))

    def with_contact(truth, logit):
        target = np.concatenate([buildings, np.full((1, 1, 2, 1), truth)], axis=-1)
        logits = np.stack([np.full((1, 1, 2), -3.0), np.full((1, 1, 2), logit)], axis=-1)
        return float(segmentation_loss(*tensors(target, logits))) - plain

    assert with_contact(1, -3.0) > with_contact(0, 3.0) > with_contact(0, -3.0) > 0


def test_overlap_by_hand():
    both, either = overlap_counts(*tensors([[[[1], [1], [0], [0]]]], [[[[1.0], [-1.0], [1.0], [-1.0]]]]))
    assert (float(both), float(either)) == (1.0, 3.0)
