"""Opening datasets that ArcGIS exported: drawn here file by file, as published exports look."""

import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from building_segmenter.chips.dataset import open_dataset
from building_segmenter.errors import InputNotFoundError, InputUnreadableError, InvalidParameterError

SIDE = 32
GSD = 0.075
CRS_METRES = CRS.from_epsg(6348)


def place_of(index, stride=SIDE):
    return Affine(GSD, 0, 400_000 + index % 8 * stride * GSD, 0, -GSD, 4_900_000 - index // 8 * stride * GSD)


def write_raster(path, array, transform=None, crs=CRS_METRES, driver="GTiff", **extra):
    path.parent.mkdir(parents=True, exist_ok=True)
    layers = array if array.ndim == 3 else array[None]
    profile = {"count": layers.shape[0], "height": layers.shape[1], "width": layers.shape[2], "dtype": layers.dtype}
    with rasterio.open(path, "w", driver=driver, transform=transform, crs=crs, **profile, **extra) as file:
        file.write(layers)


class ArcgisExport:
    """Writes an export as ArcGIS Pro does; `modern` versions say more in their side files."""

    def __init__(self, folder, mode, classes=((1, "Building"),), *, modern=True, count=40):
        folder.mkdir()
        self.folder, self.count, self.lines = folder, count, []
        self.definition = {
            "Framework": "e.g. TensorFlow or PyTorch",
            "ImageHeight": "e.g. 256",
            "Classes": [{"Value": value, "Name": name, "Color": [-1, -1, -1]} for value, name in classes],
        }
        self.accumulated = {
            "Version": 1,
            "NumBands": 3,
            "MetaDataMode": mode,
            "Classes": [{"ClassValue": value, "ClassName": name} for value, name in classes],
        }
        self.rng = np.random.default_rng(4)
        if modern:
            reference = {"wkid": 102388, "latestWkid": 6348}
            self.definition |= {
                "MetaDataMode": mode,
                "MinCellSize": {"x": GSD, "y": GSD, "spatialReference": reference},
                "AllTilesStats": [{"BandName": "", "Min": 5, "Max": 227, "Mean": 114.2, "StdDev": 28.1}] * 3,
            }

    def image(self, index, ending="tif", world=True, **extra):
        pixels = self.rng.integers(5, 228, (3, SIDE, SIDE)).astype(np.uint8)
        path = self.folder / "images" / f"{index:012d}.{ending}"
        if ending == "tif":
            write_raster(path, pixels, place_of(index), **extra)
        else:
            write_raster(path, pixels, crs=None, driver="JPEG")
            if world:
                a, b, c, d, e, f = place_of(index)[:6]
                world_file = path.with_suffix(".jgw")
                world_file.write_text("\n".join(f"{n:.10f}" for n in (a, d, b, e, c + a / 2, f + e / 2)))
        return pixels

    def line(self, index, *labels, ending="tif"):
        paths = "".join(f"  labels\\{label}" for label in labels)
        self.lines.append(f"images\\{index:012d}.{ending}{paths} \n")

    def finish(self):
        (self.folder / "map.txt").write_text("".join(self.lines), newline="\r\n")
        (self.folder / "stats.txt").write_text("images = 40 *3*32*32\n")
        texts = {"esri_model_definition.emd": self.definition, "esri_accumulated_stats.json": self.accumulated}
        for name, content in texts.items():
            (self.folder / name).write_text(json.dumps(content, indent=2), encoding="utf-8-sig")
        return self.folder


def label_with(*values):
    label = np.zeros((SIDE, SIDE), np.uint16)
    for number, value in enumerate(values):
        label[4:12, 4 + 10 * number : 12 + 10 * number] = value
    return label


def test_classified_tiles_whose_class_is_255(tmp_path):
    export = ArcgisExport(tmp_path / "d", "Classified_Tiles", [(255, "255")])
    images = {}
    for index in range(export.count):
        images[index] = export.image(index)
        label = label_with(255) if index % 3 else label_with()
        write_raster(export.folder / "labels" / f"{index:012d}.tif", label, place_of(index))
        export.line(index, f"{index:012d}.tif")
    dataset = open_dataset(export.finish())
    assert dataset.format == "classified-tiles"
    assert [(one["value"], one["name"]) for one in dataset.classes] == [(1, "255")]
    assert (dataset.size, dataset.bands, dataset.dtype) == ((SIDE, SIDE), 3, "uint8")
    assert dataset.gsd == pytest.approx((GSD, GSD), rel=1e-3)
    assert dataset.statistics[0] == {"min": 5.0, "max": 227.0, "mean": 114.2, "std": 28.1}
    for index, entry in enumerate(dataset.chips):
        image, label, contact = dataset.read(entry)
        np.testing.assert_array_equal(np.moveaxis(image, -1, 0), images[index])
        assert contact is None
        np.testing.assert_array_equal(label, (label_with(255) > 0) if index % 3 else 0)


def test_several_classes_and_a_listed_background(tmp_path):
    export = ArcgisExport(tmp_path / "d", "Classified_Tiles", [(0, "NoData"), (1, "Roof"), (7, "Road")])
    for index in range(export.count):
        export.image(index)
        write_raster(export.folder / "labels" / f"{index:012d}.tif", label_with(1, 7), place_of(index))
        export.line(index, f"{index:012d}.tif")
    dataset = open_dataset(export.finish())
    assert [(one["value"], one["name"]) for one in dataset.classes] == [(1, "Roof"), (7, "Road")]
    np.testing.assert_array_equal(dataset.read(dataset.chips[0])[1], label_with(1, 7))


def test_a_value_that_is_no_class_is_named(tmp_path):
    export = ArcgisExport(tmp_path / "d", "Classified_Tiles")
    for index in range(export.count):
        export.image(index)
        write_raster(export.folder / "labels" / f"{index:012d}.tif", label_with(9), place_of(index))
        export.line(index, f"{index:012d}.tif")
    dataset = open_dataset(export.finish())
    with pytest.raises(InputUnreadableError, match=r"000000000000\.tif .* names the class 9; the dataset has 1"):
        dataset.read(dataset.chips[0])


def test_chips_without_a_label_are_ground(tmp_path):
    export = ArcgisExport(tmp_path / "d", "Classified_Tiles")
    for index in range(export.count):
        export.image(index)
        if index % 2:
            write_raster(export.folder / "labels" / f"{index:012d}.tif", label_with(1), place_of(index))
        export.line(index, *([f"{index:012d}.tif"] if index % 2 else []))
    dataset = open_dataset(export.finish())
    for index, entry in enumerate(dataset.chips):
        assert dataset.read(entry)[1].max() == index % 2


def test_masks_of_two_classes_with_overlaps_and_negatives(tmp_path):
    export = ArcgisExport(tmp_path / "d", "RCNN_Masks", [(1, "House"), (2, "Old Barn")])
    labels = export.folder / "labels"
    for index in range(export.count):
        export.image(index)
        named = []
        if index % 3 > 0:
            # The second band shows an object under another one.
            over = np.zeros((SIDE, SIDE), np.uint8)
            over[10:20, 2:9] = 1
            write_raster(labels / "House" / f"{index:012d}.tif", np.stack([label_with(1, 2).astype(np.uint8), over]))
            named.append(f"House\\{index:012d}.tif")
        if index % 3 > 1:
            barn = np.zeros((SIDE, SIDE), np.uint8)
            barn[25:30, 25:30] = 1
            write_raster(labels / "Old Barn" / f"{index:012d}.tif", barn)
            named.append(f"Old Barn\\{index:012d}.tif")
        export.line(index, *named)
    dataset = open_dataset(export.finish())
    assert dataset.labels == {"classes", "instances", "boxes"}
    assert [len(dataset.read_instances(entry).ids) for entry in dataset.chips[:3]] == [0, 3, 4]
    found = dataset.read_instances(dataset.chips[2])
    assert found.values.tolist() == [1, 1, 1, 2]
    assert (found.numbers[10:20, 2:9] == 3).all()
    assert (found.numbers[4:10, 4:12] == 1).all()
    label = dataset.read(dataset.chips[2])[1]
    assert set(np.unique(label)) == {0, 1, 2}
    assert not dataset.read(dataset.chips[0])[1].any()
    boxes = dataset.read_boxes(dataset.chips[2])
    assert boxes.corners[3].tolist() == [25, 25, 30, 30]


def voc_xml(boxes):
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0:.2f}</xmin><ymin>{y0:.2f}</ymin><xmax>{x1:.2f}</xmax>"
        f"<ymax>{y1:.2f}</ymax></bndbox></object>"
        for name, (x0, y0, x1, y1) in boxes
    )
    return f'<?xml version="1.0"?>\n<annotation><filename>x.jpg</filename>{objects}</annotation>\n'


