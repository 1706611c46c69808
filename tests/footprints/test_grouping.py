"""Batches of whole groups: nothing is lost, groups are whole, and the layer's order comes back."""

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from building_segmenter.footprints.grouping import close_groups, in_order, whole_groups
from building_segmenter.geo.vectors import Batch


def boxes_at(lefts, width=10.0):
    lefts = np.asarray(lefts, float)
    return np.stack([lefts, np.zeros(len(lefts)), lefts + width, np.full(len(lefts), 10.0)], axis=1)


def test_rows_of_boxes_that_touch_are_one_group():
    assert list(close_groups(boxes_at([0, 100, 10, 20, 110]), 0.0)) == [0, 1, 0, 0, 1]


def test_a_gap_is_bridged():
    assert list(close_groups(boxes_at([0, 11, 30]), 0.5)) == [0, 1, 2]
    assert list(close_groups(boxes_at([0, 11, 30]), 1.0)) == [0, 0, 1]


def test_features_without_a_place_are_alone():
    boxes = boxes_at([0, np.nan, 5, np.nan])
    boxes[3] = np.nan
    assert list(close_groups(boxes, 0.0)) == [0, 1, 0, 2]
    assert list(close_groups(boxes[1:2], 0.0)) == [0]


def test_one_giant_does_not_join_all():
    boxes = np.concatenate([boxes_at(np.arange(200) * 20.0), [[-1e6, -1e6, 1e6, 1e6]]])
    assert len(set(close_groups(boxes, 0.0))) == 201


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 60), st.floats(0, 4))
def test_groups_are_the_connected_parts(seed, count, gap):
    random = np.random.default_rng(seed)
    low = random.uniform(0, 60, (count, 2))
    boxes = np.concatenate([low, low + random.uniform(1, 12, (count, 2))], axis=1)
    groups = close_groups(boxes, gap)
    near = (boxes[:, None, :2] - gap <= boxes[None, :, 2:]).all(2)
    near &= near.T
    reached = np.linalg.matrix_power(near.astype(float), count) > 0
    np.testing.assert_array_equal(groups[:, None] == groups[None, :], reached)
    assert list(dict.fromkeys(groups)) == list(range(groups.max() + 1))


def batches_of(count, size):
    for start in range(0, count, size):
        rows = np.arange(start, min(start + size, count))
        geometry = np.array([shapely.Point(k, 0) for k in rows], object)
        odd = {k: b"odd%d" % row for k, row in enumerate(rows) if row % 7 == 0}
        yield Batch(geometry, pa.record_batch({"number": pa.array(rows)}), rows.astype(np.int64), odd)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 200), st.integers(1, 50), st.integers(1, 40))
def test_whole_groups_and_back(seed, count, read, size):
    groups = np.unique(np.random.default_rng(seed).integers(0, max(count // 3, 1), count), return_inverse=True)[1]
    seen = []

    def work():
        for rows, batch in whole_groups(batches_of(count, read), groups, size):
            assert batch.fields["number"].to_pylist() == list(rows)
            seen.append(set(groups[rows]))
            yield rows, batch

    given_back = list(in_order(work(), size))
    assert sum(map(len, seen)) == len(set().union(*seen)), "a group was cut"
    numbers = [number for batch in given_back for number in batch.fields["number"].to_pylist()]
    assert numbers == list(range(count))
    assert [point.x for batch in given_back for point in batch.geometry] == numbers
    assert all(len(batch) <= size for batch in given_back)
    odd = [batch.fields["number"][k].as_py() for batch in given_back for k in batch.odd]
    assert odd == [number for number in numbers if number % 7 == 0]


@pytest.mark.parametrize("order", ["by place", "strewn"])
def test_little_waits_where_a_layer_is_ordered_by_place(order):
    groups = np.repeat(np.arange(2000), 3)
    if order == "strewn":
        groups = np.unique(np.random.default_rng(1).permutation(groups), return_inverse=True)[1]
    first = next(iter(whole_groups(batches_of(6000, 100), groups, 100)))[0]
    assert (first.max() < 300) == (order == "by place")
