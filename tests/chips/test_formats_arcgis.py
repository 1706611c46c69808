"""The side files of ArcGIS' formats, line by line, as published exports have them."""

import json

import numpy as np
import pytest
import rasterio
import shapely
from drawn_chips import CLASSES, SIZE, chip_of, export, some_chips

from building_segmenter.chips.chip import ChipClass
from building_segmenter.chips.formats import arcgis

MODES = {
    "classified-tiles": "Classified_Tiles",
    "rcnn-masks": "RCNN_Masks",
    "pascal-voc": "PASCAL_VOC_rectangles",
    "kitti": "KITTI_rectangles",
    "labeled-tiles": "Labeled_Tiles",
    "export-tiles": "Export_Tiles",
}
HOUSE = (ChipClass(1, "building", (230, 57, 70)),)


def three_chips():
    """Draw chips with 2, 0 and 1 houses of exact sizes: 200, 300 and 400 px."""
    polygons = [[shapely.box(10, 10, 20, 30), shapely.box(40, 10, 55, 30)], [], [shapely.box(5, 5, 25, 25)]]
    return [chip_of(part, [1] * len(part), number=i, classes=HOUSE) for i, part in enumerate(polygons)]


def side_files(folder):
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in ("map.txt", "stats.txt")}
    parsed = [
        json.loads((folder / name).read_text(encoding="utf-8")) for name in (arcgis.ACCUMULATED, arcgis.DEFINITION)
    ]
    return texts["map.txt"], texts["stats.txt"], *parsed


@pytest.mark.parametrize("name", MODES)
def test_a_folder_has_what_arcgis_looks_for(tmp_path, name):
    chips = [chip for chip in some_chips() if chip.objects]
    folder = export(tmp_path / "d", name, chips)
    there = {path.name for path in folder.iterdir()}
    expected = {"images", "map.txt", "stats.txt", arcgis.ACCUMULATED, arcgis.DEFINITION, "dataset.json"}
    assert expected <= there
    assert ("labels" in there) == (name != "export-tiles")
    map_lines, _, accumulated, definition = side_files(folder)
    assert len(map_lines.splitlines()) == len(chips)
    assert accumulated["MetaDataMode"] == definition["MetaDataMode"] == MODES[name]


def test_map_of_classified_tiles_voc_and_kitti(tmp_path):
    for name, ending in (("classified-tiles", "tif"), ("pascal-voc", "xml"), ("kitti", "txt")):
        folder = export(tmp_path / name, name, three_chips(), classes=HOUSE)
        assert (folder / "map.txt").read_bytes() == b"".join(
            f"images\\00000000{i}.tif  labels\\00000000{i}.{ending} \n".encode() for i in range(3)
        )


def test_map_of_rcnn_masks_names_a_label_a_class(tmp_path):
    chips = [
        chip_of([shapely.box(5, 5, 25, 25), shapely.box(45, 5, 65, 25)], [1, 4], number=0),
        chip_of([], [], number=1),
        chip_of([shapely.box(5, 5, 25, 25)], [4], number=2),
    ]
    folder = export(tmp_path / "d", "rcnn-masks", chips)
    assert (folder / "map.txt").read_text().splitlines(keepends=True) == [
        "images\\000000000.tif  labels\\house\\000000000.tif  labels\\shed_&_co\\000000000.tif \n",
        "images\\000000001.tif \n",
        "images\\000000002.tif  labels\\shed_&_co\\000000002.tif \n",
    ]
    assert sorted(path.name for path in (folder / "labels").iterdir()) == ["house", "shed_&_co"]
    assert sorted(path.name for path in (folder / "labels" / "house").iterdir()) == ["000000000.tfw", "000000000.tif"]
    _, _, _, definition = side_files(folder)
    # The folder is named as the EMD names the class.
    assert [one["Name"] for one in definition["Classes"]] == ["house", "shed_&_co"]
    for name in ("house\\000000000", "shed_&_co\\000000002"):
        with rasterio.open(folder / "labels" / f"{name}.tif".replace("\\", "/")) as label:
            assert (label.count, label.dtypes[0]) == (1, "uint8")


