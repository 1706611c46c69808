"""Each option of Export training chips does what it says, on drawn ground."""

import importlib.util
import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.features import rasterize

from building_segmenter import tasks
from building_segmenter.errors import BandsError, InvalidParameterError, NoOverlapError

_spec = importlib.util.spec_from_file_location("chip_scenes", Path(__file__).with_name("chip_scenes.py"))
scenes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scenes)

GREY = np.full((192, 288, 3), 90, np.uint8)
LEFT, MIDDLE, RIGHT = shapely.box(10, 10, 40, 50), shapely.box(100, 10, 130, 50), shapely.box(200, 100, 260, 160)


@pytest.fixture
def write_layer(tmp_path, write_roofs):
    """A layer of shapes in pixels of the image with a field."""

    def write(shapes, name="layer.gpkg", **fields):
        frame = geopandas.read_file(write_roofs(shapes, f"plain-{name}"))
        for field, values in fields.items():
            frame[field] = values
        path = tmp_path / name
        frame.to_file(path)
        return str(path)

    return write


def labels(dataset):
    return [scenes.read(path)[0][0] for path in scenes.files(dataset, "labels")]


def whole(dataset, image):
    """The labels put together again; 254 where no chip lies."""
    with rasterio.open(image) as file:
        to_image, joined = ~file.transform, np.full(file.shape, 254)
    for path in scenes.files(dataset, "labels"):
        label, transform, _ = scenes.read(path)
        x, y = (round(value) for value in to_image @ (transform.c, transform.f))
        part = joined[max(y, 0) : y + label.shape[1], max(x, 0) : x + label.shape[2]]
        part[...] = label[0][: part.shape[0], : part.shape[1]]
    return joined


def burned(shapes, values, shape=(192, 288)):
    return rasterize(zip(shapes, values, strict=True), shape)


class TestClasses:
    def test_texts_are_numbered_in_alphabetical_order_and_rare_ones_stay(self, tmp_path, write_image, write_layer):
        elsewhere = shapely.box(5000, 5000, 5010, 5010)
        layer = write_layer([LEFT, MIDDLE, RIGHT, elsewhere], kind=["shed", "house", "house", "barn"])
        image = write_image(GREY)
        dataset, _ = scenes.exported(tmp_path / "chips", image, layer, class_field="kind")
        assert [(one["value"], one["name"]) for one in dataset.classes] == [(1, "barn"), (2, "house"), (3, "shed")]
        np.testing.assert_array_equal(whole(dataset, image), burned([LEFT, MIDDLE, RIGHT], [3, 2, 2]))

    @pytest.mark.parametrize("values", [[7, 3, 300], [7.0, 3.0, 300.0], ["7", "3", "300"]])
    def test_numbers_are_kept(self, tmp_path, write_image, write_layer, values):
        image = write_image(GREY)
        layer = write_layer([LEFT, MIDDLE, RIGHT], code=values)
        dataset, _ = scenes.exported(tmp_path / "chips", image, layer, class_field="code")
        assert [one["value"] for one in dataset.classes] == [3, 7, 300]
        np.testing.assert_array_equal(whole(dataset, image), burned([LEFT, MIDDLE, RIGHT], [7, 3, 300]))

    def test_names_of_training_samples_are_used(self, tmp_path, write_image, write_layer):
        layer = write_layer([LEFT, MIDDLE], Classvalue=[20, 10], Classname=["Roof", "Shed"])
        dataset, _ = scenes.exported(tmp_path / "chips", write_image(GREY), layer, class_field="classvalue")
        assert [(one["value"], one["name"]) for one in dataset.classes] == [(10, "Shed"), (20, "Roof")]

    def test_footprints_without_class_are_unknown(self, tmp_path, write_image, write_layer):
        image = write_image(GREY)
        layer = write_layer([LEFT, MIDDLE, RIGHT], kind=["house", None, " "])
        dataset, sink = scenes.exported(tmp_path / "chips", image, layer, class_field="kind")
        np.testing.assert_array_equal(whole(dataset, image), burned([LEFT, MIDDLE, RIGHT], [1, 255, 255]))
        assert any("2 footprints have no class" in line for line in sink.warnings)

    @pytest.mark.parametrize(
        ("values", "said"),
        [([0, 1, 2], "holds 0"), ([1, 255, 2], "holds 255"), ([1, 2.5, 2], "2.5"), ([-1, 1, 2], "-1")],
    )
    def test_values_that_mean_something_else_are_refused(self, tmp_path, write_image, write_layer, values, said):
        layer = write_layer([LEFT, MIDDLE, RIGHT], code=values)
        with pytest.raises(InvalidParameterError, match=said):
            scenes.exported(tmp_path / "chips", write_image(GREY), layer, class_field="code")

    def test_a_missing_field_is_named_with_those_that_are_there(self, tmp_path, write_image, write_layer):
        with pytest.raises(InvalidParameterError, match=r"roof.*no such field.*kind"):
            scenes.exported(tmp_path / "chips", write_image(GREY), write_layer([LEFT]), class_field="roof")


