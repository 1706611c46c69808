import numpy as np
import pytest
import rasterio
from affine import Affine

from building_segmenter.errors import InputNotFoundError, InputUnreadableError
from building_segmenter.progress import Progress
from building_segmenter.rasters.mosaic import mosaic_of
from building_segmenter.rasters.source import open_raster

UTM = Affine(0.15, 0, 300000, 0, -0.15, 3700000)


@pytest.fixture
def tile(tmp_path):
    """Write a part of a picture where it belongs; returns its path."""

    def write(name, values, column=0, row=0, transform=UTM, crs="EPSG:32616", mask=None, **extra):
        path = str(tmp_path / name)
        profile = {"height": values.shape[1], "width": values.shape[2], "count": len(values), "dtype": values.dtype}
        placed = transform @ Affine.translation(column, row)
        with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=placed, **profile, **extra) as dataset:
            dataset.write(values)
            if mask is not None:
                dataset.write_mask(mask)
        return path

    return write


def picture(bands=3, height=40, width=60, dtype="uint8", seed=1):
    return np.random.default_rng(seed).integers(1, 200, (bands, height, width)).astype(dtype)


def read(images, sink=None):
    progress = Progress(sink)
    with mosaic_of(images, progress) as name, open_raster(name) as dataset:
        return dataset.read(), dataset.dataset_mask(), dataset.profile, progress.sink


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_tiles_come_together_and_ground_between_them_is_nodata(tile, dtype):
    whole = picture(dtype=dtype)
    images = [tile("b.tif", whole[:, 10:, 35:], 35, 10), tile("a.tif", whole[:, :, :30])]
    values, valid, profile, _ = read(images)
    assert profile["transform"].almost_equals(UTM) and profile["dtype"] == dtype and profile["crs"] == "EPSG:32616"
    np.testing.assert_array_equal(values[:, :, :30], whole[:, :, :30])
    np.testing.assert_array_equal(values[:, 10:, 35:], whole[:, 10:, 35:])
    expected = np.zeros((40, 60), bool)
    expected[:, :30] = expected[10:, 35:] = True
    np.testing.assert_array_equal(valid > 0, expected)


@pytest.mark.parametrize("kind", ["nodata", "mask", "alpha", "different nodata"])
def test_what_one_image_does_not_know_another_gives(tile, kind):
    whole = picture()
    known = np.zeros((40, 60), bool)
    known[:, 20:] = True
    extra, mask, later = {}, None, np.where(known, whole, 0).astype(np.uint8)
    base, base_extra = whole, {}
    if kind == "mask":
        mask = known
    elif kind == "alpha":
        later, base = np.concatenate([later, known[None] * np.uint8(255)]), np.concatenate([whole, whole[:1] * 0 + 255])
        extra = base_extra = {"photometric": "rgb", "alpha": "yes"}
    else:
        extra = {"nodata": 0}
        base_extra = {"nodata": 255} if kind == "different nodata" else {}
    first = tile("first.tif", base[:, :, :30], **base_extra)
    values, valid, _, _ = read([first, tile("later.tif", later, mask=mask, **extra)])
    np.testing.assert_array_equal(values[:3], whole)
    assert (valid > 0).all()
    values, valid, _, _ = read([tile("alone.tif", later, mask=mask, **extra)])
    np.testing.assert_array_equal(valid > 0, known)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"crs": "EPSG:32617"}, "the CRS"),
        ({"transform": UTM @ Affine.scale(2)}, "the size of pixels"),
        ({"values": picture(4)}, "the number of bands"),
        ({"values": picture(dtype="uint16")}, "the data types"),
    ],
)
def test_images_that_differ_are_refused_by_name(tile, change, said):
    first = tile("first.tif", picture())
    other = tile("other.tif", **{"values": picture(), "column": 60} | change)
    with pytest.raises(InputUnreadableError, match=f"first.tif and .*other.tif cannot be one mosaic.*{said}"):
        read([first, other])


def test_images_that_are_turned_or_missing_are_named(tile, tmp_path):
    with pytest.raises(InputUnreadableError, match=r"turned\.tif is not north up"):
        read([tile("turned.tif", picture(), transform=UTM @ Affine.rotation(10))])
    with pytest.raises(InputNotFoundError, match=r"gone\.tif"):
        read([str(tmp_path / "gone.tif")])


def test_a_shift_of_a_part_of_a_pixel_is_told(tile):
    images = [tile("first.tif", picture()), tile("shifted.tif", picture(seed=2), column=60.3)]
    values, _, _, sink = read(images)
    np.testing.assert_array_equal(values[:, :, 60:], picture(seed=2))
    assert "shifted.tif" in sink.warnings[0]


def test_more_images_than_gdal_keeps_open_are_one_raster(tile):
    whole = picture(1, 22, 22 * 20)
    images = [
        tile(f"{row}-{column}.tif", whole[:, row : row + 2, column : column + 20], column, row)
        for row in range(0, 22, 2)
        for column in range(0, 440, 20)
    ]
    assert len(images) == 242
    values, valid, _, _ = read(images)
    np.testing.assert_array_equal(values, whole)
    assert valid.all()
