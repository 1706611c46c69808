"""Datasets that go together, and those that do not."""

from pathlib import Path

import numpy as np
import pytest

from building_segmenter.chips.dataset import ChipDataset, ChipEntry
from building_segmenter.errors import BandsError, InputUnreadableError, InvalidParameterError, NoDataError
from building_segmenter.training.datasets import join_datasets


def dataset(name="a", *, gsd=0.15, bands=3, dtype="uint8", train=4, validation=1, mean=100.0, std=10.0, tile_size=64):
    statistics = [{"min": 0.0, "max": 200.0, "mean": mean, "std": std}] * bands
    chips = [ChipEntry(str(i), "train" if i < train else "validation") for i in range(train + validation)]
    return ChipDataset(
        Path("/d") / name, (gsd, gsd), tile_size, bands, dtype, statistics, [{"value": 1, "name": "building"}], chips
    )


def test_chips_of_all_datasets_are_gathered():
    data = join_datasets([dataset("a"), dataset("b", train=2, validation=3, tile_size=128)])
    assert [len(chips) for chips in data.train] == [4, 2]
    assert len(data.validation) == 4
    assert data.tile_size == 128
    assert data.validation[0].title == "a/4"


def test_statistics_are_those_of_the_pooled_pixels():
    rng = np.random.default_rng(0)
    parts = [rng.normal(80, 10, 40_000), rng.normal(140, 30, 10_000)]
    sets = [dataset(str(i), mean=part.mean(), std=part.std(), train=len(part) // 1000) for i, part in enumerate(parts)]
    pooled = np.concatenate(parts)
    joined = join_datasets(sets).statistics[0]
    assert joined["mean"] == pytest.approx(pooled.mean())
    assert joined["std"] == pytest.approx(pooled.std())


def test_ground_pixel_is_the_geometric_mean():
    assert join_datasets([dataset("a", gsd=0.16), dataset("b", gsd=0.14)]).gsd == pytest.approx((0.16 * 0.14) ** 0.5)


def test_ground_pixels_too_far_apart_are_named():
    with pytest.raises(InvalidParameterError, match=r"/d/a, 0\.1 m, is too far from 0\.224 m") as caught:
        join_datasets([dataset("a", gsd=0.1), dataset("b", gsd=0.5)])
    assert "GSD 0.224" in caught.value.hint


def test_chips_of_another_ground_pixel_are_resampled_to_the_one_that_is_asked_for():
    data = join_datasets([dataset("a", gsd=0.3), dataset("b", gsd=0.16), dataset("c", gsd=0.1)], gsd=0.15)
    assert [chips[0].zoom for chips in data.train] == pytest.approx([2.0, 1.0, 2 / 3])
    assert [chip.zoom for chip in data.validation] == pytest.approx([2.0, 1.0, 2 / 3])
    assert (data.gsd, data.tile_size) == (0.15, 128)


@pytest.mark.parametrize("other", [{"bands": 4}, {"dtype": "uint16"}])
def test_other_bands_are_refused(other):
    with pytest.raises(BandsError, match=r"/d/a .*/d/b"):
        join_datasets([dataset("a"), dataset("b", **other)])


@pytest.mark.parametrize(("missing", "word"), [("train", "training"), ("validation", "validation")])
def test_missing_split_is_told_with_what_to_do(missing, word):
    with pytest.raises(NoDataError, match=f"no {word} chips") as caught:
        join_datasets([dataset("a", **{missing: 0})])
    assert "VALIDATION" in caught.value.hint


def test_one_dataset_may_hold_only_validation():
    assert len(join_datasets([dataset("a", validation=0), dataset("b", train=0)]).validation) == 1


def test_missing_statistics_are_refused():
    broken = dataset("a")
    broken.statistics.pop()
    with pytest.raises(InputUnreadableError, match="2 bands for 3"):
        join_datasets([broken])