class TestPoints:
    @pytest.mark.parametrize("crs", ["EPSG:32616", "EPSG:4326", "EPSG:2240"])
    def test_points_become_circles_of_ground_metres(self, tmp_path, write_image, write_roofs, crs):
        image = write_image(GREY)
        points = write_roofs([shapely.Point(60, 60), shapely.Point(200, 100)], crs=crs)
        dataset, _ = scenes.exported(tmp_path / "chips", image, points, buffer=3.0)
        circles = [shapely.Point(x, y).buffer(3.0 / 0.15) for x, y in ((60, 60), (200, 100))]
        assert (whole(dataset, image) != burned(circles, [1, 1])).sum() < 20

    def test_points_need_a_buffer_and_polygons_none(self, tmp_path, write_image, write_roofs):
        with pytest.raises(InvalidParameterError, match="BUFFER is empty"):
            scenes.exported(tmp_path / "chips", write_image(GREY), write_roofs([shapely.Point(60, 60)]))
        with pytest.raises(InvalidParameterError, match="no points"):
            scenes.exported(tmp_path / "chips", write_image(GREY), write_roofs([LEFT], "b.gpkg"), buffer=2.0)


class TestArea:
    AREA = shapely.box(50, 0, 288, 192)

    def test_chips_inside_are_cut_as_arcgis_does(self, tmp_path, write_image, write_roofs):
        image, layer, area = write_image(GREY), write_roofs([MIDDLE, RIGHT]), write_roofs([self.AREA], "area.gpkg")
        every, _ = scenes.exported(tmp_path / "every", image, layer, area=area)
        inside, _ = scenes.exported(tmp_path / "inside", image, layer, area=area, area_rule="chips-inside")
        assert (len(every.chips), len(inside.chips)) == (6, 4)
        assert not any((label == 255).any() for label in labels(inside))
        assert (whole(every, image)[:, :49] == 255).all()

    def test_two_areas_side_by_side_are_one(self, tmp_path, write_image, write_roofs):
        halves = write_roofs([shapely.box(0, 0, 150, 192), shapely.box(150, 0, 288, 192)], "area.gpkg")
        image = write_image(GREY)
        dataset, _ = scenes.exported(
            tmp_path / "chips", image, write_roofs([MIDDLE]), area=halves, area_rule="chips-inside"
        )
        assert len(dataset.chips) == 6

    def test_the_rule_needs_an_area(self):
        with pytest.raises(InvalidParameterError, match="AREA_RULE"):
            tasks.ExportChips(input="a", footprints="b", output="c", area_rule="chips-inside")


