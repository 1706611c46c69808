"""Land cover from polygons with classes to a raster and polygons of classes, on drawn scenes with exact truth.

A network without pretrained weights trains for a minute on one scene, and is measured on another.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

from building_segmenter import tasks
from building_segmenter.chips.export import export_chips
from building_segmenter.footprints.polygonize import polygonize_mask
from building_segmenter.inference.segment import segment_raster
from building_segmenter.networks.model_file import read_facts
from building_segmenter.progress import Progress
from demo.land_cover import COVERS, draw_cover_scene, write_cover_scene

pytest.importorskip("tensorflow")

REPOSITORY = Path(__file__).parents[2]
LEAST_MEAN_IOU = 0.7
"""Far from what a training of minutes reaches (docs/land-cover.md), and far beyond telling covers by chance."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a trained model.keras and what was told of its training."""
    place = tmp_path_factory.mktemp("covers")
    write_cover_scene(draw_cover_scene(5, 512), place / "learn.tif", place / "learn.gpkg")
    chips = tasks.ExportChips(
        input=str(place / "learn.tif"),
        footprints=str(place / "learn.gpkg"),
        output=str(place / "chips"),
        class_field="cover",
        tile_size=64,
    )
    export_chips(chips, Progress())
    script = Path(__file__).with_name("drawn_covers.py")
    environment = os.environ | {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(REPOSITORY),
    }
    words = [sys.executable, str(script), str(place / "chips"), str(place)]
    done = subprocess.run(words, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return place


@pytest.fixture(scope="module")
def runs(folder):
    return json.loads((folder / "runs.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def unseen(folder):
    """A scene that the model has not seen, and its segmentation: (scene, path of the raster of classes)."""
    scene = draw_cover_scene(6, 400)
    image, output = folder / "unseen.tif", folder / "classes.tif"
    write_cover_scene(scene, image, folder / "unseen.gpkg")
    segment_raster(
        tasks.SegmentRaster(input=str(image), output=str(output), model=str(folder / "model.keras")), Progress()
    )
    return scene, output


def overlaps(truth, called):
    """IoU of each cover."""
    return [((truth == n) & (called == n)).sum() / ((truth == n) | (called == n)).sum() for n in (1, 2, 3)]


def test_covers_of_an_unseen_scene_are_told_apart(unseen):
    scene, path = unseen
    with rasterio.open(path) as raster:
        assert raster.descriptions == COVERS
        assert [raster.tags(band)["CLASS_VALUE"] for band in (1, 2, 3)] == ["1", "2", "3"]
        probability = raster.read().astype(float) / 254
    background = 1.0 - probability.sum(axis=0)
    called = np.concatenate([background[np.newaxis], probability]).argmax(axis=0)
    found = overlaps(scene.label, called)
    assert np.mean(found) > LEAST_MEAN_IOU, found
    # Water is a twenty-fifth of the ground, and not voted down.
    assert found[COVERS.index("water")] > 0.5, found


def test_polygons_of_each_class_cover_what_was_drawn(unseen, folder):
    raster = unseen[1]
    output = folder / "classes.gpkg"
    polygonize_mask(tasks.PolygonizeMask(input=str(raster), output=str(output)), Progress())
    found, drawn = geopandas.read_file(output), geopandas.read_file(folder / "unseen.gpkg")
    shares = []
    for value, name in enumerate(COVERS, start=1):
        assert set(found["class"][found["class_name"] == name]) == {value}
        mine = shapely.union_all(found.geometry[found["class_name"] == name])
        truth = shapely.union_all(drawn.geometry[drawn["cover"] == name])
        shares.append(mine.intersection(truth).area / mine.union(truth).area)
    assert np.mean(shares) > LEAST_MEAN_IOU, shares


def test_facts_tell_the_classes(folder):
    facts = read_facts(folder / "model.keras")
    assert facts.channels == ("background", *COVERS)
    assert facts.is_multiclass
    assert [dict(one) for one in facts.classes] == [{"value": n, "name": name} for n, name in enumerate(COVERS, 1)]
    assert facts.metrics["iou"] > LEAST_MEAN_IOU
    named = [value for name, value in facts.metrics.items() if name.startswith("iou: ")]
    assert facts.metrics["iou"] == pytest.approx(np.mean(named), abs=1e-3)
    assert facts.training["options"]["classes"] == "separate"


def test_result_has_metrics_and_no_threshold(runs, folder):
    result = runs["result"]
    assert result["iou"] == read_facts(folder / "model.keras").metrics["iou"]
    assert "threshold" not in result


def test_a_class_that_validation_does_not_show_is_told(runs, folder):
    measured = [name for name in COVERS if f"iou: {name}" in runs["result"]]
    warned = [name for name in COVERS if any(f"No validation chip shows {name}" in line for line in runs["warnings"])]
    assert sorted(measured + warned) == list(COVERS)
    assert warned == ["water"]


def test_the_epoch_of_the_best_mean_is_kept(runs, folder):
    with (folder / "model.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    best = max(rows, key=lambda row: float(row["val_iou"]))
    assert runs["result"]["best_epoch"] == int(best["epoch"])
    assert float(best["val_iou: roof"]) == pytest.approx(runs["result"]["iou: roof"], abs=1e-4)
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])


def test_report_has_the_confusion_of_classes(folder):
    text = (folder / "model.html").read_text(encoding="utf-8")
    for words in ("Mean IoU of the classes", "called background", "called water", "prediction, mean IoU"):
        assert words in text
    assert "Choice of the threshold" not in text


@pytest.mark.parametrize(
    ("case", "code", "told", "help_"),
    [
        ("merged from several", "model-invalid", "background, roof, trees, water", "CLASSES"),
        ("other names", "invalid-parameter", "Dach, Bäume, Wasser", "CLASS_FIELD"),
        ("not in the model", "invalid-parameter", "Dach, Bäume, Wasser", "CLASS_FIELD"),
    ],
)
def test_classes_that_do_not_go_together_are_refused(runs, case, code, told, help_):
    failure = runs["failures"][case]
    assert failure["code"] == code
    assert told in failure["message"]
    assert help_ in failure["hint"]
    assert not failure["left"]
