"""Rows that come in any heights are written by rows of blocks, each once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from building_segmenter.rasters.probability import in_block_rows


@given(st.lists(st.integers(0, 1300), min_size=1, max_size=8))
def test_rows_are_the_same_in_rows_of_blocks(heights):
    whole = (np.arange(2 * sum(heights) * 3) % 251).astype(np.uint8).reshape(2, sum(heights), 3)
    ends = np.cumsum(heights)
    parts = (whole[:, end - height : end] for height, end in zip(heights, ends, strict=True))
    given_out = list(in_block_rows(parts))
    assert [top for top, _ in given_out] == list(range(0, sum(heights), 512))
    assert all(rows.shape[1] == 512 for _, rows in given_out[:-1])
    if given_out:
        np.testing.assert_array_equal(np.concatenate([rows for _, rows in given_out], axis=1), whole)