def test_an_old_export_of_boxes_with_jpeg_and_world_files(tmp_path):
    export = ArcgisExport(tmp_path / "d", "PASCAL_VOC_rectangles", [(1, "Palm"), (2, "Oak")], modern=False)
    images = []
    for index in range(export.count):
        export.image(index, "jpg")
        images.append(rasterio.open(export.folder / "images" / f"{index:012d}.jpg").read())
        if index % 2:
            label = export.folder / "labels" / f"{index:012d}.xml"
            label.parent.mkdir(exist_ok=True)
            # By value in one version, by name in another.
            label.write_text(voc_xml([("1", (3.25, 4, 20, 28.5)), ("Oak", (0, 0, 32, 32))]))
        export.line(index, *([f"{index:012d}.xml"] if index % 2 else []), ending="jpg")
    dataset = open_dataset(export.finish())
    assert dataset.labels == {"boxes"}
    found = dataset.read_boxes(dataset.chips[1])
    assert found.values.tolist() == [1, 2]
    assert found.corners.tolist() == [[3.25, 4, 20, 28.5], [0, 0, 32, 32]]
    assert len(dataset.read_boxes(dataset.chips[0]).values) == 0
    assert dataset.gsd == pytest.approx((GSD, GSD))
    assert any("taken as metres" in note for note in dataset.notes)
    stack = np.stack(images).astype(float)
    assert dataset.statistics[1]["mean"] == pytest.approx(stack[:, 1].mean())
    assert dataset.statistics[1]["std"] == pytest.approx(stack[:, 1].std())
    with pytest.raises(InvalidParameterError, match="has no classes of pixels; it holds boxes of objects"):
        dataset.read(dataset.chips[1])
    with pytest.raises(InvalidParameterError, match="has no masks of objects"):
        dataset.read_instances(dataset.chips[1])


