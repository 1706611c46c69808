from contextlib import contextmanager

import numpy as np
import pytest
from affine import Affine
from hypothesis import example, given
from hypothesis import strategies as st
from rasterio.io import MemoryFile

from building_segmenter.rasters.grid import _axis, model_grid, read_grid, resampling_factor
from building_segmenter.rasters.source import open_raster, pixel_on_ground


def grid_of(dataset, gsd, tile=128):
    return model_grid(dataset, pixel_on_ground(dataset, None), gsd, tile)


@pytest.mark.parametrize(
    ("ratio", "factor"), [(1.0, 1), (1.1, 1), (0.9, 1), (2.01, 2), (2.27, 2), (1.99, 2), (10.4, 10)]
)
def test_near_whole_factors_are_whole(ratio, factor):
    assert resampling_factor(ratio) == factor


@given(st.floats(0.05, 40.0))
def test_the_ground_pixel_changes_by_at_most_15_percent(ratio):
    assert 1 / 1.1501 <= resampling_factor(ratio) / ratio <= 1.1501


def test_a_whole_factor_averages_whole_pixels(write_image):
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (600, 800, 3), np.uint8)
    path = write_image(image, gsd=0.075, transform=Affine(0.075, 0, 300000, 0, -0.075, 3699900))
    with open_raster(path) as dataset:
        grid = grid_of(dataset, 0.15)
        part, valid = read_grid(dataset, grid, (1, 2, 3), (30, 40, 200, 100))
    assert (grid.width, grid.height) == (400, 300)
    means = image.reshape(300, 2, 400, 2, 3).mean(axis=(1, 3))[40:140, 30:230]
    assert valid.all()
    assert np.abs(part - means).max() <= 0.5 + 1e-6


def test_a_broken_factor_reads_the_same_values_in_any_window(write_image):
    rows, columns = np.mgrid[0:700, 0:900]
    image = np.stack([columns / 4, rows / 4, columns / 8 + rows / 8], axis=-1).astype(np.float32)
    path = write_image(image, gsd=0.1)
    with open_raster(path) as dataset:
        grid = grid_of(dataset, 0.15)
        whole, _ = read_grid(dataset, grid, (1, 2, 3), (0, 0, grid.width, grid.height))
        part, _ = read_grid(dataset, grid, (1, 2, 3), (100, 50, 64, 64))
    assert grid.columns.factor != int(grid.columns.factor)
    np.testing.assert_allclose(whole[50:114, 100:164], part, atol=1e-3)


def test_values_lie_where_the_grid_says(write_image):
    """A ramp of map coordinates, read through any grid, gives the coordinates of the grid's pixel centres."""
    transform = Affine(0.1, 0, 500000.03, 0, -0.1, 3730000.07)
    columns = np.mgrid[0:700, 0:900][1] + 0.5
    image = (columns * 0.1)[..., None].astype(np.float32)
    path = write_image(image, transform=transform, crs="EPSG:32616")
    for gsd in (0.1, 0.13, 0.15, 0.2, 0.07):
        with open_raster(path) as dataset:
            grid = grid_of(dataset, gsd)
            read, _ = read_grid(dataset, grid, (1,), (50, 60, 100, 80))
        x = np.array([(grid.transform @ (column + 50.5, 100.5))[0] for column in range(100)]) - transform.c
        np.testing.assert_allclose(read[40, :, 0], x, atol=0.02)


@pytest.mark.parametrize("orientation", ["south-up", "non-square"])
def test_orientation_of_the_file_does_not_change_what_is_read(write_image, flat_scene, orientation):
    upright, turned = (
        write_image(flat_scene.image, "a.tif"),
        write_image(flat_scene.image, "b.tif", orientation=orientation),
    )
    with open_raster(upright) as first, open_raster(turned) as second:
        window = (100, 100, 150, 120)
        a, _ = read_grid(first, grid_of(first, 0.15), (1, 2, 3), window)
        b, _ = read_grid(second, grid_of(second, 0.15), (1, 2, 3), window)
    np.testing.assert_array_equal(a, b)


def test_nodata_alpha_and_nan_are_not_valid(write_image):
    image = np.full((200, 200, 4), 100, np.uint8)
    image[..., 3] = 255
    image[:50, :, 3] = 0
    path = write_image(image, "alpha.tif", photometric="RGB", alpha="yes")
    floats = np.ones((200, 200, 1), np.float32)
    floats[:, :40] = np.nan
    with open_raster(path) as dataset:
        _, valid = read_grid(dataset, grid_of(dataset, 0.15), (1, 2, 3), (0, 0, 200, 200))
        assert not valid[:50].any()
        assert valid[50:].all()
    with open_raster(write_image(floats, "nan.tif")) as dataset:
        _, valid = read_grid(dataset, grid_of(dataset, 0.15), (1,), (0, 0, 200, 200))
        assert not valid[:, :40].any()
        assert valid[:, 40:].all()


@pytest.mark.parametrize("gsd", [0.15, 0.25, 0.5, 0.72])
@pytest.mark.parametrize("phase", [0.0, 0.25, 0.5, 0.75])
def test_abutting_rasters_share_a_lattice(gsd, phase):
    """Files cut from one mosaic at odd and even columns and rows put their model pixels on the same lines.

    Also where the mosaic begins at half a pixel, as it does if its origin was the centre of a pixel.
    """
    grids = []
    for start in (0, 1000, 1001, 1502):
        place = Affine(0.25, 0, 300000 + 0.25 * (start + phase), 0, -0.25, 3700000 - 0.25 * (start + phase))
        with placed_raster(999, place) as dataset:
            grids.append(model_grid(dataset, (0.25, 0.25), gsd, 128))
    first = grids[0]
    for other in grids[1:]:
        across = (other.transform.c - first.transform.c) / first.transform.a
        down = (other.transform.f - first.transform.f) / first.transform.e
        assert [across, down] == pytest.approx([round(across), round(down)], abs=1e-6)
        assert other.columns.index - first.columns.index == round(across)
        assert other.rows.index - first.rows.index == round(down)


@contextmanager
def placed_raster(side, transform):
    profile = {"driver": "GTiff", "width": side, "height": side, "count": 1, "dtype": "uint8", "crs": "EPSG:32616"}
    with MemoryFile() as file:
        with file.open(transform=transform, **profile):
            pass
        with file.open() as dataset:
            yield dataset


@given(
    factor=st.sampled_from([1.0, 2.0, 3.0, 2 ** (5 / 32)]),
    origin=st.integers(-5000, 5000),
    length=st.integers(900, 2000),
    share=st.floats(0.3, 0.7),
)
@example(factor=2.0, origin=3, length=478, share=0.5)
@example(factor=2.0, origin=1, length=477, share=0.5)
def test_abutting_rasters_share_a_lattice_line_and_end_with_the_whole(factor, origin, length, share):
    first = round(length * share)
    parts = _axis(first, factor, float(origin), 16), _axis(length - first, factor, float(origin + first), 16)
    whole = _axis(length, factor, float(origin), 16)
    assert parts[0].index == whole.index
    assert parts[0].index + parts[0].size == parts[1].index
    assert parts[1].index + parts[1].size == whole.index + whole.size
