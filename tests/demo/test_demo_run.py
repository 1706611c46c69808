"""The demo's runner: clear errors with a next step, and a map drawn by QGIS."""

import os
import sys

import geopandas
import numpy as np
import pytest
from skimage.io import imread

from building_segmenter.assessment.matching import Matches
from building_segmenter.assessment.objects import ObjectAccuracy
from demo import run
from demo.accuracy import Accuracy
from demo.processes import DemoError, find_qgis_process, find_qgis_python, qgis_environment
from demo.processes import run as run_program
from demo.scene import draw_scene, write_scene


def program(folder, name, text="#!/bin/sh\n"):
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_the_program_is_preferred_to_debians_wrapper(tmp_path):
    wrapper = program(tmp_path, "qgis_process")
    assert find_qgis_process(str(tmp_path)) == wrapper
    assert find_qgis_process(str(tmp_path)) != program(tmp_path, "qgis_process.bin")
    assert find_qgis_process(str(tmp_path)).endswith("qgis_process.bin")


def test_a_missing_qgis_is_said_with_the_next_step(tmp_path):
    with pytest.raises(DemoError, match="not found on PATH") as caught:
        find_qgis_process(str(tmp_path))
    assert "make setup" in caught.value.hint
    with pytest.raises(DemoError, match="import QGIS"):
        find_qgis_python({"QGIS_PYTHON": str(tmp_path / "none")})
    with pytest.raises(DemoError, match="does not exist"):
        qgis_environment(tmp_path / "no profile")


def test_the_environment_is_qgis_own(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.delenv("BUILDING_SEGMENTER_PYTHON", raising=False)
    environment = qgis_environment(tmp_path)
    assert "PYTHONPATH" not in environment
    assert environment["QGIS_CUSTOM_CONFIG_PATH"] == str(tmp_path)
    assert environment["BUILDING_SEGMENTER_PYTHON"] == sys.executable


def test_a_failing_program_passes_on_what_it_wrote():
    script = "import sys; print('first'); print('the cause', file=sys.stderr); sys.exit(3)"
    with pytest.raises(DemoError, match=r"(?s)The test failed with exit status 3.*the cause"):
        run_program([sys.executable, "-c", script], os.environ, "The test")


def test_a_missing_raster_ends_the_demo_with_its_name(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run, "find_qgis_process", lambda: "qgis_process")
    monkeypatch.setattr(run, "qgis_environment", dict)
    monkeypatch.setattr(run, "find_qgis_python", lambda environment: "python3")
    assert run.main(["--raster", str(tmp_path / "none.tif")]) == 1
    assert "none.tif does not exist" in capsys.readouterr().err


def test_the_report_says_what_was_measured():
    frame = geopandas.GeoDataFrame({"status": [0, 0, 1]}, geometry=[None] * 3)
    pairs = np.arange(2)
    matches = Matches(pairs, pairs, np.array([0.9, 0.8]), predicted_count=3, reference_count=4)
    text = run.report(frame, Accuracy(0.8123, ObjectAccuracy(matches, 5.0, 4.5)), 12.34)
    assert "3, 1 of them as predicted" in text
    for figure in ("0.812", "precision 0.667", "recall 0.500", "F1 0.571", "5.0 a building, 4.5 in truth", "12.3 s"):
        assert figure in text
    assert "IoU" not in run.report(frame, None, 1.0)


def test_qgis_draws_the_map(tmp_path):
    try:
        python = find_qgis_python(os.environ)
    except DemoError:
        pytest.skip("QGIS is not installed, so its map cannot be tested")
    scene = draw_scene(2, 400, 300)
    raster, layer, picture = tmp_path / "näh 1.tif", tmp_path / "truth.gpkg", tmp_path / "map.png"
    write_scene(scene, raster, layer)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"QT_QPA_PLATFORM": "offscreen"}
    arguments = [str(raster), str(layer), str(picture), "--title", "Test", "--credits", "Drawn"]
    run_program([python, str(run.FOLDER / "map.py"), *arguments], environment, "The map")
    pixels = imread(picture)[..., :3].astype(int)
    assert 1.1 < pixels.shape[1] / pixels.shape[0] < 1.35
    outlines = np.abs(pixels - (0, 229, 255)).max(axis=2) < 12
    assert 0.001 < outlines.mean() < 0.1
    with pytest.raises(DemoError, match="QGIS cannot open"):
        run_program([python, str(run.FOLDER / "map.py"), "none.tif", str(layer), str(picture)], environment, "The map")
