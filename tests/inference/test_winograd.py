"""Convolutions by minimal filtering are convolutions."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from building_segmenter.inference import winograd
from building_segmenter.inference.winograd import WinogradConvolution, Workers


@pytest.fixture(scope="module")
def workers():
    return Workers(3)


def drawn(seed, shape, channels, outputs):
    random = np.random.default_rng(seed)
    shapes = (*shape, channels), (3, 3, channels, outputs), (outputs,)
    return [random.standard_normal(one).astype(np.float32) for one in shapes]


def by_definition(images, weights, bias):
    height, width = images.shape[1:3]
    padded = np.pad(images.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    moved = [padded[:, i : i + height, j : j + width] @ weights[i, j] for i in range(3) for j in range(3)]
    return sum(moved) + bias


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 1000), st.integers(1, 3), st.tuples(*[st.integers(1, 15)] * 2), st.tuples(*[st.integers(1, 9)] * 2)
)
def test_it_is_a_convolution(workers, seed, count, shape, planes):
    (height, width), (channels, outputs) = shape, planes
    images, weights, bias = drawn(seed, (count, height, width), channels, outputs)
    found = WinogradConvolution(weights, bias, False, workers)(images)
    np.testing.assert_allclose(found, by_definition(images, weights, bias), atol=3e-5)


def test_many_channels_keep_five_digits(workers):
    images, weights, bias = drawn(1, (1, 24, 24), 256, 32)
    expected = by_definition(images, weights, bias)
    off = np.abs(WinogradConvolution(weights, bias, False, workers)(images) - expected) / expected.std()
    assert off.max() < 2e-5 and np.sqrt((off**2).mean()) < 2e-6


def test_a_relu_takes_what_is_below_zero(workers):
    images, weights, bias = drawn(2, (2, 9, 9), 4, 4)
    plain, cut = (WinogradConvolution(weights, bias, relu, workers)(images) for relu in (False, True))
    assert (plain < 0).any()
    np.testing.assert_array_equal(cut, np.maximum(plain, 0))


def test_one_after_the_other_and_side_by_side_give_the_same_bytes(workers):
    images, weights, bias = drawn(3, (6, 37, 41), 8, 8)
    assert 6 * 10 * 11 > 2 * winograd._TILES_AT_ONCE  # several blocks, the last not full
    once = WinogradConvolution(weights, bias, True, Workers(1))(images)
    convolution = WinogradConvolution(weights, bias, True, workers)
    with ThreadPoolExecutor(4) as callers:
        for other in callers.map(convolution, [images] * 8):
            np.testing.assert_array_equal(once, other)


def test_convolutions_of_several_widths_share_their_workers(workers):
    for channels, outputs in ((3, 5), (9, 2), (1, 7)):
        images, weights, bias = drawn(5, (1, 70, 66), channels, outputs)
        found = WinogradConvolution(weights, bias, False, workers)(images)
        np.testing.assert_allclose(found, by_definition(images, weights, bias), atol=3e-5)


def test_an_image_does_not_depend_on_those_beside_it(workers):
    images, weights, bias = drawn(4, (3, 14, 14), 6, 5)
    convolution = WinogradConvolution(weights, bias, False, workers)
    together = convolution(images)
    for image, found in zip(images, together, strict=True):
        np.testing.assert_allclose(convolution(image[None])[0], found, atol=1e-5)
