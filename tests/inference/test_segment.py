import numpy as np
import pytest
import rasterio
from affine import Affine

from building_segmenter import tasks
from building_segmenter.errors import BandsError, MissingCrsError, NoDataError, NoOverlapError
from building_segmenter.inference.segment import segment_raster
from building_segmenter.progress import Progress

UTM = Affine(0.15, 0, 300000, 0, -0.15, 3700000)


def expected(image):
    """The bright model's answer, as stored."""
    probability = 1 / (1 + np.exp(7.0 - 0.05 * image.astype(np.float64).mean(axis=-1)))
    return np.clip(probability * 254 + 0.5, 0, 254).astype(np.uint8)


@pytest.fixture
def segment(tmp_path, bright_model):
    """Segment an image with the bright model; returns the stored values, the open dataset's facts, and the progress."""

    def run(path, **options):
        output = tmp_path / "probability.tif"
        facts = {"model": bright_model, "inference_precision": "f32"} | options
        progress = Progress()
        segment_raster(tasks.SegmentRaster(input=path, output=str(output), **facts), progress)
        with rasterio.open(output) as dataset:
            return dataset.read(1), dataset.profile, progress.sink

    return run


@pytest.fixture
def random_image():
    return np.random.default_rng(5).integers(0, 255, (333, 471, 3)).astype(np.uint8)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_every_pixel_gets_its_own_answer_whatever_the_tiles(segment, write_image, random_image, overlap):
    stored, profile, _ = segment(write_image(random_image, transform=UTM), overlap=overlap)
    assert np.abs(stored.astype(int) - expected(random_image)).max() <= 1
    assert profile["transform"] == UTM
    assert (profile["nodata"], profile["dtype"]) == (255, "uint8")


def test_a_raster_smaller_than_a_tile_is_reflected(segment, write_image, random_image):
    small = random_image[:50, :70]
    stored, _, _ = segment(write_image(small, transform=UTM))
    assert np.abs(stored.astype(int) - expected(small)).max() <= 1


def test_an_extent_gives_the_same_bytes_as_the_whole(segment, write_image, random_image):
    path = write_image(random_image, transform=UTM)
    whole, _, _ = segment(path)
    extent = (300000 + 0.15 * 100, 3700000 - 0.15 * 250, 300000 + 0.15 * 300, 3700000 - 0.15 * 90)
    part, profile, _ = segment(path, extent=extent)
    np.testing.assert_array_equal(part, whole[90:250, 100:300])
    assert profile["transform"] @ (0, 0) == pytest.approx((extent[0], extent[3]))


def test_only_the_area_is_predicted(segment, write_image, write_roofs, random_image):
    import shapely

    area = shapely.box(200, 20, 260, 80)
    path = write_image(random_image)
    stored, _, _ = segment(path, area=write_roofs([area], "area.gpkg"))
    inside = np.zeros(stored.shape, bool)
    inside[20:80, 200:260] = True
    assert (stored[~inside] == 255).all()
    assert np.abs(stored[inside].astype(int) - expected(random_image)[inside]).max() <= 1


def test_nodata_stays_nodata(segment, write_image, random_image):
    random_image[random_image == 0] = 1
    random_image[:, :200] = 0
    stored, _, _ = segment(write_image(random_image, transform=UTM, nodata=0))
    assert (stored[:, :200] == 255).all()
    assert (stored[:, 200:] != 255).all()


@pytest.mark.parametrize(
    ("dtype", "factor", "offset"), [("uint16", 120, 500), ("float32", 1 / 255, 0.0), ("int16", 50, -3000)]
)
def test_other_types_are_scaled_by_the_models_statistics(segment, write_image, flat_scene, dtype, factor, offset):
    """Any linear change of the values leaves the roofs bright and the ground dark."""
    bytes_, _, _ = segment(write_image(flat_scene.image, "bytes.tif"))
    other = (flat_scene.image * float(factor) + offset).astype(dtype)
    stored, _, sink = segment(write_image(other, "other.tif"))
    assert ((stored > 127) == (bytes_ > 127)).mean() > 0.995
    assert any(dtype in line for line in sink.logs)