class TestEmptyChips:
    def test_background_chips_are_kept_in_proportion_and_spread(self, tmp_path, write_image, write_roofs):
        image = write_image(np.full((640, 640, 1), 90, np.uint8))
        roofs = [shapely.box(64 * i + 20, 20, 64 * i + 40, 40) for i in range(8)]
        options = {"tile_size": 64, "negative_ratio": 0.5, "seed": 3}
        dataset, _ = scenes.exported(tmp_path / "chips", image, write_roofs(roofs), **options)
        empty = [not (label == 1).any() for label in labels(dataset)]
        assert (len(empty), sum(empty)) == (12, 4)
        rows = [scenes.read(path)[1].f for path in scenes.files(dataset, "images")]
        assert np.ptp([row for row, is_empty in zip(rows, empty, strict=True) if is_empty]) > 200 * 0.15
        again, _ = scenes.exported(tmp_path / "again", image, write_roofs(roofs), **options)
        other, _ = scenes.exported(tmp_path / "other", image, write_roofs(roofs), **options | {"seed": 4})
        assert [scenes.read(path)[1] for path in scenes.files(again, "images")] == [
            scenes.read(path)[1] for path in scenes.files(dataset, "images")
        ]
        assert [scenes.read(path)[1] for path in scenes.files(other, "images")] != [
            scenes.read(path)[1] for path in scenes.files(dataset, "images")
        ]

    def test_ground_without_image_is_no_background(self, tmp_path, write_image, write_roofs):
        ground = np.full((640, 640, 1), 90, np.uint8)
        ground[128:] = 0
        image = write_image(ground, nodata=0)
        roofs = [shapely.box(64 * i + 20, 20, 64 * i + 40, 40) for i in range(8)]
        dataset, _ = scenes.exported(tmp_path / "chips", image, write_roofs(roofs), tile_size=64, negative_ratio=1.0)
        empty = [not (label == 1).any() for label in labels(dataset)]
        assert (len(empty), sum(empty)) == (16, 8)

    def test_both_rules_at_once_are_refused(self):
        with pytest.raises(InvalidParameterError, match="NEGATIVE_RATIO"):
            tasks.ExportChips(input="a", footprints="b", output="c", skip_empty=True, negative_ratio=0.1)


class TestMinimumOverlap:
    def test_pixels_of_what_is_left_out_are_neither_object_nor_ground(self, tmp_path, write_image, write_roofs):
        across = shapely.box(76, 10, 106, 50)
        under = shapely.box(60, 20, 90, 40)
        image = write_image(np.full((96, 192, 1), 90, np.uint8))
        layer = write_roofs([under, across])
        dataset, _ = scenes.exported(tmp_path / "chips", image, layer, min_overlap=0.5)
        left, right = labels(dataset)
        assert (left == burned([under, across], [1, 1], (96, 96))).all()
        assert (right[10:50, :10] == 255).all() and (right[:, 10:] == 0).all()
        dataset, _ = scenes.exported(tmp_path / "most", image, layer, min_overlap=0.9)
        left, _ = labels(dataset)
        assert (left[20:40, 60:90] == 1).all() and (left[10:20, 76:] == 255).all() and (left[20:40, 90:] == 255).all()


class TestSecondImage:
    @pytest.fixture
    def ramp(self):
        return np.tile(np.arange(288, dtype=np.float32), (192, 1))[..., np.newaxis]

    def test_a_second_image_of_the_same_pixels(self, tmp_path, write_image, write_roofs, ramp):
        second = write_image(ramp, "second.tif")
        dataset, _ = scenes.exported(tmp_path / "chips", write_image(GREY), write_roofs([LEFT]), input2=second)
        for path in scenes.files(dataset, "images2"):
            array, transform, _ = scenes.read(path)
            first = round((~placed(second) @ (transform.c, transform.f))[0])
            np.testing.assert_array_equal(array[0], np.tile(np.arange(first, first + 96), (96, 1)))

    @pytest.mark.parametrize("crs", ["EPSG:32616", "EPSG:4326"])
    def test_a_second_image_of_other_pixels_lies_where_it_belongs(self, tmp_path, write_image, write_roofs, ramp, crs):
        coarse = ramp.reshape(64, 3, 96, 3, 1).mean(axis=(1, 3))
        second = write_image(coarse, "second.tif", crs=crs, gsd=0.45)
        dataset, _ = scenes.exported(
            tmp_path / "chips", write_image(GREY), write_roofs([LEFT]), input2=second, rotation=30
        )
        upright = placed(write_image(GREY, "again.tif"))
        for image, label in zip(scenes.files(dataset, "images2"), labels(dataset), strict=True):
            array, transform, _ = scenes.read(image)
            rows, columns = np.mgrid[0:96, 0:96] + 0.5
            x, _ = (~upright @ transform) @ (columns, rows)
            inner = (label != 255) & (x > 4) & (x < 284)
            assert np.abs(array[0] - (x - 0.5))[inner].max() < 0.6

    def test_where_the_second_ends_nothing_is_known(self, tmp_path, write_image, write_roofs, ramp):
        image = write_image(GREY)
        second = write_image(ramp[:, :150], "second.tif", crs="EPSG:32616")
        dataset, _ = scenes.exported(tmp_path / "chips", image, write_roofs([LEFT, RIGHT]), input2=second)
        joined = whole(dataset, image)
        assert (joined[:, 151:] >= 254).all() and (joined[:, :149] < 254).all()

    def test_a_second_image_elsewhere(self, tmp_path, write_image, write_roofs, ramp):
        shift = placed(write_image(GREY, "a.tif")) @ Affine.translation(9000, 0)
        second = write_image(ramp, "second.tif", transform=shift)
        with pytest.raises(NoOverlapError, match="second image"):
            scenes.exported(tmp_path / "chips", write_image(GREY), write_roofs([LEFT]), input2=second)


