"""Other readers than ours open the exports and agree with the truth."""

import contextlib
import io
import json
import xml.etree.ElementTree as ElementTree

import h5py
import numpy as np
import pytest
import rasterio
import shapely
from drawn_chips import CLASSES, SIZE, TURNS, chip_of, export, some_chips
from rasterio.features import rasterize

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools


def coco_api(path):
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def near_edge(one, reach=1.0):
    """Mark the pixels whose square is less than `reach` from an object's outline: where rasterizers may differ."""
    shapes = [(one.polygon.boundary.buffer(reach), 1)]
    return rasterize(shapes, (SIZE[1], SIZE[0]), all_touched=True, dtype=np.uint8) > 0


@pytest.mark.parametrize("turn", TURNS)
def test_pycocotools_reads_coco(tmp_path, turn):
    chips = some_chips(6, transform=TURNS[turn])
    export(tmp_path / "d", "coco", chips)
    seen = 0
    for split in ("train", "validation"):
        api = coco_api(tmp_path / "d" / "annotations" / f"instances_{split}.json")
        assert {one["id"]: one["name"] for one in api.loadCats(api.getCatIds())} == {1: "house", 4: "shed & co"}
        chosen = [chip for chip in chips if chip.split == split]
        assert len(api.getImgIds()) == len(chosen)
        for chip, image in zip(chosen, api.loadImgs(sorted(api.getImgIds())), strict=True):
            assert (image["width"], image["height"]) == SIZE
            with rasterio.open(tmp_path / "d" / "images" / image["file_name"]) as file:
                np.testing.assert_array_equal(np.moveaxis(file.read(), 0, -1), chip.image)
            annotations = api.loadAnns(api.getAnnIds(imgIds=[image["id"]], iscrowd=False))
            assert [one["object_id"] for one in annotations] == [one.id for one in chip.objects]
            for annotation, one in zip(annotations, chip.objects, strict=True):
                assert annotation["category_id"] == one.value
                left, top, width, height = annotation["bbox"]
                np.testing.assert_allclose((left, top, left + width, top + height), one.polygon.bounds)
                assert annotation["area"] == pytest.approx(one.polygon.area)
                direct = rasterize([one.polygon], (SIZE[1], SIZE[0]), dtype=np.uint8) > 0
                differs = (api.annToMask(annotation) > 0) != direct
                assert not (differs & ~near_edge(one)).any()
                assert isinstance(annotation["segmentation"], dict) == any(
                    part.interiors for part in shapely.get_parts(one.polygon)
                )
                seen += 1
            crowds = api.loadAnns(api.getAnnIds(imgIds=[image["id"]], iscrowd=True))
            unknown = chip.label == 255
            assert len(crowds) == (len(CLASSES) if unknown.any() else 0)
            for crowd in crowds:
                np.testing.assert_array_equal(api.annToMask(crowd) > 0, unknown)
    assert seen == sum(len(chip.objects) for chip in chips) > 15


def test_run_lengths_are_those_of_pycocotools():
    from pycocotools import mask as tools

    from building_segmenter.chips.formats import rle

    rng = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 0.98, 1.0):
        mask = rng.random((37, 23)) < share
        runs = rle.encoded(mask)
        packed = tools.frPyObjects(runs, *mask.shape)
        np.testing.assert_array_equal(tools.decode(packed) > 0, mask)
        theirs = tools.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert theirs["counts"] == packed["counts"]
        text = {"size": list(mask.shape), "counts": theirs["counts"].decode()}
        np.testing.assert_array_equal(rle.decoded(text), mask)
        np.testing.assert_array_equal(rle.decoded(runs), mask)


def test_pycocotools_scores_the_truth_as_perfect(tmp_path):
    from pycocotools.cocoeval import COCOeval

    export(tmp_path / "d", "coco", some_chips(6))
    api = coco_api(tmp_path / "d" / "annotations" / "instances_train.json")
    wanted = api.loadAnns(api.getAnnIds(iscrowd=False))
    results = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "segmentation": api.annToRLE(a), "score": 1.0}
        for a in wanted
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        scores = COCOeval(api, api.loadRes(results), "segm")
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
    assert scores.stats[0] == pytest.approx(1.0)


def test_a_parser_of_voc_reads_the_boxes(tmp_path):
    chips = some_chips()
    export(tmp_path / "d", "pascal-voc", chips)
    for chip in chips:
        root = ElementTree.parse(tmp_path / "d" / "labels" / f"{chip.name}.xml").getroot()
        assert root.tag == "annotation"
        assert root.findtext("filename") == f"{chip.name}.tif"
        assert [int(root.findtext(f"size/{tag}")) for tag in ("width", "height", "depth")] == [*SIZE, 3]
        objects = root.findall("object")
        assert len(objects) == len(chip.objects)
        for element, one in zip(objects, chip.objects, strict=True):
            assert element.findtext("name") == str(one.value)
            texts = [element.findtext(f"bndbox/{tag}") for tag in ("xmin", "ymin", "xmax", "ymax")]
            assert all(len(text.partition(".")[2]) == 2 for text in texts)
            np.testing.assert_allclose([float(text) for text in texts], one.polygon.bounds, atol=0.0051)


def test_a_parser_of_kitti_reads_the_boxes(tmp_path):
    chips = some_chips()
    export(tmp_path / "d", "kitti", chips)
    for chip in chips:
        lines = (tmp_path / "d" / "labels" / f"{chip.name}.txt").read_text().splitlines()
        assert len(lines) == len(chip.objects)
        for line, one in zip(lines, chip.objects, strict=True):
            kind, truncated, occluded, alpha, *box_and_rest = line.split(" ")
            assert len(box_and_rest) == 11
            assert kind == str(one.value)
            assert float(truncated) == pytest.approx(1 - one.share, abs=0.0051)
            assert (occluded, alpha) == ("0", "0")
            np.testing.assert_allclose([float(text) for text in box_and_rest[:4]], one.polygon.bounds, atol=0.0051)
            assert box_and_rest[4:] == ["0"] * 7


