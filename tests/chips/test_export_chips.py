import json

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from building_segmenter import tasks
from building_segmenter.chips.dataset import open_dataset
from building_segmenter.chips.export import export_chips
from building_segmenter.errors import (
    InputUnreadableError,
    InvalidParameterError,
    MissingCrsError,
    NoDataError,
    NoOverlapError,
    OutputNotWritableError,
)
from building_segmenter.progress import Progress


@pytest.fixture
def export(tmp_path):
    def run(image, footprints, **options):
        facts = {"tile_size": 96, "validation": 0.0} | options
        output = tmp_path / "chips"
        progress = Progress()
        export_chips(tasks.ExportChips(input=image, footprints=footprints, output=str(output), **facts), progress)
        return open_dataset(output), progress.sink

    return run


def truth(scene):
    from rasterio.features import rasterize

    return rasterize(scene.roofs, scene.image.shape[:2], transform=Affine.identity())


def joined(dataset, shape, part):
    """Put the chips of a dataset together again by their georeference."""
    whole = np.full(shape, 254, np.uint8)
    origin = None
    for chip in dataset.chips:
        with rasterio.open(dataset.folder / part / f"{chip.name}.tif") as file:
            origin = origin or file.transform
            column, row = (~origin) @ (file.transform.c, file.transform.f)
            values = file.read(1)
        column, row = round(column), round(row)
        place = whole[row : row + values.shape[0], column : column + values.shape[1]]
        place[...] = values[: place.shape[0], : place.shape[1]]
    return whole


@pytest.mark.parametrize("footprint_crs", ["EPSG:32616", "EPSG:4326", "EPSG:3857", "EPSG:2240"])
def test_labels_land_on_the_roofs_for_any_pair_of_crs(export, write_image, write_roofs, flat_scene, footprint_crs):
    dataset, _ = export(write_image(flat_scene.image), write_roofs(flat_scene.roofs, crs=footprint_crs), stride=64)
    label = joined(dataset, flat_scene.image.shape[:2], "labels")
    assert (label != truth(flat_scene)).mean() < 2e-4
    np.testing.assert_array_equal(joined(dataset, label.shape, "images"), flat_scene.image[..., 0])


def test_the_layout_is_that_of_arcgis(export, write_image, write_roofs, flat_scene, tmp_path):
    dataset, _ = export(write_image(flat_scene.image), write_roofs(flat_scene.roofs))
    folder = tmp_path / "chips"
    names = [chip.name for chip in dataset.chips]
    assert names[0] == "000000000"
    assert (folder / "map.txt").read_text().splitlines(keepends=True) == [
        f"images\\{name}.tif  labels\\{name}.tif \n" for name in names
    ]
    for part, endings in (("images", ("tfw", "tif")), ("labels", ("tfw", "tif")), ("contacts", ("tif",))):
        assert sorted(path.name for path in (folder / part).iterdir()) == sorted(
            f"{name}.{ending}" for name in names for ending in endings
        )
    pixels = [int((dataset.read(chip)[1] == 1).sum()) for chip in dataset.chips]
    stats = (folder / "stats.txt").read_text().splitlines()
    assert stats[0] == f"images = {len(names)} *3*96*96"
    assert stats[-1].split()[:4] == ["building", "1", str(sum(count > 0 for count in pixels)), str(sum(pixels))]
    accumulated = json.loads((folder / "esri_accumulated_stats.json").read_text())
    assert accumulated["MetaDataMode"] == "Classified_Tiles"
    assert accumulated["ClassPixelStats"]["NumPixelsPerClass"] == [sum(pixels)]
    definition = json.loads((folder / "esri_model_definition.emd").read_text())
    assert set(definition["AllTilesStats"][0]) == {"Min", "Max", "Mean", "StdDev"}


def test_the_label_has_the_georeference_of_its_image(export, write_image, write_roofs, flat_scene, tmp_path):
    dataset, _ = export(write_image(flat_scene.image, orientation="rotated"), write_roofs(flat_scene.roofs))
    for chip in dataset.chips:
        with rasterio.open(tmp_path / "chips/images" / f"{chip.name}.tif") as image:
            with rasterio.open(tmp_path / "chips/labels" / f"{chip.name}.tif") as label:
                assert image.transform == label.transform
                assert image.crs == label.crs


def test_touching_houses_have_a_contact(export, write_image, write_roofs):
    image = np.full((96, 96, 3), 90, np.uint8)
    left, right, apart = shapely.box(10, 10, 40, 50), shapely.box(40, 10, 70, 50), shapely.box(10, 70, 40, 90)
    dataset, _ = export(write_image(image), write_roofs([left, right, apart]))
    _, _, contact = dataset.read(dataset.chips[0])
    assert contact[20:40, 38:42].all()
    assert not contact[:, :30].any()
    assert not contact[60:].any()


