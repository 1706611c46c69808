"""Metrics of several classes against counts by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from building_segmenter.training.evaluation import ClassCounts, PixelCounts, evaluate

NAMES = ("roof", "water", "wood")


def counted(label, called):
    counts = ClassCounts(NAMES)
    counts.add(np.array(label, np.uint8), np.eye(4, dtype=np.float32)[np.array(called)])
    return counts


def test_confusion_and_metrics_by_hand():
    counts = counted([0, 1, 1, 1, 2, 2, 255], [1, 1, 1, 2, 2, 0, 3])
    np.testing.assert_array_equal(counts.matrix, [[0, 1, 0, 0], [0, 2, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0]])
    roof, water = counts.by_class()["roof"], counts.by_class()["water"]
    assert roof == pytest.approx({"iou": 2 / 4, "precision": 2 / 3, "recall": 2 / 3, "f1": 4 / 6})
    assert water == pytest.approx({"iou": 1 / 3, "precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2})
    # Wood occurs in neither: it is no part of the means.
    assert set(counts.by_class()) == {"roof", "water"}
    summary = counts.summary()
    assert summary["iou"] == pytest.approx((2 / 4 + 1 / 3) / 2)
    assert summary["iou: water"] == pytest.approx(1 / 3)
    assert "threshold" not in summary


def test_a_class_that_is_never_called_scores_nothing():
    counts = counted([1, 3], [1, 1])
    assert counts.by_class()["wood"] == {"iou": 0.0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert counts.summary()["iou"] == pytest.approx(0.25)


def test_ground_without_classes_is_right_unless_one_is_called():
    assert counted([0, 0], [0, 0]).summary()["iou"] == 1.0
    assert counted([0, 0], [0, 2]).summary()["iou"] == 0.0
    assert counted([0, 0], [0, 2]).overlap(0.5) is None


@given(pixels=arrays(np.uint8, (40, 2), elements=st.sampled_from([0, 1, 2, 3, 255])))
def test_iou_agrees_with_counting_pixels(pixels):
    label, called = pixels[:, 0], np.where(pixels[:, 1] == 255, 0, pixels[:, 1])
    counts, valid = counted(label, called), label != 255
    for number, name in enumerate(NAMES, start=1):
        truth, found = (label == number) & valid, (called == number) & valid
        if truth.any():
            assert counts.by_class()[name]["iou"] == pytest.approx((truth & found).sum() / (truth | found).sum())
    assert counts.matrix.sum() == valid.sum()


def test_counts_of_chips_add_up():
    first, second = counted([1, 2], [1, 1]), counted([2], [2])
    first.merge(second)
    np.testing.assert_array_equal(first.matrix, counted([1, 2, 2], [1, 1, 2]).matrix)


def test_evaluate_measures_classes_with_the_probability_of_the_truth():
    image = np.zeros((1, 3, 3))
    target = np.array([[[1], [2], [255]]], np.uint8)
    probability = np.array([[[0.1, 0.7, 0.1, 0.1], [0.0, 0.5, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]]], np.float32)
    result = evaluate([(image, target)] * 2, lambda _: probability, NAMES)
    assert result.loss == pytest.approx(-(np.log(0.7) + np.log(0.25)) / 2, rel=1e-6)
    assert result.counts.matrix[1, 1] == result.counts.matrix[2, 1] == 2
    assert [chip.overlap(0.5) for chip in result.chips] == [0.25, 0.25]


def test_summary_of_buildings_has_the_best_threshold():
    counts = PixelCounts()
    counts.add(np.array([1, 1, 0, 0], np.uint8), np.array([0.75, 0.72, 0.68, 0.1], np.float32))
    summary = counts.summary()
    assert summary["iou"] == 1.0
    assert summary["threshold"] == counts.best_threshold()
    assert counts.overlap(0.7) == 1.0
    assert PixelCounts().overlap(0.5) is None