class TestPlaces:
    def test_an_extent_is_where_chips_begin_and_end(self, tmp_path, write_image, write_roofs):
        about = placed(write_image(GREY, "place.tif"))
        transform = Affine(0.15, 0, about.c, 0, -0.15, about.f)
        pixels = np.arange(192 * 288, dtype=np.uint16).reshape(192, 288, 1)
        image = write_image(pixels, transform=transform)
        (left, top), (right, bottom) = transform @ (17, 31), transform @ (17 + 150, 31 + 100)
        dataset, _ = scenes.exported(
            tmp_path / "chips", image, write_roofs([LEFT, MIDDLE]), tile_size=50, rotation=45,
            extent=(left, bottom, right, top),
        )  # fmt: skip
        array, first, _ = scenes.read(scenes.files(dataset, "images")[0])
        np.testing.assert_allclose(~transform @ (first.c, first.f), (17, 31), atol=1e-6)
        assert array[0, 0, 0] == 31 * 288 + 17
        ground = shapely.box(left, bottom, right, top)
        for path in scenes.files(dataset, "labels"):
            label, placed_at, _ = scenes.read(path)
            rows, columns = np.nonzero(label[0] != 255)
            x, y = placed_at @ (columns + 0.5, rows + 0.5)
            assert shapely.covers(ground.buffer(1e-6), shapely.points(x, y)).all()

    def test_width_height_and_strides_of_their_own(self, tmp_path, write_image, write_roofs):
        dataset, _ = scenes.exported(
            tmp_path / "chips", write_image(GREY), write_roofs([LEFT, MIDDLE]), tile_size=96, tile_size_y=64, stride=48,
            stride_y=64,
        )  # fmt: skip
        assert len(dataset.chips) == 5 * 3
        assert {label.shape for label in labels(dataset)} == {(64, 96)}
        with pytest.raises(InvalidParameterError, match="STRIDE is 80 px, more than TILE_SIZE_Y"):
            tasks.ExportChips(input="a", footprints="b", output="c", tile_size=96, tile_size_y=64, stride=80)

    def test_a_raster_smaller_than_a_chip_is_filled_up(self, tmp_path, write_image, write_roofs):
        image = write_image(GREY[:60, :70], nodata=7)
        dataset, _ = scenes.exported(tmp_path / "chips", image, write_roofs([LEFT]), tile_size=96)
        array, _, _ = scenes.read(scenes.files(dataset, "images")[0])
        assert (array[:, :60, :70] == 90).all() and (array[:, 60:] == 7).all() and (array[:, :, 70:] == 7).all()
        assert (labels(dataset)[0][60:] == 255).all()

    def test_a_raster_across_the_antimeridian(self, tmp_path, write_image, write_layer):
        transform = Affine(1e-6, 0, 179.9999, 0, -1e-6, 10.0001)
        image = write_image(GREY, crs="EPSG:4326", transform=transform)
        east, west = (
            shapely.box(179.99992, 10.00000, 179.99996, 10.00008),
            shapely.box(-179.99998, 10, -179.99994, 10.00008),
        )
        path = tmp_path / "houses.gpkg"
        geopandas.GeoDataFrame({"n": [1, 2]}, geometry=[east, west], crs=4326).to_file(path)
        dataset, _ = scenes.exported(tmp_path / "chips", image, str(path))
        np.testing.assert_array_equal(
            whole(dataset, image), burned([shapely.box(20, 20, 60, 100), shapely.box(120, 20, 160, 100)], [1, 1])
        )

    def test_labeled_tiles_have_their_object_in_the_middle(self, tmp_path, write_image, write_layer):
        layer = write_layer([LEFT, MIDDLE, RIGHT], kind=["a", "b", "a"])
        dataset, _ = scenes.exported(
            tmp_path / "chips", write_image(GREY), layer, tile_size=40, format="labeled-tiles", class_field="kind"
        )
        assert [dataset.read_tile_class(chip) for chip in dataset.chips] == [1, 2, 1]


