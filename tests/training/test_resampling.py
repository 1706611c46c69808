"""Chips read at another ground pixel: image and labels stay together."""

import numpy as np
import pytest

from building_segmenter.training.resampling import resized_image, resized_labels


def disc(size):
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    return np.hypot(x - 0.55, y - 0.4) < 0.25


@pytest.mark.parametrize("zoom", [0.5, 0.7, 1.3, 2.0])
def test_labels_follow_the_image(zoom):
    inside = disc(100)
    image = np.where(inside, 200, 50).astype(np.uint8)[..., None]
    label = np.where(inside, 1, 0).astype(np.uint8)
    new_image, new_label = resized_image(image, zoom), resized_labels(label, zoom)
    side = round(100 * zoom)
    assert new_image.shape == (side, side, 1)
    assert new_image.dtype == np.uint8
    # Only pixels that the edge crosses may differ.
    assert ((new_image[..., 0] > 125) != new_label).mean() < 0.02
    assert (disc(side) != new_label).mean() < 0.02


def test_values_are_kept_and_labels_never_mixed():
    image = np.full((40, 30, 2), 1234, np.uint16)
    assert (resized_image(image, 0.6) == 1234).all()
    label = np.random.default_rng(0).choice([0, 3, 255], (40, 30)).astype(np.uint8)
    assert set(np.unique(resized_labels(label, 1.7))) == {0, 3, 255}


def test_fine_stripes_become_grey_not_moire():
    stripes = np.zeros((64, 64, 1), np.float32)
    stripes[:, ::2] = 1.0
    smaller = resized_image(stripes, 0.5)[4:-4, 4:-4]
    assert abs(smaller - 0.5).max() < 0.2