def test_bands_can_be_chosen_and_repeated(segment, write_image, random_image):
    path = write_image(np.concatenate([np.zeros_like(random_image), random_image], axis=-1))
    stored, _, _ = segment(path, bands=(4, 5, 6))
    assert np.abs(stored.astype(int) - expected(random_image)).max() <= 1
    repeated, _, _ = segment(path, bands=(4, 4, 4))
    assert np.abs(repeated.astype(int) - expected(random_image[..., :1].repeat(3, axis=-1))).max() <= 1


def test_too_few_bands(segment, write_image, random_image):
    with pytest.raises(BandsError, match="takes 3 bands") as caught:
        segment(write_image(random_image[..., :2]))
    assert "BANDS" in caught.value.hint


def test_a_band_that_is_not_there(segment, write_image, random_image):
    with pytest.raises(BandsError, match="band 7"):
        segment(write_image(random_image), bands=(1, 2, 7))


def test_all_nodata_is_an_error_and_leaves_nothing(segment, write_image, random_image, tmp_path):
    path = write_image(np.zeros_like(random_image), nodata=0)
    with pytest.raises(NoDataError):
        segment(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["image.tif"]


def test_an_image_without_crs_needs_gsd(segment, write_image, random_image):
    path = write_image(random_image, crs=None, transform=Affine.identity())
    with pytest.raises(MissingCrsError) as caught:
        segment(path)
    assert "GSD" in caught.value.hint
    stored, _, _ = segment(path, gsd=0.15)
    assert np.abs(stored.astype(int) - expected(random_image)).max() <= 1


def test_an_extent_elsewhere(segment, write_image, random_image):
    with pytest.raises(NoOverlapError, match="EXTENT"):
        segment(write_image(random_image), extent=(0.0, 0.0, 10.0, 10.0))


def softened(image):
    """Every second pixel's mean by a triangle of two pixels to each side, along rows and columns."""
    height, width = image.shape[:2]

    def weights(count):
        matrix = np.zeros((count // 2, count))
        for k in range(count // 2):
            for place, weight in zip(range(2 * k - 1, 2 * k + 3), (1, 3, 3, 1), strict=True):
                if 0 <= place < count:
                    matrix[k, place] = weight
        return matrix / matrix.sum(axis=1, keepdims=True)

    rows = np.einsum("ij,jlb->ilb", weights(height), image.astype(float))
    soft = np.einsum("kl,ilb->ikb", weights(width), rows)
    return np.rint(soft).astype(np.uint8)


def test_an_image_at_half_the_pixel_is_averaged_softly(segment, write_image, random_image):
    fine = np.repeat(np.repeat(random_image, 2, axis=0), 2, axis=1)
    fine = np.clip(fine + np.random.default_rng(3).integers(-20, 20, fine.shape), 0, 255).astype(np.uint8)
    stored, _, _ = segment(write_image(fine, gsd=0.075, transform=Affine(0.075, 0, 300000, 0, -0.075, 3699900)))
    assert stored.shape == random_image.shape[:2]
    away = np.abs(stored.astype(int) - expected(softened(fine)))
    # Rows are rounded to bytes before columns are: a pixel value less or more, which is three steps of the answer.
    assert away.max() <= 4
    assert away.mean() < 0.6
    boxed = fine.reshape(stored.shape[0], 2, stored.shape[1], 2, 3).mean(axis=(1, 3))
    assert np.abs(stored.astype(int) - expected(boxed)).mean() > 3


def test_cancelled_half_way_leaves_nothing(write_image, random_image, tmp_path, bright_model):
    class StopSoon(Progress):
        def update(self, fraction, stage):
            if fraction > 0.3:
                self.cancelled.set()
            super().update(fraction, stage)

        def part(self, start, stop):
            step = StopSoon(self.sink, self.cancelled)
            step.__dict__.update(super().part(start, stop).__dict__)
            return step

    from building_segmenter.errors import CancelledError

    options = tasks.SegmentRaster(input=write_image(random_image), output=str(tmp_path / "out.tif"), model=bright_model)
    with pytest.raises(CancelledError):
        segment_raster(options, StopSoon())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["image.tif"]