class TestImageFormats:
    @pytest.mark.parametrize("image_format", ["png", "jpeg"])
    def test_what_they_cannot_hold_is_told_before_the_work(self, tmp_path, write_image, write_roofs, image_format):
        for name, array in (
            ("four.tif", np.zeros((96, 96, 4), np.uint8)),
            ("deep.tif", np.zeros((96, 96, 3), np.uint16)),
        ):
            image = write_image(array, name, photometric="minisblack")
            with pytest.raises(BandsError, match=image_format.upper()):
                scenes.exported(tmp_path / "chips", image, write_roofs([LEFT]), image_format=image_format)
            assert not (tmp_path / "chips").exists() and not (tmp_path / "chips.partial").exists()

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
    def test_tiff_holds_any_type_also_turned(self, tmp_path, write_image, write_roofs, dtype):
        image = write_image(np.full((96, 96, 5), 77, dtype))
        dataset, _ = scenes.exported(tmp_path / "chips", image, write_roofs([LEFT]), rotation=45)
        for path, label in zip(scenes.files(dataset, "images"), labels(dataset), strict=True):
            array, _, _ = scenes.read(path)
            assert array.dtype == dtype and array.shape == (5, 96, 96)
            np.testing.assert_allclose(array[:, label != 255], 77, rtol=1e-6)


def test_holes_parts_and_overlaps(tmp_path, write_image, write_roofs):
    yard = shapely.Polygon(shapely.box(10, 10, 80, 80).exterior, [shapely.box(30, 30, 60, 60).exterior])
    parts = shapely.MultiPolygon([shapely.box(90, 10, 110, 30), shapely.box(150, 100, 190, 150)])
    over = shapely.box(70, 70, 100, 100)
    image = write_image(GREY)
    dataset, _ = scenes.exported(tmp_path / "chips", image, write_roofs([yard, parts, over]), format="rcnn-masks")
    truth = [burned([shape], [1]) for shape in (yard, parts, over)]
    found = [sorted(mask.sum() for mask in dataset.read_instances(chip).masks()) for chip in dataset.chips]
    windows = [(slice(y, y + 96), slice(x, x + 96)) for y in (0, 96) for x in (0, 96, 192)]
    hidden = truth[2] > 0
    for sizes, window in zip(found, windows, strict=True):
        expected = [(truth[0] * ~hidden)[window].sum(), truth[1][window].sum(), truth[2][window].sum()]
        assert sizes == sorted(size for size in expected if size)


def test_manifest_names_choices_and_hashes(tmp_path, write_image, write_roofs):
    import hashlib

    image, layer = write_image(GREY), write_roofs([LEFT, MIDDLE])
    dataset, _ = scenes.exported(tmp_path / "chips", image, layer, rotation=90, min_overlap=0.2, seed=9)
    facts = json.loads((dataset.folder / "dataset.json").read_text())
    assert facts["sources"]["image"]["sha256"] == hashlib.sha256(Path(image).read_bytes()).hexdigest()
    assert facts["sources"]["footprints"]["name"] == "roofs.gpkg"
    assert (facts["rotation"], facts["min_overlap"], facts["seed"], facts["area_rule"]) == (
        90,
        0.2,
        9,
        "ignore-outside",
    )


def placed(path):
    with rasterio.open(path) as file:
        return file.transform