def test_stats_of_pixels(tmp_path):
    folder = export(tmp_path / "d", "classified-tiles", three_chips(), classes=HOUSE)
    assert (folder / "stats.txt").read_text() == (
        "images = 3 *3*96*80\n"
        "classes = 1\n"
        "classes per image = [min = 0, mean = 0.67, max = 1]\n"
        "cls name              cls value     images   pixels      min size   mean size    max size\n"
        "building                      1          2        900        0.00      300.00      500.00\n"
    )
    _, _, accumulated, _ = side_files(folder)
    assert accumulated["ClassPixelStats"] == {
        "NumClasses": 1,
        "NumImagesTotal": 3,
        "NumImagesPerClass": [2],
        "NumPixelsPerClass": [900],
        "NumClassesPerImage": {"Min": 0, "Max": 1, "Mean": 2 / 3, "Sum": 2, "Count": 3},
        "PixelsPerClass": [{"Min": 0, "Max": 500, "Mean": 300.0, "Sum": 900, "Count": 3}],
    }
    assert accumulated["OutputFeatures"] is False
    assert "FeatureStats" not in accumulated


@pytest.mark.parametrize("name", ["rcnn-masks", "pascal-voc", "kitti"])
def test_stats_of_features(tmp_path, name):
    folder = export(tmp_path / "d", name, three_chips(), classes=HOUSE)
    # A pixel is half a foot wide; sizes are in units of the map.
    assert (folder / "stats.txt").read_text() == (
        "images = 3 *3*96*80\n"
        "features = 3\n"
        "features per image = [min = 1, mean = 1.50, max = 2]\n"
        "classes = 1\n"
        "cls name              cls value     images   features    min size   mean size    max size\n"
        "building                      1          2          3       50.00       75.00      100.00\n"
    )
    _, _, accumulated, _ = side_files(folder)
    assert accumulated["OutputFeatures"] is True
    assert accumulated["FeatureStats"] == {
        "NumClasses": 1,
        "NumImagesTotal": 3,
        "NumFeaturesTotal": 3,
        "NumImagesPerClass": [2],
        "NumFeaturesPerClass": [3],
        "NumFeaturesPerImage": {"Min": 1, "Max": 2, "Mean": 1.5, "Sum": 3, "Count": 2},
        "FeatureAreaPerClass": [{"Min": 50.0, "Max": 100.0, "Mean": 75.0, "Sum": 225.0, "Count": 3}],
    }


def test_the_one_object_of_a_labelled_tile_is_counted(tmp_path):
    chips = [chip for chip in three_chips() if chip.objects]
    folder = export(tmp_path / "d", "labeled-tiles", chips, classes=HOUSE)
    map_lines, stats, accumulated, _ = side_files(folder)
    assert map_lines.splitlines()[0] == "images\\000000000.tif  labels\\000000000.xml "
    assert stats.splitlines()[1] == "features = 2"
    assert accumulated["FeatureStats"]["NumFeaturesPerClass"] == [2]
    assert (folder / "labels" / "building" / "000000000.tif").is_file()


def test_columns_stand_under_their_titles():
    # Lines of two published exports, and of ours with the same figures.
    from building_segmenter.chips.formats.arcgis import _stats_row
    from building_segmenter.chips.statistics import ClassFigures, Spread

    pixels = ClassFigures(1, 3382, Spread(3382, 96568, 160000, 531590974), 0, Spread(0, 0, 0, 0))
    features = ClassFigures(1, 0, Spread(0, 0, 0, 0), 482, Spread(1658, 0.0029452, 40.79546, 25612.850874592976))
    assert _stats_row("1", pixels, True) == (
        "1                             1       3382  531590974    96568.00   157182.43   160000.00\n"
    )
    assert _stats_row("Palm", features, False) == (
        "Palm                          1        482       1658        0.00       15.45       40.80\n"
    )


