"""Metrics over chips against counts by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from building_segmenter.training.evaluation import LEVELS, PixelCounts, evaluate


def counted(label, probability):
    counts = PixelCounts()
    counts.add(np.array(label, np.uint8), np.array(probability, np.float32))
    return counts


def test_confusion_and_metrics_by_hand():
    counts = counted([1, 1, 1, 0, 0, 255], [0.9, 0.6, 0.2, 0.8, 0.1, 0.99])
    assert counts.confusion(0.5) == {"tp": 2, "fp": 1, "fn": 1, "tn": 1}
    assert counts.metrics(0.5) == pytest.approx({"iou": 2 / 4, "precision": 2 / 3, "recall": 2 / 3, "f1": 4 / 6})


@given(
    pixels=st.lists(st.tuples(st.sampled_from([0, 1, 255]), st.integers(0, LEVELS)), min_size=1, max_size=60),
    cut=st.integers(1, LEVELS),
)
def test_every_threshold_agrees_with_counting_pixels(pixels, cut):
    label = np.array([p[0] for p in pixels], np.uint8)
    probability = np.array([p[1] / LEVELS for p in pixels], np.float32)
    found = probability >= np.float32(cut / LEVELS)
    expected = {
        "tp": int((found & (label == 1)).sum()),
        "fp": int((found & (label == 0)).sum()),
        "fn": int((~found & (label == 1)).sum()),
        "tn": int((~found & (label == 0)).sum()),
    }
    assert counted(label, probability).confusion(cut / LEVELS) == expected


def test_nothing_to_find_and_nothing_found_is_perfect():
    assert counted([0, 0], [0.1, 0.2]).metrics(0.5)["iou"] == 1.0


def test_best_threshold_separates_what_can_be_separated():
    counts = counted([1, 1, 0, 0], [0.75, 0.72, 0.68, 0.1])
    best = counts.best_threshold()
    assert 0.68 < best <= 0.72
    assert counts.metrics(best)["iou"] == 1.0


def test_of_equal_thresholds_the_middle_one_is_taken_and_extremes_are_avoided():
    assert counted([1, 0], [0.9, 0.1]).best_threshold() == 0.5
    assert counted([1, 0], [0.05, 0.01]).best_threshold() >= 0.2


def test_counts_of_chips_add_up():
    first, second = counted([1, 0], [0.9, 0.9]), counted([1], [0.1])
    first.merge(second)
    assert first.confusion(0.5) == {"tp": 1, "fp": 1, "fn": 1, "tn": 0}


def test_curve_runs_over_all_thresholds_and_recall_falls():
    rows = counted([1, 1, 0], [0.3, 0.8, 0.5]).curve()
    assert len(rows) == 49
    recalls = [row["recall"] for row in rows]
    assert recalls == sorted(recalls, reverse=True)


def test_evaluate_ignores_unknown_pixels_and_weighs_chips_by_pixels():
    image = np.zeros((2, 2, 3))
    target = np.array([[[1], [0]], [[255], [0]]], np.uint8)
    probability = np.array([[[0.5], [0.5]], [[1.0], [0.5]]], np.float32)
    result = evaluate([(image, target), (image, target)], lambda _: probability)
    assert result.loss == pytest.approx(np.log(2))
    assert result.counts.confusion(0.4) == {"tp": 2, "fp": 4, "fn": 0, "tn": 0}
    assert [chip.confusion(0.4)["tp"] for chip in result.chips] == [1, 1]
