"""Parts of the training chips: spread, nested, in proportion."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from building_segmenter.chips.dataset import ChipDataset, ChipEntry
from building_segmenter.training.datasets import join_datasets
from building_segmenter.training.limits import curve_sizes, limited

BAND = {"min": 0.0, "max": 200.0, "mean": 100.0, "std": 10.0}


def data_of(*counts):
    datasets = [
        ChipDataset(
            Path("/d") / str(number), (0.2, 0.2), 64, 1, "uint8", [BAND], [{"value": 1, "name": "building"}],
            [ChipEntry(str(i), "train") for i in range(count)] + [ChipEntry("v", "validation")],
        )
        for number, count in enumerate(counts)
    ]  # fmt: skip
    return join_datasets(datasets)


def names(data):
    return [[int(chip.entry.name) for chip in chips] for chips in data.train]


@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=3).filter(any),
    limit=st.integers(1, 60),
    seed=st.integers(0, 5),
)
def test_as_many_as_asked_and_the_smaller_part_within_the_larger(counts, limit, seed):
    data = data_of(*counts)
    part, larger = limited(data, limit, seed), limited(data, limit + 1, seed)
    assert sum(map(len, part.train)) == min(limit, sum(counts))
    assert all(set(few) <= set(more) for few, more in zip(names(part), names(larger), strict=True))
    assert part.validation == data.validation


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("limit", [4, 8, 16])
def test_every_stretch_of_the_rows_is_seen(limit, seed):
    (chosen,) = names(limited(data_of(128), limit, seed))
    stretches = np.bincount(np.array(chosen) * limit // 128, minlength=limit)
    assert (stretches == 1).all()


def test_columns_of_a_regular_grid_are_not_left_out():
    # 8 chips a row: every eighth chip would lie in one column.
    (chosen,) = names(limited(data_of(256), 32, 1))
    assert len({chip % 8 for chip in chosen}) >= 6


def test_datasets_give_in_proportion():
    assert [len(chips) for chips in limited(data_of(300, 100), 40, 1).train] == [30, 10]


def test_same_seed_same_part_another_seed_another():
    data = data_of(50)
    assert limited(data, 10, 1) == limited(data, 10, 1)
    assert names(limited(data, 10, 1)) != names(limited(data, 10, 2))


@pytest.mark.parametrize(
    ("chips", "parts", "sizes"), [(80, 4, [10, 20, 40, 80]), (80, 1, [80]), (3, 5, [1, 2, 3]), (1, 10, [1])]
)
def test_parts_of_a_learning_curve_double(chips, parts, sizes):
    assert curve_sizes(chips, parts) == sizes