def test_unlabelled_ground_and_nodata_are_unknown(export, write_image, write_roofs, flat_scene):
    image = flat_scene.image.copy()
    image[:, 300:] = 0
    area = write_roofs([shapely.box(0, 0, 350, 150)], "area.gpkg")
    dataset, _ = export(write_image(image, nodata=0), write_roofs(flat_scene.roofs), area=area)
    label = joined(dataset, image.shape[:2], "labels")
    assert (label[:150, 300:] >= 254).all()
    assert (label[:149, :299] != 255).all()
    assert (label[151:] >= 254).all()


def test_empty_chips_can_be_left_out(export, write_image, write_roofs, flat_scene):
    image, roofs = write_image(flat_scene.image), write_roofs(flat_scene.roofs[:1])
    every, _ = export(image, roofs)
    some, _ = export(image, roofs, skip_empty=True)
    assert 0 < len(some.chips) < len(every.chips)
    assert all((some.read(chip)[1] == 1).any() for chip in some.chips)


def test_resampled_to_a_ground_pixel(export, write_image, write_roofs, flat_scene):
    dataset, _ = export(write_image(flat_scene.image), write_roofs(flat_scene.roofs), gsd=0.3, tile_size=64)
    assert dataset.gsd == pytest.approx((0.3, 0.3), rel=1e-3)
    label = joined(dataset, (150, 200), "labels")
    coarse = truth(flat_scene).reshape(150, 2, 200, 2).mean(axis=(1, 3)) > 0.5
    assert ((label == 1) != coarse).mean() < 0.01


@pytest.mark.parametrize(("share", "names"), [(0.0, {"train"}), (1.0, {"validation"}), (0.3, {"train", "validation"})])
def test_the_share_of_validation(export, write_image, write_roofs, flat_scene, share, names):
    dataset, _ = export(write_image(flat_scene.image), write_roofs(flat_scene.roofs), tile_size=48, validation=share)
    assert {chip.split for chip in dataset.chips} == names


def test_broken_footprints_are_repaired_and_told(export, write_image, write_roofs, flat_scene):
    bow_tie = shapely.Polygon([(10, 10), (60, 60), (60, 10), (10, 60)])
    dataset, sink = export(write_image(flat_scene.image), write_roofs([*flat_scene.roofs, bow_tie, shapely.Polygon()]))
    assert any("invalid" in line for line in sink.warnings)
    assert any("no geometry" in line for line in sink.warnings)
    assert len(dataset.chips) > 0


def test_footprints_elsewhere(export, write_image, write_roofs, flat_scene, tmp_path):
    elsewhere = [shapely.affinity.translate(roof, 50_000, 0) for roof in flat_scene.roofs]
    with pytest.raises(NoOverlapError, match="image spans"):
        export(write_image(flat_scene.image), write_roofs(elsewhere))
    assert not (tmp_path / "chips").exists()


def test_no_chip_left(export, write_image, write_roofs, flat_scene):
    with pytest.raises(NoDataError, match="No chip is left"):
        export(write_image(np.zeros_like(flat_scene.image), nodata=0), write_roofs(flat_scene.roofs))


def test_an_image_without_crs(export, write_image, write_roofs, flat_scene):
    image = write_image(flat_scene.image, crs=None, transform=Affine.scale(0.15, -0.15))
    with pytest.raises(MissingCrsError):
        export(image, write_roofs(flat_scene.roofs))


def test_a_folder_of_somebody_elses_is_not_touched(export, write_image, write_roofs, flat_scene, tmp_path):
    (tmp_path / "chips").mkdir()
    (tmp_path / "chips" / "letter.txt").write_text("dear")
    with pytest.raises(OutputNotWritableError, match="not empty"):
        export(write_image(flat_scene.image), write_roofs(flat_scene.roofs))
    assert (tmp_path / "chips" / "letter.txt").read_text() == "dear"


def test_an_earlier_export_is_replaced(export, write_image, write_roofs, flat_scene):
    image, roofs = write_image(flat_scene.image), write_roofs(flat_scene.roofs)
    first, _ = export(image, roofs, stride=48)
    second, _ = export(image, roofs)
    assert len(second.chips) < len(first.chips)
    assert len(list((second.folder / "images").glob("*.tif"))) == len(second.chips)


def test_missing_files_are_named(export, write_image, write_roofs, flat_scene):
    dataset, _ = export(write_image(flat_scene.image), write_roofs(flat_scene.roofs))
    (dataset.folder / "labels" / "000000003.tif").unlink()
    with pytest.raises(InputUnreadableError, match=r"1 of \d+ files are missing.*000000003"):
        open_dataset(dataset.folder)


def test_stride_longer_than_the_chip_is_refused():
    with pytest.raises(InvalidParameterError, match="STRIDE"):
        tasks.ExportChips(input="a", footprints="b", output="c", tile_size=64, stride=65)