def test_kitti_and_labelled_tiles(tmp_path):
    export = ArcgisExport(tmp_path / "k", "KITTI_rectangles", [(3, "Roof")])
    (export.folder / "labels").mkdir()
    for index in range(export.count):
        export.image(index)
        (export.folder / "labels" / f"{index:012d}.txt").write_text("3 0 0 0 1.50 2.00 8.00 9.00 0 0 0 0 0 0 0\n")
        export.line(index, f"{index:012d}.txt")
    dataset = open_dataset(export.finish())
    assert dataset.read_boxes(dataset.chips[5]).corners.tolist() == [[1.5, 2, 8, 9]]
    assert dataset.read_boxes(dataset.chips[5]).values.tolist() == [3]

    export = ArcgisExport(tmp_path / "l", "Labeled_Tiles", [(3, "Roof"), (5, "Shed")])
    (export.folder / "labels").mkdir()
    for index in range(export.count):
        export.image(index)
        (export.folder / "labels" / f"{index:012d}.xml").write_text(voc_xml([("5", (1, 1, 9, 9))]))
        export.line(index, f"{index:012d}.xml")
    dataset = open_dataset(export.finish())
    assert dataset.read_tile_class(dataset.chips[0]) == 5


def test_figures_of_bands_from_any_side_file(tmp_path):
    from building_segmenter.chips.formats.arcgis_reading import _statistics

    normal = {f"band_{name}_values": [1.0, 2.0] for name in ("min", "max", "mean", "std")}
    assert _statistics({"NormalizationStats": normal}, {})[1] == {"min": 2.0, "max": 2.0, "mean": 2.0, "std": 2.0}
    state = {"Min": 5, "Max": 227, "Mean": 0, "StdDev": 0, "M1": 114.2397, "M2": 8317764991.889, "Num": 10485760}
    found = _statistics({}, {"BandStatsState": [state]})
    # The same export's EMD says StdDev 28.164586982883534.
    assert found[0]["std"] == pytest.approx(28.164586982883534)
    assert _statistics({"AllTilesStats": "e.g."}, {}) == []


