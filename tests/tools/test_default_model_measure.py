"""Measures of a model on a drawn scene, by a model whose answer is known."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.enums import ColorInterp

from tools.default_model import figures, runs
from tools.default_model.blocks import Place
from tools.default_model.measure import parsed

GSD = 0.15


@pytest.fixture
def place(flat_scene, write_image, write_roofs):
    return Place("Scene", Path(write_image(flat_scene.image)), Path(write_roofs(flat_scene.roofs)))


def test_a_model_that_sees_all_roofs(place, bright_model, tmp_path):
    [row] = figures.accuracy(bright_model, [place], tmp_path)
    assert row["pixel_iou"] > 0.97
    for way in ("parted", "not_parted"):
        assert (row[way]["f1"], row[way]["true"], row[way]["matched"]) == (1.0, 3, 3)
        assert row[way]["corners"] == row[way]["true_corners"]


def test_ground_outside_the_labelled_area_does_not_count(place, bright_model, write_roofs, tmp_path):
    wrong = Place("Scene", place.image, place.labels.parent / "some.gpkg")
    write_roofs([shapely.box(0, 0, 4, 4)], "some.gpkg")
    west = write_roofs([shapely.box(0, 0, 20, 20)], "area.gpkg")
    prediction = runs.segmented(place.image, bright_model, tmp_path / "p.tif")
    everywhere = runs.compared(prediction, wrong)
    inside = runs.compared(prediction, Place("Scene", wrong.image, wrong.labels, Path(west)))
    assert everywhere.iou == 0 and everywhere.either.sum() > 5000
    assert inside.either.sum() == 16


def test_coarser_images_cover_the_same_ground(place, bright_model, tmp_path):
    coarse = runs.resampled(place.image, 2 * GSD, tmp_path / "coarse.tif")
    with rasterio.open(place.image) as one, rasterio.open(coarse) as other:
        assert other.shape == (one.height // 2, one.width // 2)
        assert other.bounds == pytest.approx(tuple(one.bounds))
        assert runs.pixel_of(other) == pytest.approx((2 * GSD, 2 * GSD), rel=1e-3)
        blocks = one.read(1).reshape(other.height, 2, other.width, 2).mean(axis=(1, 3))
        assert np.abs(other.read(1) - blocks).max() <= 1
    [row] = figures.by_ground_pixel(bright_model, [place], tmp_path, [2 * GSD])
    assert 0.93 < row["mean"] == row["pixel_iou"]["Scene"] < 1


def test_transparent_pixels_stay_transparent(flat_scene, write_image, tmp_path):
    alpha = np.full(flat_scene.image.shape[:2], 255, np.uint8)
    alpha[:, :11] = 0
    image = write_image(np.dstack([flat_scene.image, alpha]), photometric="RGB", alpha="YES")
    with rasterio.open(runs.resampled(image, 2 * GSD, tmp_path / "coarse.tif")) as coarse:
        assert coarse.colorinterp[3] == ColorInterp.alpha
        assert set(np.unique(coarse.read(4))) == {0, 255}
        assert not coarse.read(4)[:, :5].any() and coarse.read(4)[:, 6:].all()


def test_towns_left_out(place, bright_model, tmp_path):
    found = figures.left_out({"kampala": bright_model}, {"kampala": [place, place]}, tmp_path)
    [town] = found["towns"]
    assert town["threshold"] == 0.5
    assert town["cells"] == 2  # one of 60 x 45 m, twice
    assert town["low"] <= town["value"] <= town["high"]
    assert found["mean"]["value"] == town["value"] == pytest.approx(town["places"]["Scene"])
    json.dumps(found)


def test_a_model_that_saw_the_town_is_refused(bright_model, tmp_path, capsys):
    seen = tmp_path / "seen.keras"
    with zipfile.ZipFile(bright_model) as old, zipfile.ZipFile(seen, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "mlm.json":
                item = json.loads(content)
                item["properties"]["building_segmenter:training"] = {"datasets": [{"folder": "centre_0"}]}
                content = json.dumps(item)
            new.writestr(name, content)
    assert figures.towns_seen(seen) == {"banepa"}
    assert parsed(["--data", "d", "--left-out", f"kampala={seen}"]).left_out == {"kampala": seen}
    with pytest.raises(SystemExit):
        parsed(["--data", "d", "--left-out", f"banepa={seen}"])
    assert "has seen banepa" in capsys.readouterr().err