def yaml_of(path):
    """Read the two levels of a data.yaml: plain keys, and a mapping of numbers to quoted names."""
    content, names = {}, {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if line.startswith("  "):
            names[int(key)] = json.loads(value)
        else:
            content[key] = value.strip()
    return content | {"names": names}


@pytest.mark.parametrize("turn", TURNS)
def test_a_parser_of_yolo_reads_the_polygons(tmp_path, turn):
    chips = some_chips(transform=TURNS[turn])
    folder = export(tmp_path / "d", "yolo", chips)
    data = yaml_of(folder / "data.yaml")
    assert data["names"] == {0: "house", 1: "shed & co"}
    assert set(data) == {"train", "val", "names"}
    for chip in chips:
        part = data["train" if chip.split == "train" else "val"]
        assert (folder / part / f"{chip.name}.tif").is_file()
        # As Ultralytics finds it: the last `images` of the path becomes `labels`.
        label = folder / part.replace("images", "labels") / f"{chip.name}.txt"
        lines = label.read_text().splitlines()
        assert len(lines) == len(chip.objects)
        for line, one in zip(lines, chip.objects, strict=True):
            index, *shares = line.split()
            assert CLASSES[int(index)].value == one.value
            corners = np.array(shares, float).reshape(-1, 2)
            assert corners.min() >= 0
            assert corners.max() <= 1
            assert len(corners) >= 3
            # The even-odd rule, point by point, on a lattice that is not ours.
            ring = corners * SIZE
            points = np.random.default_rng(0).uniform((0, 0), SIZE, (400, 2))
            truth = shapely.contains_xy(one.polygon, points)
            np.testing.assert_array_equal(even_odd(ring, points), truth)


def even_odd(ring, points):
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if y0 != y1:
            crosses = (points[:, 1] < y0) != (points[:, 1] < y1)
            inside ^= crosses & (points[:, 0] < x0 + (points[:, 1] - y0) / (y1 - y0) * (x1 - x0))
    return inside


def test_an_export_without_validation_chips_is_whole_for_yolo(tmp_path):
    folder = export(tmp_path / "d", "yolo", [chip for chip in some_chips() if chip.split == "train"])
    data = yaml_of(folder / "data.yaml")
    assert data["train"] == data["val"] == "images/train"


def test_h5py_reads_the_one_file(tmp_path):
    chips = some_chips()
    folder = export(tmp_path / "d", "hdf5", chips)
    assert sorted(path.name for path in folder.iterdir()) == ["chips.h5", "dataset.json"]
    with h5py.File(folder / "chips.h5") as file:
        for name, attribute in {"images": "image", "masks": "label", "contacts": "contact"}.items():
            np.testing.assert_array_equal(file[name][:], [getattr(chip, attribute) for chip in chips])
            assert file[name].chunks == (1, *file[name].shape[1:])
            assert file[name].compression == "gzip"
        np.testing.assert_array_equal(file["instances"][:], [chip.instances for chip in chips])
        assert file["names"].asstr()[:].tolist() == [chip.name for chip in chips]
        assert file["splits"].asstr()[:].tolist() == [chip.split for chip in chips]
        np.testing.assert_array_equal(file["transforms"][:], [chip.transform[:6] for chip in chips])
        objects = [(index, one.id, one.value) for index, chip in enumerate(chips) for one in chip.objects]
        assert [tuple(row)[:3] for row in file["objects"][:].tolist()] == objects
        assert rasterio.crs.CRS.from_wkt(file.attrs["crs"]).to_epsg() == 2240
        assert [one["name"] for one in json.loads(file.attrs["classes"])] == ["house", "shed & co"]
        assert file["images"].id.get_storage_size() < file["images"].size * 1.01


def test_pillow_reads_the_images(tmp_path):
    from PIL import Image

    chips = some_chips()
    export(tmp_path / "d", "rcnn-masks", chips)
    for chip in chips:
        with Image.open(tmp_path / "d" / "images" / f"{chip.name}.tif") as image:
            np.testing.assert_array_equal(np.asarray(image), chip.image)


def test_objects_csv_says_which_footprint_an_object_is(tmp_path):
    import csv

    chips = some_chips()
    for name in ("rcnn-masks", "pascal-voc", "kitti", "yolo"):
        folder = export(tmp_path / name, name, chips)
        with open(folder / "objects.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert {(row["chip"], int(row["id"]), int(row["value"])) for row in rows} == {
            (chip.name, one.id, one.value) for chip in chips for one in chip.objects
        }
        shares = {(row["chip"], int(row["id"])): float(row["share"]) for row in rows}
        for chip in chips:
            for one in chip.objects:
                assert shares[chip.name, one.id] == pytest.approx(one.share, abs=1e-4)


def test_a_label_of_rcnn_masks_numbers_objects_of_one_class(tmp_path):
    polygons = [shapely.box(x, 10, x + 8, 30) for x in (2, 22, 42, 62)]
    chip = chip_of(polygons, [1, 4, 1, 4], ids=[10, 11, 70000, 70001])
    export(tmp_path / "d", "rcnn-masks", [chip])
    for folder, ids in (("house", [10, 70000]), ("shed_&_co", [11, 70001])):
        with rasterio.open(tmp_path / "d" / "labels" / folder / "000000000.tif") as file:
            label = file.read(1)
        assert np.unique(label).tolist() == [0, 1, 2]
        for number, footprint in enumerate(ids, 1):
            np.testing.assert_array_equal(label == number, chip.instances == footprint)