@pytest.mark.parametrize("name", MODES)
def test_accumulated_statistics(tmp_path, name):
    chips = [chip for chip in some_chips() if chip.objects]
    folder = export(tmp_path / "d", name, chips)
    _, _, accumulated, _ = side_files(folder)
    assert accumulated["Version"] == 1
    assert accumulated["NumBands"] == 3
    assert (accumulated["TileSizeX"], accumulated["TileSizeY"]) == SIZE
    assert accumulated["NumTiles"] == len(chips)
    assert accumulated["NumClasses"] == len(accumulated["Classes"])
    assert [(one["ClassValue"], one["ClassName"]) for one in accumulated["Classes"]][:2] == [
        (1, "house"),
        (4, "shed_&_co"),
    ]
    assert accumulated["MinCellSize"]["x"] == pytest.approx(0.5)
    assert accumulated["MinCellSize"]["spatialReference"] == {"wkid": 2240, "latestWkid": 2240}
    assert ("ClassPixelStats" in accumulated) != ("FeatureStats" in accumulated)
    known = np.concatenate([chip.image[chip.label != 255] for chip in chips]).astype(float)
    for band, state in enumerate(accumulated["BandStatsState"]):
        assert state["M1"] == pytest.approx(known[:, band].mean())
        assert (state["M2"] / state["Num"]) ** 0.5 == pytest.approx(known[:, band].std(), rel=1e-6)
        assert state["Num"] == len(known)


@pytest.mark.parametrize("name", MODES)
def test_model_definition(tmp_path, name):
    chips = [chip for chip in some_chips() if chip.objects]
    folder = export(tmp_path / "d", name, chips)
    _, _, _, definition = side_files(folder)
    assert (definition["ImageHeight"], definition["ImageWidth"]) == (80, 96)
    assert definition["BlackenAroundFeature"] is False
    assert definition["IsMultidimensional"] is False
    assert definition["ImageSpaceUsed"] == "MAP_SPACE"
    assert definition["InputRastersProps"] == {
        "RasterCount": 1,
        "SensorName": "",
        "BandNames": ["Red", "Green", "Blue"],
    }
    assert definition["ExtractBands"] == [0, 1, 2]
    known = np.concatenate([chip.image[chip.label != 255] for chip in chips]).astype(float)
    for band, figures in enumerate(definition["AllTilesStats"]):
        assert set(figures) == {"Min", "Max", "Mean", "StdDev"}
        assert (figures["Min"], figures["Max"]) == (known[:, band].min(), known[:, band].max())
        assert figures["Mean"] == pytest.approx(known[:, band].mean())
        assert figures["StdDev"] == pytest.approx(known[:, band].std(), rel=1e-6)
    for one, theirs in zip(CLASSES, definition["Classes"], strict=False):
        assert (theirs["Value"], theirs["Color"]) == (one.value, list(one.color))
    # arcgis.learn asks for this key by its whole name.
    assert "Red" in definition["WellKnownBandNames (FYI, these band names can be used in ExtractBands)"]


def test_unknown_pixels_are_a_class_that_arcgis_can_leave_out(tmp_path):
    folder = export(tmp_path / "d", "classified-tiles", some_chips())
    _, stats, accumulated, definition = side_files(folder)
    values = set()
    for path in (folder / "labels").glob("*.tif"):
        with rasterio.open(path) as label:
            values |= set(np.unique(label.read(1)).tolist())
    assert values - {0} == {one["Value"] for one in definition["Classes"]} == {1, 4, 255}
    assert len(accumulated["ClassPixelStats"]["NumPixelsPerClass"]) == len(definition["Classes"])
    assert stats.splitlines()[-1].split()[:2] == ["unknown", "255"]
    assert accumulated["ClassPixelStats"]["NumPixelsPerClass"][-1] == 20 * 50


def test_without_unknown_pixels_there_is_no_such_class(tmp_path):
    folder = export(tmp_path / "d", "classified-tiles", three_chips(), classes=HOUSE)
    _, _, accumulated, definition = side_files(folder)
    assert [one["Value"] for one in definition["Classes"]] == [1]
    assert accumulated["NumClasses"] == 1


def test_names_of_classes_become_folders():
    names = ["house", "a/b:c", " ", "CON", "House", "über 30 m", "x."]
    classes = [ChipClass(value, name, (0, 0, 0)) for value, name in enumerate(names, 1)]
    assert list(arcgis.class_folders(classes).values()) == ["house", "a_b_c", "3", "CON_4", "House_5", "über_30_m", "x"]


def test_json_is_spaced_as_arcgis_does(tmp_path):
    folder = export(tmp_path / "d", "classified-tiles", three_chips(), classes=HOUSE)
    assert (folder / arcgis.ACCUMULATED).read_text().splitlines()[:3] == ["{", '  "Version" : 1,', '  "NumBands" : 3,']
