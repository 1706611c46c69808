"""Varied chips: labels follow their image exactly, unknown ground stays unknown, colours move within reason."""

from dataclasses import fields

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from building_segmenter.training.augmentation import draw_place, draw_variation, recolour, warp  # noqa: E402
from building_segmenter.training.datasets import IGNORE  # noqa: E402


def blob(size=96):
    """An image whose brightness is the label itself: a soft-edged disc off centre."""
    y, x = np.mgrid[:size, :size]
    inside = np.hypot(x - size * 0.55, y - size * 0.4) < size * 0.25
    image = np.repeat(np.where(inside, 200, 50).astype(np.uint8)[..., None], 3, axis=-1)
    return image, inside.astype(np.uint8)[..., None]


@pytest.mark.parametrize("seed", range(20))
def test_labels_follow_the_image(seed):
    image, target = blob()
    variation = draw_variation(np.random.default_rng(seed), (96, 96), 64, 3)
    warped, labels = (part.numpy() for part in warp(image, target, variation.transform, 64))
    known = labels[..., 0] != IGNORE
    bright = warped[..., 0] > 125
    # Bilinear and nearest may part on the very edge of the disc, some 150 px long; nowhere else.
    assert (bright != (labels[..., 0] == 1))[known].mean() < 0.01
    assert labels.shape == (64, 64, 1)
    assert set(np.unique(labels)) <= {0, 1, IGNORE}


@pytest.mark.parametrize("seed", range(5))
def test_place_only_gives_the_very_pixels_of_the_chip(seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (96, 80, 3), np.uint8)
    target = rng.integers(0, 2, (96, 80, 1), np.uint8)
    warped, labels = (part.numpy() for part in warp(image, target, draw_place(rng, (96, 80), 64, 3).transform, 64))
    windows = [(y, x) for y in range(33) for x in range(17) if (image[y : y + 64, x : x + 64] == warped).all()]
    assert len(windows) == 1
    y, x = windows[0]
    np.testing.assert_array_equal(labels, target[y : y + 64, x : x + 64])


def test_chip_smaller_than_the_crop_is_padded_with_unknown():
    image, target = np.full((40, 40, 3), 7, np.uint8), np.ones((40, 40, 1), np.uint8)
    place = draw_place(np.random.default_rng(0), (40, 40), 64, 3)
    warped, labels = (part.numpy() for part in warp(image, target, place.transform, 64))
    assert (labels == 1).sum() == 40 * 40
    assert (labels == IGNORE).sum() == 64 * 64 - 40 * 40
    assert (warped == 7).all()  # mirrored, so that the network meets no black frame


def test_unknown_pixels_stay_unknown():
    image, _ = blob()
    target = np.full((96, 96, 1), IGNORE, np.uint8)
    _, labels = warp(image, target, draw_variation(np.random.default_rng(1), (96, 96), 64, 3).transform, 64)
    assert (labels.numpy() == IGNORE).all()


def test_rotation_by_quarters_and_flips_reach_all_eight_positions():
    seen = set()
    image, target = np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 1), np.uint8)
    image[2, 1] = 255
    for seed in range(200):
        variation = draw_variation(np.random.default_rng(seed), (9, 9), 9, 3)
        turn = variation.transform
        if min(abs(turn[0]), abs(turn[1])) < 1e-6:
            warped, _ = warp(image, target, turn, 9)
            y, x = np.unravel_index(warped.numpy()[..., 0].argmax(), (9, 9))
            seen.add((int(np.sign(y - 4)), int(np.sign(x - 4)), abs(y - 4) > abs(x - 4)))
    assert len(seen) == 8


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_colours_change_but_stay_in_range(bands):
    rng = np.random.default_rng(2)
    image = rng.uniform(0, 1, (32, 32, bands)).astype(np.float32)
    changes = []
    for _ in range(20):
        variation = draw_variation(rng, (32, 32), 32, bands)
        result = recolour(image, {f.name: getattr(variation, f.name) for f in fields(variation)}, clip=True).numpy()
        assert np.isfinite(result).all()
        assert result.min() >= 0.0
        assert result.max() <= 1.0
        changes.append(np.abs(result - image).mean())
    assert 0.03 < np.mean(changes) < 0.3


def test_grey_images_stay_grey_under_hue_and_saturation():
    from building_segmenter.training.augmentation import _hue_rotation

    for angle in (-0.3, 0.2):
        np.testing.assert_allclose(np.full(3, 0.4) @ _hue_rotation(angle), np.full(3, 0.4), atol=1e-12)


def test_same_seed_same_variation():
    first, second = (draw_variation(np.random.default_rng(7), (64, 64), 32, 3) for _ in range(2))
    for f in fields(first):
        np.testing.assert_array_equal(getattr(first, f.name), getattr(second, f.name))
