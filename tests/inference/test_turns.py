"""Turned copies of a tile, and the mean of what is predicted of them."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from building_segmenter.inference.turns import TURNS, mean_over_turns, turned, turned_back


def sides(choice):
    """Return a small square as each turn of a choice shows it."""
    square = np.arange(9).reshape(3, 3, 1)
    return {turned(square, turn).tobytes() for turn in TURNS[choice]}


def test_there_are_as_many_sides_as_promised():
    assert [len(sides(choice)) for choice in ("none", "flips", "turns")] == [1, 4, 8]
    assert sides("none") < sides("flips") < sides("turns")


def test_flips_are_the_image_its_two_mirrors_and_both():
    square = np.arange(9).reshape(3, 3, 1)
    assert sides("flips") == {part.tobytes() for part in (square, square[::-1], square[:, ::-1], square[::-1, ::-1])}


@hypothesis.given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 3), st.sampled_from(TURNS["turns"]))
def test_turned_back_is_as_it_was(height, width, channels, turn):
    image = np.random.default_rng(1).random((height, width, channels))
    np.testing.assert_array_equal(turned_back(turned(image, turn), turn), image)


def eastward(tile):
    """A predictor that knows left from right and up from down."""
    height, width = tile.shape[:2]
    ramp = np.arange(width, dtype=np.float32) + 100 * np.arange(height, dtype=np.float32)[:, None]
    return tile[..., :1] * ramp[..., None]


@pytest.mark.parametrize("choice", TURNS)
def test_the_mean_is_that_of_all_turns(choice):
    tile = np.random.default_rng(2).random((6, 6, 3), np.float32)
    expected = np.mean([turned_back(eastward(turned(tile, turn)), turn) for turn in TURNS[choice]], axis=0)
    np.testing.assert_allclose(mean_over_turns(eastward, tile, TURNS[choice]), expected, rtol=1e-6)


def test_the_mean_of_all_turns_knows_no_direction():
    tile = np.ones((6, 6, 3), np.float32)
    mean = mean_over_turns(eastward, tile, TURNS["turns"])
    np.testing.assert_allclose(mean, np.full_like(mean, mean[2, 3, 0]), rtol=1e-6)
    assert np.ptp(eastward(tile)) > 100


def test_without_turns_the_prediction_is_returned_as_it_is():
    tile = np.random.default_rng(3).random((4, 4, 3), np.float32)
    given = eastward(tile)
    assert mean_over_turns(lambda _: given, tile, TURNS["none"]).tobytes() == given.tobytes()
