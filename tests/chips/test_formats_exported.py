"""The whole way: a raster and a layer exported in each format, read back, and laid beside the layer on the ground."""

import json

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.features import rasterize

from building_segmenter import tasks
from building_segmenter.chips.dataset import open_dataset
from building_segmenter.chips.export import export_chips
from building_segmenter.progress import Progress

FORMATS = ("classified-tiles", "rcnn-masks", "coco", "yolo", "hdf5", "pascal-voc", "kitti")


@pytest.fixture
def layer(tmp_path, write_roofs, flat_scene):
    """The roofs with a class of text each; the third is rare."""
    path = write_roofs(flat_scene.roofs)
    frame = geopandas.read_file(path)
    frame["kind"] = ["house", "house", "barn"]
    frame.to_file(path)
    return path


def exported(tmp_path, image, layer, name, **options):
    facts = {"tile_size": 96, "validation": 0.2, "class_field": "kind"} | options
    if name != "labeled-tiles":  # it has one chip about each building
        facts["stride"] = 96
    output = tmp_path / "chips"
    export_chips(tasks.ExportChips(input=image, footprints=layer, output=str(output), format=name, **facts), Progress())
    places = {
        chip["name"]: Affine(*chip["transform"])
        for chip in json.loads((output / "dataset.json").read_text(encoding="utf-8"))["chips"]
    }
    return open_dataset(output), places


def direct(frame, place, side=96):
    """Rasterize the layer on a chip's pixels: the row of the layer from 1."""
    to_pixels = ~place
    polygons = shapely.transform(frame.geometry.to_numpy(), lambda x, y: to_pixels @ (x, y), interleaved=False)
    raster = rasterize(zip(polygons, range(1, len(polygons) + 1), strict=True), (side, side), dtype=np.int32)
    return raster, polygons


@pytest.mark.parametrize("rotation", [0.0, 90.0, 30.0])
@pytest.mark.parametrize("name", FORMATS)
def test_labels_agree_with_the_layer(tmp_path, write_image, flat_scene, layer, name, rotation):
    dataset, places = exported(tmp_path, write_image(flat_scene.image), layer, name, rotation=rotation)
    frame = geopandas.read_file(layer)
    values = {one["name"]: one["value"] for one in dataset.classes}
    assert set(values) == {"barn", "house"}
    by_row = np.array([0] + [values[kind] for kind in frame["kind"]])
    assert len({round(np.degrees(np.arctan2(place.d, place.a))) % 360 for place in places.values()}) == (
        360 // int(rotation) if rotation else 1
    )
    seen = set()
    for entry in dataset.chips:
        raster, polygons = direct(frame, places[entry.name])
        if "classes" in dataset.labels:
            image, label, _ = dataset.read(entry)
            known = label != 255
            np.testing.assert_array_equal(label[known], by_row[raster][known])
            if name == "classified-tiles" and rotation in (0.0, 90.0):
                # White roofs on dark ground: image and label show the same.
                assert ((image[..., 0] > 140) != (label > 0))[known].mean() < 0.01
        if "instances" in dataset.labels:
            found = dataset.read_instances(entry)
            ids = np.concatenate([[0], found.ids])[found.numbers]
            np.testing.assert_array_equal(ids[known], raster[known])
            assert by_row[found.ids].tolist() == found.values.tolist()
            seen |= set(found.ids.tolist())
        else:
            if "boxes" in dataset.labels:
                found = dataset.read_boxes(entry)
                seen |= set(found.ids.tolist())
                window = shapely.box(0, 0, 96, 96)
                for corners, row, value in zip(found.corners, found.ids, found.values, strict=True):
                    assert value == by_row[row]
                    np.testing.assert_allclose(corners, polygons[row - 1].intersection(window).bounds, atol=0.006)
    assert name == "classified-tiles" or seen == {1, 2, 3}


@pytest.mark.parametrize("name", ["labeled-tiles", "export-tiles"])
def test_formats_without_pixels(tmp_path, write_image, flat_scene, layer, name):
    dataset, _ = exported(tmp_path, write_image(flat_scene.image), layer, name, validation=0.0)
    assert all(dataset.read_image(entry).shape == (96, 96, 3) for entry in dataset.chips)
    if name == "labeled-tiles":
        values = {one["name"]: one["value"] for one in dataset.classes}
        classes = sorted(dataset.read_tile_class(entry) for entry in dataset.chips)
        assert classes == sorted(values[kind] for kind in ("house", "house", "barn"))


def test_all_formats_show_the_same_chips(tmp_path, write_image, flat_scene, layer):
    shown = {}
    for name in ("rcnn-masks", "coco", "yolo", "hdf5"):
        folder = tmp_path / name
        folder.mkdir()
        dataset, places = exported(folder, write_image(flat_scene.image), layer, name, rotation=90.0, min_overlap=0.3)
        shown[name] = (
            [(entry.name, entry.split) for entry in dataset.chips],
            places,
            [dataset.read(entry)[1].tolist() for entry in dataset.chips],
            [sorted(dataset.read_instances(entry).ids.tolist()) for entry in dataset.chips],
        )
    assert all(value == shown["rcnn-masks"] for value in shown.values())


def test_run_lengths_by_choice(tmp_path, write_image, flat_scene, layer):
    image = write_image(flat_scene.image)
    dataset, _ = exported(tmp_path, image, layer, "coco", segmentation="run-lengths", validation=0.0)
    content = json.loads((dataset.folder / "annotations" / "instances_train.json").read_text(encoding="utf-8"))
    assert content["annotations"]
    assert all(isinstance(one["segmentation"], dict) for one in content["annotations"])
