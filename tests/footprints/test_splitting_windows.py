"""What parting reads and how it narrows cores: as GDAL reads windows, and as distances of all pixels tell."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.windows import Window
from scipy.ndimage import distance_transform_edt, gaussian_filter

from building_segmenter.footprints.splitting import strips
from building_segmenter.footprints.splitting.basins import narrowed
from building_segmenter.footprints.splitting.strips import Strips

SIZES = st.floats(0.02, 0.7) | st.sampled_from([0.05, 0.1, 0.125, 0.25, 0.3, 0.5])
BYTES = 3 * 64 * 90
"""Three strips."""


@settings(deadline=None, max_examples=80)
@given(seed=st.integers(0, 10**6), share=st.floats(0.5, 0.99), pixel=st.tuples(SIZES, SIZES), reach=st.floats(0.1, 1))
def test_narrowed_is_what_is_farther_than_that_from_all_else(seed, share, pixel, reach):
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.normal(size=(rng.integers(1, 60), rng.integers(1, 60))), rng.uniform(0, 2))
    cores = noise < np.quantile(noise, share)
    away = distance_transform_edt(np.pad(cores, 1), sampling=pixel[::-1])[1:-1, 1:-1]
    assert (narrowed(cores, reach, pixel) == (away > reach)).all()


def test_a_core_as_wide_as_the_distance_on_both_sides_is_gone():
    cores = np.ones((9, 20), bool)
    assert not narrowed(cores, 0.5, (0.1, 0.1)).any()
    assert np.argwhere(narrowed(cores, 0.4, (0.1, 0.1))).tolist() == [[4, column] for column in range(4, 16)]


@pytest.fixture(params=["nodata", "mask", "all valid"])
def dataset(request, tmp_path):
    values = np.random.default_rng(3).integers(0, 256, (2, 400, 90)).astype(np.uint8)
    shape = {"width": 90, "height": 400, "count": 2, "dtype": "uint8"}
    place = {"crs": "EPSG:32616", "transform": Affine.translation(5e5, 4e6) @ Affine.scale(1, -1)}
    nodata = 255 if request.param == "nodata" else None
    path = tmp_path / "p.tif"
    blocks = {"tiled": True, "blockxsize": 32, "blockysize": 32, "nodata": nodata}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", **shape, **place, **blocks) as made,
    ):
        made.write(values)
        if request.param == "mask":
            made.write_mask(values[0] > 40)
    with rasterio.open(path) as opened:
        yield opened


@pytest.mark.parametrize("most", [0, BYTES, 1 << 26], ids=["none is kept", "three are kept", "all are kept"])
def test_windows_of_strips_are_windows_of_the_raster(dataset, monkeypatch, most):
    monkeypatch.setattr(strips, "_ROWS", 40)
    monkeypatch.setattr(strips, "_MOST_BYTES", most)
    rng, band = np.random.default_rng(4), Strips(dataset, 2)
    for _ in range(60):
        left, top = int(rng.integers(0, 80)), int(rng.integers(0, 390))
        window = Window(left, top, int(rng.integers(1, 91 - left)), int(rng.integers(1, 401 - top)))
        stored, valid = band.read(window)
        assert (stored == dataset.read(2, window=window)).all()
        known = np.ones(stored.shape, bool) if valid is None else valid
        assert (known == (dataset.read_masks(2, window=window) != 0)).all()
        assert sum(strip.nbytes for strip in band._kept.values()) <= most


def test_windows_below_each_other_are_read_once(dataset, monkeypatch):
    monkeypatch.setattr(strips, "_ROWS", 64)
    read = []

    class Counted:
        def __getattr__(self, name):
            return getattr(dataset, name)

        def read(self, band, window):
            read.append(window.row_off)
            return dataset.read(band, window=window)

    band = Strips(Counted(), 1)
    for top in range(0, 380, 5):
        band.read(Window(7, top, 20, 20))
    assert read == list(range(0, 400, 64))
