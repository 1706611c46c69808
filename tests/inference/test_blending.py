"""The blend of tiles against the field that they were cut from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from building_segmenter.inference.blending import Sheet
from building_segmenter.rasters.probability import NODATA, quantized
from building_segmenter.rasters.tiles import blend_weights, tile_starts

TILE, STRIDE = 16, 12


def blended(field, known, starts, left, width):
    """Blend tiles that are cut from a field into a sheet of some of its columns."""
    rows = min(TILE, field.shape[0])
    sheet = Sheet(field.shape[2], rows, width, field.shape[2] - 1)
    down = np.ones(rows, np.float32)
    for start, across in zip(starts, blend_weights(field.shape[1], TILE, starts), strict=True):
        if start < left + width and start + TILE > left:
            here = slice(start, start + len(across))
            sheet.add(field[:, here].copy(), known[:, here], start - left, down, across)
    return sheet


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_tiles_of_one_field_blend_to_the_field(data):
    height, size = data.draw(st.integers(1, TILE)), data.draw(st.integers(1, 80))
    left = data.draw(st.integers(0, size - 1))
    width = data.draw(st.integers(1, size - left))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    field, known = rng.random((height, size, 3), np.float32), rng.random((height, size)) < 0.8
    starts = tile_starts(size, TILE, STRIDE, data.draw(st.integers(-30, 30)))

    stored = blended(field, known, starts, left, width).stored(0, height)

    here = slice(left, left + width)
    expected = np.stack([quantized(field[:, here, channel], known[:, here]) for channel in (1, 2)])
    assert np.array_equal(stored == NODATA, expected == NODATA)
    assert np.abs(stored.astype(int) - expected).max() <= 1  # a sum of parts may round to the other side


def test_what_is_stored_is_clipped_to_the_scale():
    sheet = Sheet(1, 1, 3, 1)
    one = np.ones(3, np.float32)
    sheet.add(np.array([[[-0.1], [0.5], [1.1]]], np.float32), np.ones((1, 3), bool), 0, one[:1], one)
    assert sheet.stored(0, 1).tolist() == [[[0, 127, 254]]]


@pytest.mark.parametrize("rows", [1, 5, 8, 20])
def test_scrolling_drops_rows_above_and_lets_empty_ones_in(rows):
    rng = np.random.default_rng(1)
    field = rng.random((8, 4, 1), np.float32)
    sheet = Sheet(1, 8, 4, 1)
    sheet.add(field.copy(), np.ones((8, 4), bool), 0, np.ones(8, np.float32), np.ones(4, np.float32))
    sheet.scroll(rows)
    after = sheet.stored(0, 8)
    before = quantized(field[..., 0], np.ones((8, 4), bool))
    assert np.array_equal(after[0, : max(0, 8 - rows)], before[rows:])
    assert (after[:, max(0, 8 - rows) :] == NODATA).all()
