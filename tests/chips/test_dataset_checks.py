"""What is wrong with a dataset is named, with counts, when it is opened."""

import json

import numpy as np
import pytest
import rasterio
from drawn_chips import export, some_chips

from building_segmenter.chips.dataset import open_dataset
from building_segmenter.errors import InputNotFoundError, InputUnreadableError, InvalidParameterError

FILES = {
    "classified-tiles": "labels/000000002.tif",
    "rcnn-masks": "labels/house/000000002.tif",
    "pascal-voc": "labels/000000002.xml",
    "kitti": "labels/000000002.txt",
    "yolo": "labels/train/000000002.txt",
    "coco": "annotations/instances_train.json",
    "hdf5": "chips.h5",
    "export-tiles": "images/000000002.tif",
}


def shrink(path, **changes):
    with rasterio.open(path) as file:
        profile, pixels = file.profile, file.read()
    profile |= {"blockxsize": None, "blockysize": None, "tiled": False} | changes
    profile = {key: value for key, value in profile.items() if value is not None}
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels[: profile["count"], : profile["height"], : profile["width"]].astype(profile["dtype"]))


@pytest.mark.parametrize("name", FILES)
def test_missing_labels(tmp_path, name):
    folder = export(tmp_path / "d", name, some_chips())
    (folder / FILES[name]).unlink()
    with pytest.raises(InputUnreadableError, match=rf"are missing from .*, the first is {FILES[name].split('/')[-1]}"):
        open_dataset(folder)


def test_missing_contacts(tmp_path):
    folder = export(tmp_path / "d", "rcnn-masks", some_chips())
    (folder / "contacts" / "000000003.tif").unlink()
    with pytest.raises(InputUnreadableError, match=r"1 of 4 files are missing from .*contacts"):
        open_dataset(folder)
    (folder / "contacts").rename(folder / "gone")
    with pytest.raises(InputUnreadableError, match="which says what is unknown"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"width": 90}, "90 x 80 pixels, 3 bands of uint8"),
        ({"count": 2}, "96 x 80 pixels, 2 bands of uint8"),
        ({"dtype": "uint16"}, "96 x 80 pixels, 3 bands of uint16"),
    ],
)
def test_images_unlike_the_others(tmp_path, changes, told):
    folder = export(tmp_path / "d", "classified-tiles", some_chips())
    for number in (1, 3):
        shrink(folder / "images" / f"00000000{number}.tif", **changes)
    with pytest.raises(InputUnreadableError) as raised:
        open_dataset(folder)
    assert "2 of 4 images" in raised.value.message
    assert f"the first is 000000001 with {told}" in raised.value.message


@pytest.mark.parametrize(("name", "label"), [("classified-tiles", "labels"), ("rcnn-masks", "labels/house")])
def test_labels_that_do_not_fit(tmp_path, name, label):
    folder = export(tmp_path / "d", name, some_chips())
    shrink(folder / label / "000000002.tif", height=64)
    with pytest.raises(InputUnreadableError) as raised:
        open_dataset(folder)
    assert "1 of 4 labels" in raised.value.message
    assert "000000002 with 96 x 64 pixels, its image has 96 x 80" in raised.value.message


def test_broken_files_are_named(tmp_path):
    folder = export(tmp_path / "d", "classified-tiles", some_chips())
    (folder / "images" / "000000001.tif").write_bytes(b"II*\0 and no more")
    with pytest.raises(InputUnreadableError, match=r"000000001\.tif cannot be read"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("name", "path", "text"),
    [
        ("yolo", "labels/train/000000000.txt", "0 0.1 0.2 0.3\n"),
        ("yolo", "labels/train/000000000.txt", "9 0.1 0.2 0.3 0.4 0.5 0.6\n"),
        ("pascal-voc", "labels/000000000.xml", "<annotation><object><name>1</name></object></annotation>"),
        ("pascal-voc", "labels/000000000.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotation/>'),
        ("pascal-voc", "labels/000000000.xml", "<annotation>"),
        ("kitti", "labels/000000000.txt", "1 0 0 0 1 2 3 4\n"),
        ("coco", "annotations/instances_train.json", '{"images": [{}], "annotations": []}'),
        ("rcnn-masks", "objects.csv", "chip,number\n000000000,1\n"),
    ],
)
def test_garbled_labels_are_named(tmp_path, name, path, text):
    folder = export(tmp_path / "d", name, some_chips())
    (folder / path).write_text(text)
    with pytest.raises(InputUnreadableError, match=path.split("/")[-1]):
        dataset = open_dataset(folder)
        dataset.read_boxes(dataset.chips[0])


def test_a_broken_file_of_chips(tmp_path):
    folder = export(tmp_path / "d", "hdf5", some_chips())
    (folder / "chips.h5").write_bytes(b"no such thing")
    with pytest.raises(InputUnreadableError, match=r"chips\.h5 cannot be read"):
        open_dataset(folder)


def test_what_training_cannot_use_is_told(tmp_path):
    for name in ("pascal-voc", "kitti", "export-tiles"):
        folder = export(tmp_path / name, name, some_chips())
        dataset = open_dataset(folder)
        with pytest.raises(InvalidParameterError, match="has no classes of pixels") as raised:
            dataset.require("classes")
        assert "rcnn-masks" in raised.value.hint


def test_manifests(tmp_path):
    chips = some_chips()
    folder = export(tmp_path / "d", "classified-tiles", chips)
    facts = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert facts["counts"] == {"chips": 4, "train": 3, "validation": 1, "objects": sum(len(c.objects) for c in chips)}
    assert facts["gsd"] == [0.1524, 0.1524]
    assert rasterio.crs.CRS.from_wkt(facts["crs"]).to_epsg() == 2240
    assert facts["seed"] == 1
    assert facts["sources"]["image"]["sha256"] == "0"
    assert facts["unknown_pixels"] == 1000
    for chip, told in zip(chips, facts["chips"], strict=True):
        assert (told["name"], told["split"], told["objects"]) == (chip.name, chip.split, len(chip.objects))
        counts = {str(v): int((chip.label == v).sum()) for v in np.unique(chip.label) if v not in (0, 255)}
        assert told["pixels"] == counts
        np.testing.assert_array_equal(told["transform"], chip.transform[:6])
    facts["version"] = 2
    (folder / "dataset.json").write_text(json.dumps(facts))
    with pytest.raises(InputUnreadableError, match="version 2"):
        open_dataset(folder)
    (folder / "dataset.json").write_text('{"version": 1, "chips": [{}]}')
    with pytest.raises(InputUnreadableError, match="lacks or garbles"):
        open_dataset(folder)
    with pytest.raises(InputNotFoundError, match="does not exist"):
        open_dataset(tmp_path / "nowhere")
