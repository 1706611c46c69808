"""Counts by cells of ground and their bootstrap, on arrays that can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.default_model.cells import CellCounts, count_cells, drawn_ious, estimated, estimated_mean, joined


def cells(*pairs):
    return CellCounts(np.array([one for one, _ in pairs]), np.array([other for _, other in pairs]))


def test_cells_are_counted_where_pixels_lie():
    # Two cells in a row: 80 m of 8 px.
    found, true = np.zeros((4, 8), bool), np.zeros((4, 8), bool)
    found[0, 0:3], true[0, 1:4] = True, True
    found[1, 5] = True
    counts = count_cells(found, true, np.ones((4, 8), bool), (10.0, 10.0))
    assert counts.shared.tolist() == [2, 0]
    assert counts.either.tolist() == [4, 1]
    assert counts.iou == pytest.approx(2 / 5)


def test_width_and_height_of_a_pixel_are_not_exchanged():
    nothing = np.zeros((4, 8), bool)
    assert len(count_cells(nothing, nothing, ~nothing, (10.0, 20.0))) == 2 * 2
    assert len(count_cells(nothing, nothing, ~nothing, (20.0, 10.0))) == 4 * 1


def test_unknown_pixels_do_not_count_and_cells_of_them_alone_are_left_out():
    found, known = np.ones((4, 8), bool), np.ones((4, 8), bool)
    true = found.copy()
    true[:, :2] = False
    known[:, :2], known[:, 4:] = False, False
    counts = count_cells(found, true, known, (10.0, 10.0))
    assert (counts.shared.tolist(), counts.either.tolist()) == ([8], [8])


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1), st.floats(0.5, 30))
def test_cells_add_up_to_the_whole(height, width, seed, side):
    found, true, known = np.random.default_rng(seed).random((3, height, width)) < 0.5
    counts = count_cells(found, true, known, (side, side))
    assert counts.shared.sum() == np.count_nonzero(found & true & known)
    assert counts.either.sum() == np.count_nonzero((found | true) & known)


def test_empty_ground_is_right():
    assert cells((0, 0)).iou == 1.0
    assert drawn_ious(cells((0, 0)), seed=1, draws=5).tolist() == [1.0] * 5


def test_draws_sum_before_they_divide():
    # Of two cells, a draw has one of them twice or both: 1, 0, or (10 + 0) / (10 + 90).
    draws = drawn_ious(cells((10, 10), (0, 90)), seed=3, draws=4000)
    values, times = np.unique(draws.round(6), return_counts=True)
    assert values.tolist() == [0.0, 0.1, 1.0]
    assert times / 4000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_equal_cells_leave_no_doubt_and_unequal_ones_do():
    sure = estimated(cells(*[(7, 10)] * 20))
    assert (sure.value, sure.low, sure.high) == pytest.approx((0.7, 0.7, 0.7))
    unsure = estimated(cells(*[(10, 10), (4, 10)] * 10))
    # The mean of 20 draws of 1 and 0.4 has a standard deviation of 0.3 / sqrt(20).
    spread = 1.96 * 0.3 / np.sqrt(20)
    assert (unsure.value, unsure.low, unsure.high) == pytest.approx((0.7, 0.7 - spread, 0.7 + spread), abs=0.02)


def test_more_cells_narrow_the_interval():
    few, many = (estimated(cells(*[(10, 10), (4, 10)] * count)) for count in (5, 80))
    assert many.high - many.low < 0.4 * (few.high - few.low)


def test_the_mean_counts_towns_alike_whatever_their_size():
    towns = [cells(*[(9, 10)] * 100), cells(*[(5, 10)] * 4)]
    mean = estimated_mean(towns)
    assert (mean.value, mean.low, mean.high) == pytest.approx((0.7, 0.7, 0.7))
    assert joined(towns).iou == pytest.approx(920 / 1040)


def test_the_interval_of_a_mean_is_narrower_than_those_of_its_towns():
    town = cells(*[(10, 10), (4, 10)] * 10)
    one, mean = estimated(town), estimated_mean([town, town, town])
    assert (mean.high - mean.low) / (one.high - one.low) == pytest.approx(3**-0.5, abs=0.06)
