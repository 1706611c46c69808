"""The blend of tiles against the field that they were cut from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from building_segmenter.inference.blending import Sheet
from building_segmenter.inference.ending import OfLogits, OfProbabilities, Run
from building_segmenter.rasters.probability import NODATA, quantized
from building_segmenter.rasters.tiles import tile_axis

TILE, OVERLAP = 16, 0.25


def blended(tile_at, channels, known, rows, columns, ending):
    """Blend tiles; return what is stored of all.

    Args:
        tile_at: Returns a tile (rows, columns, channels) by its first row and column of cells.
    """
    sheet, parts = Sheet(channels, rows, columns, ending), []
    for row, down in enumerate(rows.cells):
        top, height = rows.pixels(row)
        for column, across in enumerate(columns.cells):
            left, width = columns.pixels(column)
            sheet.add(tile_at(down, across).copy(), known[top : top + height, left : left + width], row, column)
        parts.append(sheet.end_row(row))
    return np.concatenate([part for part in parts if part.shape[1]], axis=1)


def cut_from(field, rows, columns):
    """Return what cuts tiles from a field of cells (rows, columns, channels)."""
    return lambda down, across: field[down : down + rows.tile_cells, across : across + columns.tile_cells]


def drawn_axis(data, factor):
    """Draw an axis, and a run of its pixels; one no longer than a tile begins on the lattice, as in `ModelGrid`."""
    size = data.draw(st.integers(1, 70))
    first = data.draw(st.integers(0, size - 1))
    index = data.draw(st.integers(-30, 30)) if size > TILE else 0
    return tile_axis(size, TILE, OVERLAP, index, (first, data.draw(st.integers(1, size - first))), factor)


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_tiles_of_one_field_blend_to_the_field(data):
    rows, columns = drawn_axis(data, 1), drawn_axis(data, 1)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    field = rng.random((rows.size, columns.size, 3), np.float32)
    known = rng.random(field.shape[:2]) < 0.8

    stored = blended(cut_from(field, rows, columns), 3, known, rows, columns, OfProbabilities(1))

    here = np.s_[rows.first : rows.first + rows.count, columns.first : columns.first + columns.count]
    expected = np.stack([quantized(field[here][..., channel], known[here]) for channel in (1, 2)])
    assert np.array_equal(stored == NODATA, expected == NODATA)
    assert np.abs(stored.astype(int) - expected).max() <= 1  # a sum of parts may round to the other side


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_tiles_of_one_field_of_logits_end_as_the_whole_field_does(data):
    import keras

    factor, shared = data.draw(st.sampled_from([2, 4, 8])), data.draw(st.booleans())
    rows, columns = drawn_axis(data, factor), drawn_axis(data, factor)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    field = rng.normal(0, 3, (rows.cell_count, columns.cell_count, 3)).astype(np.float32)
    known = rng.random((rows.size, columns.size)) < 0.8

    ending = OfLogits(factor, 1, shared=shared)
    stored = blended(cut_from(field, rows, columns), 3, known, rows, columns, ending)

    large = np.asarray(keras.layers.UpSampling2D(factor, interpolation="bilinear")(field[None]))[0].astype(np.float64)
    whole = np.exp(large) / np.exp(large).sum(axis=2, keepdims=True) if shared else 1 / (1 + np.exp(-large))
    # Cells begin on the lattice, before the raster.
    whole = whole[rows.phase : rows.phase + rows.size, columns.phase : columns.phase + columns.size]
    here = np.s_[rows.first : rows.first + rows.count, columns.first : columns.first + columns.count]
    expected = np.moveaxis(whole[here][..., 1:], 2, 0) * 254
    valid = known[here]
    assert (stored[:, ~valid] == NODATA).all()
    assert np.abs(stored[:, valid] - expected[:, valid]).max(initial=0) <= 0.501


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_part_of_a_raster_gets_the_bytes_of_the_whole(data):
    factor = data.draw(st.sampled_from([1, 4]))
    index, size = data.draw(st.integers(-30, 30)), data.draw(st.integers(TILE + 1, 90))
    first = data.draw(st.integers(0, size - 1))
    count = data.draw(st.integers(1, size - first))
    rows, whole = (tile_axis(size, TILE, OVERLAP, index, run, factor) for run in ((first, count), (0, size)))
    columns = tile_axis(9, TILE, OVERLAP, 0, None, factor)
    ending = OfProbabilities(0) if factor == 1 else OfLogits(factor, 0, shared=False)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    # Tiles of their own, as a network gives them: no two agree on a cell.
    tiles = rng.random((whole.cell_count, whole.tile_cells, columns.cell_count, 1), np.float32)

    known = np.ones((size, columns.size), bool)

    def stored(axis):
        return blended(lambda down, across: tiles[down], 1, known, axis, columns, ending)

    assert stored(rows).tobytes() == stored(whole)[:, first : first + count].tobytes()


def test_what_is_stored_is_clipped_to_the_scale():
    cells = np.array([[[-0.1, 0.5, 1.1]]], np.float32)
    stored = OfProbabilities(0).stored(cells, Run(0, 1), Run(0, 3), np.ones((1, 3), bool))
    assert stored.tolist() == [[[0, 127, 254]]]


@pytest.mark.parametrize("shared", [False, True])
def test_logits_of_any_size_end_at_the_scales_ends(shared):
    cells = np.full((2, 3, 3), 3e38, np.float32) * np.array([-1, 1], np.float32)[:, None, None]
    with np.errstate(over="raise", invalid="raise"):
        stored = OfLogits(2, 0, shared=shared).stored(cells, Run(1, 4), Run(1, 4), np.ones((4, 4), bool))
    assert (stored[0] == 0).all()
    assert (stored[1] == 254).all()


def test_of_large_logits_that_share_a_probability_the_difference_counts():
    cells = np.full((2, 3, 3), 60, np.float32) - np.array([0, 15], np.float32)[:, None, None]
    stored = OfLogits(2, 0, shared=True).stored(cells, Run(1, 4), Run(1, 4), np.ones((4, 4), bool))
    assert (stored[0] == 254).all()
    assert (stored[1] == 0).all()


def test_a_pixel_that_no_tile_knows_is_nodata():
    rows, columns = tile_axis(40, TILE, OVERLAP, 0, None, 4), tile_axis(16, TILE, OVERLAP, 0, None, 4)
    sheet = Sheet(1, rows, columns, OfLogits(4, 0, shared=False))
    known = np.zeros((16, 16), bool)
    known[3, 5] = True
    sheet.add(np.zeros((4, 4, 1), np.float32), known, 0, 0)
    stored = sheet.end_row(0)
    assert stored[0, 3, 5] == 127
    assert (stored != NODATA).sum() == 1
