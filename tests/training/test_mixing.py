"""Pieces of a batch that mix: labels go with their pixels, and a share of nothing changes nothing."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from building_segmenter.training.augmentation import draw_place, draw_variation, recolour  # noqa: E402
from building_segmenter.training.mixing import mix  # noqa: E402


def batch(count=3, size=32, bands=3):
    rng = np.random.default_rng(4)
    images = rng.uniform(0.2, 0.8, (count, size, size, bands)).astype(np.float32)
    targets = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, size, size, 2)).copy()
    return images, targets


def mixed(images, targets, patches, styles, clip=True):
    return (
        part.numpy()
        for part in mix(images, targets, np.array(patches, np.int32), np.array(styles, np.float32), clip=clip)
    )


def test_a_patch_brings_the_next_piece_with_its_labels():
    images, targets = batch()
    result, labels = mixed(images, targets, [[4, 6, 10, 12], [0, 0, 0, 0], [0, 0, 32, 32]], [0, 0, 0])
    inside = np.zeros((32, 32), bool)
    inside[4:14, 6:18] = True
    np.testing.assert_allclose(result[0][inside], images[1][inside], atol=1e-6)
    np.testing.assert_allclose(result[0][~inside], images[0][~inside], atol=1e-6)
    np.testing.assert_array_equal(labels[0][..., 0], np.where(inside, 1, 0))
    np.testing.assert_array_equal(labels[1], targets[1])
    # The last one's next is the first, and a patch may cover all of it.
    np.testing.assert_allclose(result[2], images[0], atol=1e-6)
    assert (labels[2] == 0).all()


@pytest.mark.parametrize("bands", [1, 3, 5])
def test_a_whole_style_is_the_mean_and_spread_of_the_next_piece(bands):
    images, targets = batch(2, bands=bands)
    images[1] = images[1] * 0.5 + 0.3
    result, labels = mixed(images, targets, np.zeros((2, 4)), [1.0, 0.0], clip=False)
    np.testing.assert_allclose(result[0].mean((0, 1)), images[1].mean((0, 1)), atol=1e-4)
    np.testing.assert_allclose(result[0].std((0, 1)), images[1].std((0, 1)), rtol=1e-3)
    # The texture is that of the piece itself.
    assert np.corrcoef(result[0].ravel(), images[0].ravel())[0, 1] > 0.9
    np.testing.assert_allclose(result[1], images[1], atol=1e-6)
    np.testing.assert_array_equal(labels, targets)


def test_values_end_where_those_of_the_sensor_do():
    images, targets = batch(2)
    images[1] = np.where(images[1] > 0.5, 1.0, 0.0)
    result, _ = mixed(images, targets, np.zeros((2, 4)), [1.0, 0.0])
    assert (result >= 0).all()
    assert (result <= 1).all()


def as_tensors(variation, **changes):
    return {name: tf.constant(value) for name, value in ({**vars(variation)} | changes).items()}


def test_patches_lie_inside_the_piece_and_half_of_the_pieces_have_one():
    rng = np.random.default_rng(7)
    patches = np.array([draw_variation(rng, (96, 96), 64, 3).patch for _ in range(400)])
    assert (patches[:, :2] >= 0).all()
    assert (patches[:, :2] + patches[:, 2:] <= 64).all()
    assert 0.4 < (patches[:, 2] > 0).mean() < 0.6


def test_light_haze_and_coarseness_each_do_what_they_say():
    image = np.random.default_rng(1).uniform(0.3, 0.6, (48, 48, 3)).astype(np.float32)
    still = draw_place(np.random.default_rng(0), (48, 48), 48, 3)
    np.testing.assert_allclose(recolour(image, as_tensors(still), clip=True), image, atol=1e-6)
    lit = recolour(image, as_tensors(still, light=np.full((3, 3), np.log(1.5), np.float32)), clip=False).numpy()
    np.testing.assert_allclose(lit, image * 1.5, rtol=1e-4)
    hazy = recolour(image, as_tensors(still, haze=0.5), clip=True).numpy()
    np.testing.assert_allclose(hazy, (image + 0.75) / 2, rtol=1e-5)
    coarse = recolour(image, as_tensors(still, coarseness=2.0), clip=True).numpy()
    assert coarse.shape == image.shape
    assert coarse.std() < 0.75 * image.std()
    np.testing.assert_allclose(coarse.mean(), image.mean(), atol=0.01)