@pytest.mark.parametrize("stride", [SIDE, SIDE // 2])
def test_validation_chips_overlap_no_training_chip(tmp_path, stride):
    export = ArcgisExport(tmp_path / "d", "Export_Tiles")
    for index in range(64):
        path = export.folder / "images" / f"{index:012d}.tif"
        write_raster(path, np.zeros((3, SIDE, SIDE), np.uint8), place_of(index, stride))
        export.line(index)
    dataset = open_dataset(export.finish())
    taken = {}
    for entry in dataset.chips:
        with rasterio.open(dataset.folder / entry.image) as file:
            taken.setdefault(entry.split, []).append(tuple(file.bounds))
    assert len(taken["train"]) > len(taken["validation"]) > 0
    for x0, y0, x1, y1 in taken["validation"]:
        for u0, v0, u1, v1 in taken["train"]:
            assert min(x1, u1) - max(x0, u0) < 1e-6 or min(y1, v1) - max(y0, v0) < 1e-6
    assert any("blocks of ground" in note for note in dataset.notes)
    assert open_dataset(export.folder).chips == dataset.chips


def test_chips_that_lie_nowhere_are_split_at_random_and_told(tmp_path):
    export = ArcgisExport(tmp_path / "d", "PASCAL_VOC_rectangles")
    for index in range(20):
        export.image(index, "jpg", world=False)
        export.line(index, ending="jpg")
    dataset = open_dataset(export.finish())
    assert len(dataset.split("validation")) == 3
    assert any("too good" in note for note in dataset.notes)
    assert dataset.gsd == pytest.approx((GSD, GSD))


def test_what_is_missing_is_counted_and_named(tmp_path):
    export = ArcgisExport(tmp_path / "d", "Classified_Tiles")
    for index in range(export.count):
        export.image(index)
        write_raster(export.folder / "labels" / f"{index:012d}.tif", label_with(1), place_of(index))
        export.line(index, f"{index:012d}.tif")
    export.finish()
    (export.folder / "images" / "000000000003.tif").unlink()
    (export.folder / "labels" / "000000000007.tif").unlink()
    (export.folder / "labels" / "000000000008.tif").unlink()
    with pytest.raises(InputUnreadableError) as raised:
        open_dataset(export.folder)
    assert "1 of 40 files are missing" in raised.value.message
    assert "the first is 000000000003.tif" in raised.value.message
    assert "2 of 40 files are missing" in raised.value.message


def test_other_formats_of_arcgis_are_named(tmp_path):
    export = ArcgisExport(tmp_path / "d", "CycleGAN")
    export.line(0)
    with pytest.raises(InputUnreadableError, match="format CycleGAN, which this program does not read"):
        open_dataset(export.finish())


def test_broken_side_files_are_named(tmp_path):
    export = ArcgisExport(tmp_path / "d", "Classified_Tiles")
    export.image(0)
    export.line(0)
    folder = export.finish()
    (folder / "esri_model_definition.emd").write_text('{"Classes": [{"Value": "x"}]}')
    with pytest.raises(InputUnreadableError, match=r"esri_model_definition\.emd lack or garble"):
        open_dataset(folder)
    (folder / "esri_model_definition.emd").write_text("{")
    with pytest.raises(InputUnreadableError, match=r"esri_model_definition\.emd cannot be read"):
        open_dataset(folder)
    (folder / "esri_model_definition.emd").unlink()
    with pytest.raises(InputNotFoundError, match=r"has neither dataset\.json nor ArcGIS' map\.txt"):
        open_dataset(folder)


@pytest.mark.parametrize("name", ["classified-tiles", "rcnn-masks", "pascal-voc", "kitti", "labeled-tiles"])
def test_our_exports_are_read_as_those_of_arcgis(tmp_path, name):
    from drawn_chips import export, some_chips

    chips = [chip for chip in some_chips(6) if chip.objects or name != "labeled-tiles"]
    folder = export(tmp_path / "d", name, chips)
    ours = open_dataset(folder)
    (folder / "dataset.json").unlink()
    theirs = open_dataset(folder)
    assert (theirs.format, theirs.labels, theirs.size, theirs.bands) == (name, ours.labels, ours.size, ours.bands)
    assert theirs.gsd == pytest.approx(ours.gsd, rel=2e-3)
    for band, expected in zip(theirs.statistics, ours.statistics, strict=True):
        assert band == pytest.approx(expected)
    assert [one["value"] for one in theirs.classes] == [one["value"] for one in ours.classes]
    for chip, one, other in zip(chips, ours.chips, theirs.chips, strict=True):
        np.testing.assert_array_equal(theirs.read_image(other), chip.image)
        boxes = None if name == "classified-tiles" else theirs.read_boxes(other)
        if boxes is not None:
            np.testing.assert_array_equal(boxes.corners, ours.read_boxes(one).corners)
            np.testing.assert_array_equal(boxes.values, ours.read_boxes(one).values)
        if name == "classified-tiles":
            np.testing.assert_array_equal(theirs.read(other)[1], chip.label)
        if name == "rcnn-masks":
            np.testing.assert_array_equal(theirs.read_instances(other).numbers, ours.read_instances(one).numbers)
