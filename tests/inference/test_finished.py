"""Blocks of finished rows: kept as they come, and only what is whole on the disk is gone on from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from building_segmenter.errors import CancelledError
from building_segmenter.inference import finished
from building_segmenter.inference.finished import FinishedBlocks
from building_segmenter.progress import Progress
from building_segmenter.resume import Journal, resumable_state

WIDTH, BANDS = 7, 2


def rows_of(heights, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (BANDS, height, WIDTH), np.uint8) for height in heights]


def stopped_after(target, parts, count):
    """Keep the first parts, and stop; returns the state folder."""

    def some():
        yield from parts[:count]
        raise CancelledError

    with pytest.raises(CancelledError), resumable_state(target, {}, Progress(), resume=True) as state:
        list(FinishedBlocks(*state, BANDS, WIDTH).keeping(some()))
    return target.with_name(f"{target.name}.partial") / "result"


def gone_on(target):
    """Return what the next run finds: the number of rows, and these."""
    with resumable_state(target, {}, Progress(), resume=True) as (folder, journal):
        blocks = FinishedBlocks(folder, journal, BANDS, WIDTH)
        return blocks.rows, np.concatenate([np.zeros((BANDS, 0, WIDTH), np.uint8), *blocks.earlier()], axis=1)


@given(heights=st.lists(st.integers(1, 40), min_size=1, max_size=8), data=st.data())
def test_what_was_kept_comes_back(tmp_path_factory, heights, data):
    parts, count = rows_of(heights), data.draw(st.integers(0, len(heights)))
    target = tmp_path_factory.mktemp("kept") / "out.tif"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finished, "_LEAST_BYTES", data.draw(st.integers(1, 1500)))
        stopped_after(target, parts, count)
        rows, values = gone_on(target)
    whole = np.concatenate(parts, axis=1)
    # The last ones may have waited for company.
    assert rows in np.cumsum([0, *heights[:count]])
    np.testing.assert_array_equal(values, whole[:, :rows])


def test_every_part_is_given_out_and_the_last_is_kept_too(tmp_path):
    parts = rows_of([3, 5, 2])
    with resumable_state(tmp_path / "out.tif", {}, Progress(), resume=True) as (folder, journal):
        blocks = FinishedBlocks(folder, journal, BANDS, WIDTH)
        given_out = list(blocks.keeping(part for part in parts))
        assert blocks.rows == 10
        assert len(list(folder.iterdir())) == 1
    assert [one.shape[1] for one in given_out] == [3, 5, 2]


@pytest.mark.parametrize("damage", ["cut", "gone", "other"])
def test_from_a_block_that_is_not_whole_on_all_is_forgotten(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(finished, "_LEAST_BYTES", 1)
    target, parts = tmp_path / "out.tif", rows_of([4, 4, 4, 4])
    block = stopped_after(target, parts, 4) / "2.rows"
    if damage == "gone":
        block.unlink()
    else:
        content = block.read_bytes()
        block.write_bytes(content[:-5] if damage == "cut" else content[:-1] + b"\x01")
    rows, values = gone_on(target)
    assert rows == 8
    np.testing.assert_array_equal(values, np.concatenate(parts[:2], axis=1))


def test_what_is_kept_after_a_lost_block_takes_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(finished, "_LEAST_BYTES", 1)
    target, parts = tmp_path / "out.tif", rows_of([4, 4, 4, 4])
    (stopped_after(target, parts, 3) / "1.rows").unlink()
    stopped_after(target, parts[1:], 2)
    rows, values = gone_on(target)
    assert rows == 12
    np.testing.assert_array_equal(values, np.concatenate(parts[:3], axis=1))


def test_without_a_folder_nothing_is_kept():
    blocks = FinishedBlocks(None, Journal([]), BANDS, WIDTH)
    assert len(list(blocks.keeping(part for part in rows_of([3, 4])))) == 2
    assert (blocks.rows, list(blocks.earlier())) == (0, [])


def test_a_block_that_cannot_be_written_leaves_no_part_of_itself(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(finished, "_LEAST_BYTES", 1)
    monkeypatch.setattr(finished.os, "fsync", full)
    blocks = FinishedBlocks(tmp_path, Journal([]), BANDS, WIDTH)
    with pytest.raises(OSError, match="No space"):
        list(blocks.keeping(part for part in rows_of([3])))
    assert list(tmp_path.iterdir()) == []
