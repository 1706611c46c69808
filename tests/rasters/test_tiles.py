import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from building_segmenter.rasters.tiles import blend_weights, tile_axis, tile_starts

sizes = st.integers(1, 3000)
tiles = st.sampled_from([16, 64, 128, 512])


@given(sizes, tiles, st.floats(0.25, 1.0), st.integers(-(10**7), 10**7))
def test_tiles_cover_the_axis_and_stay_inside(size, tile, share, index):
    stride = max(1, round(tile * share))
    starts = tile_starts(size, tile, stride, index)
    covered = np.zeros(size, bool)
    for start in starts:
        assert start >= 0
        assert start + tile <= max(size, tile)
        covered[start : start + tile] = True
    assert covered.all()
    assert starts == sorted(set(starts))


@given(sizes, tiles, st.floats(0.25, 1.0), st.integers(-(10**7), 10**7))
def test_inner_tiles_begin_on_the_world_lattice(size, tile, share, index):
    stride = max(1, round(tile * share))
    starts = tile_starts(size, tile, stride, index)
    for start in starts[1:-1]:
        assert (start + index) % stride == 0


@given(sizes, tiles, st.floats(0.25, 1.0), st.integers(-(10**7), 10**7))
def test_weights_sum_to_one_everywhere(size, tile, share, index):
    starts = tile_starts(size, tile, max(1, round(tile * share)), index)
    total = np.zeros(size)
    for start, weights in zip(starts, blend_weights(size, tile, starts), strict=True):
        assert len(weights) == min(tile, size)
        assert (weights > 0).all()
        total[start : start + len(weights)] += weights
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


def test_abutting_axes_share_their_inner_tiles():
    whole = tile_starts(4000, 512, 384, 1000)
    right = [start + 2000 for start in tile_starts(2000, 512, 384, 3000)]
    assert set(right[1:-1]) <= set(whole)


@pytest.mark.parametrize(
    ("size", "index", "starts"),
    [
        (1000, 0, [0, 384, 488]),
        (1000, 100, [0, 284, 488]),
        (1000, -8, [0, 8, 392, 488]),
        (512 + 384, 0, [0, 384]),
        (513, 0, [0, 1]),
        (512, 77, [0]),
        (300, 77, [0]),
    ],
)
def test_the_first_and_the_last_tile_shift_inwards(size, index, starts):
    assert tile_starts(size, 512, 384, index) == starts


@given(sizes, tiles, st.floats(0.25, 1.0), st.integers(-(10**7), 10**7))
def test_no_pixel_is_seen_twice_beyond_the_overlap_but_at_the_ends(size, tile, share, index):
    stride = max(1, round(tile * share))
    steps = np.diff(tile_starts(size, tile, stride, index))
    assert (steps[1:-1] == stride).all()
    assert (steps <= stride).all()
    assert len(steps) <= -(-max(size - tile, 0) // stride) + 1


@pytest.mark.parametrize(
    ("size", "index", "starts", "pixels"),
    [
        (1000, 0, [0, 384, 488], (488, 512)),
        (1001, 0, [0, 384, 492], (492, 509)),
        (1000, 101, [-1, 283, 491], (491, 509)),
        (513, 3, [-3, 1], (1, 512)),
        (300, 0, [0], (0, 300)),
    ],
)
def test_tiles_of_cells_begin_on_lines_of_cells(size, index, starts, pixels):
    axis = tile_axis(size, 512, 0.25, index, None, 4)
    assert axis.starts == starts
    assert all((start + index) % 4 == 0 for start in starts)
    assert axis.pixels(len(starts) - 1) == pixels
    assert axis.pixels(0) == (0, min(512 + starts[0], size))


@given(st.integers(1, 300), st.integers(-100, 100), st.sampled_from([1, 2, 4, 8]), st.data())
def test_a_run_gets_the_tiles_of_all_cells_that_its_pixels_need(size, index, factor, data):
    index = index if size > 64 else 0
    first = data.draw(st.integers(0, size - 1))
    run = first, data.draw(st.integers(1, size - first))
    whole, part = tile_axis(size, 64, 0.25, index, None, factor), tile_axis(size, 64, 0.25, index, run, factor)
    low, high = part.needed(*run)
    assert set(part.cells) == {cell for cell in whole.cells if cell < high and cell + 64 // factor > low}
    # A pixel lies between the centres of the two cells that it needs.
    for pixel in (run[0], run[0] + run[1] - 1):
        before, behind = part.needed(pixel, 1)
        centre = (pixel + part.phase + 0.5) / factor
        assert before + 0.5 <= centre < before + 1.5
        assert behind == before + (1 if factor == 1 else 2)


@given(st.integers(65, 300), st.integers(-100, 100), st.sampled_from([1, 2, 4, 8]))
def test_pixels_are_finished_that_need_no_cell_of_later_tiles(size, index, factor):
    axis = tile_axis(size, 64, 0.25, index, None, factor)
    for cell in axis.cells[1:]:
        finished = [axis.needed(pixel, 1)[1] <= cell for pixel in range(size)]
        assert finished == [pixel < axis.finished(cell) for pixel in range(size)]
