"""The real `qgis_process` with the real worker; signals with a fake worker are in tests/plugin/test_qgis_process.py."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from end_to_end_runs import ENVIRONMENT, REPOSITORY, outcome_of_command, scratch_in, wait_for_scratch

from building_segmenter.chips.dataset import open_dataset
from building_segmenter.networks.model_file import read_facts

# Debian 12's wrapper `qgis_process` passes an option that the program does not know.
PROGRAM = shutil.which("qgis_process.bin") or shutil.which("qgis_process")
FIELDS = "score area_m2 perim_m vertices status reason method angle_deg max_dev_m iou geometry".split()
GONE_S = 2.0

pytestmark = pytest.mark.skipif(
    PROGRAM is None or not sys.platform.startswith("linux"), reason="qgis_process is not installed, or this is no Linux"
)


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """A profile of QGIS with the plugin enabled and this environment as the engine."""
    folder = tmp_path_factory.mktemp("profile") / "prøfile of tests"
    subprocess.run([REPOSITORY / "tools" / "make-profile.sh", folder, sys.executable], check=True, timeout=120)
    return folder


@pytest.fixture
def folder(tmp_path):
    """A folder with a name that is easily mistreated."""
    place = tmp_path / "Größe & 'mehr' 3"
    place.mkdir()
    return place


@pytest.fixture
def start(profile):
    """Start an algorithm; it is killed after the test if it still runs."""
    started = []

    def run(algorithm, **parameters):
        environ = {**ENVIRONMENT, "QGIS_CUSTOM_CONFIG_PATH": str(profile), "QT_QPA_PLATFORM": "offscreen"}
        environ.pop("BUILDING_SEGMENTER_PYTHON", None)
        environ.pop("PYTHONPATH", None)
        words = [f"{name}={value}" for name, value in parameters.items()]
        command = [PROGRAM, "run", f"building_segmenter:{algorithm}", "--", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen(command, env=environ, start_new_session=True, **pipes))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def run(start):
    """Run an algorithm that must succeed; returns what it said."""

    def to_its_end(algorithm, **parameters):
        process = start(algorithm, **parameters)
        said, _ = process.communicate(timeout=180)
        assert process.returncode == 0, said
        return said

    return to_its_end


@pytest.fixture
def image(write_image, flat_scene, folder):
    return shutil.move(write_image(flat_scene.image), folder / "bild 1.tif")


def test_the_same_footprints_as_from_the_command_line(run, image, folder, bright_model):
    run("extractbuildings", INPUT=image, OUTPUT=folder / "qgis ü.gpkg", MODEL=bright_model)
    outcome = outcome_of_command("extract", image, folder / "shell ü.gpkg", "--model", bright_model)
    assert outcome.status == 0, outcome
    ours, theirs = (geopandas.read_file(folder / f"{name} ü.gpkg") for name in ("qgis", "shell"))
    assert list(ours.columns) == FIELDS
    assert len(ours) == 3
    assert ours.crs == "EPSG:32616"
    assert list(ours.geometry.to_wkb()) == list(theirs.geometry.to_wkb())
    assert ours.drop(columns="geometry").equals(theirs.drop(columns="geometry"))
    assert scratch_in(folder) == []


def test_segment_polygonize_and_regularize(run, image, folder, bright_model, flat_scene):
    run("segmentraster", INPUT=image, OUTPUT=folder / "wahr schein.tif", MODEL=bright_model, OVERLAP=0.5)
    with rasterio.open(folder / "wahr schein.tif") as dataset:
        assert dataset.shape == (300, 400)
        assert dataset.nodata == 255
    run("polygonizemask", INPUT=folder / "wahr schein.tif", OUTPUT=folder / "umriß.gpkg")
    outlines = geopandas.read_file(folder / "umriß.gpkg")
    assert len(outlines) == 3
    run("regularizefootprints", INPUT=folder / "umriß.gpkg", OUTPUT=folder / "gerade.geojson", TOLERANCE=1.0)
    straight = geopandas.read_file(folder / "gerade.geojson")
    assert (straight["status"] == 0).all()
    assert straight["vertices"].sum() < outlines["vertices"].sum() / 5
    truth = sum(roof.area for roof in flat_scene.roofs) * 0.15**2
    assert straight["area_m2"].sum() == pytest.approx(truth, rel=0.02)


def test_chips_and_training(run, image, folder, write_roofs, flat_scene):
    roofs = shutil.move(write_roofs(flat_scene.roofs), folder / "dächer.gpkg")
    chips = {"INPUT": image, "FOOTPRINTS": f"{roofs}|layername=roofs", "TILE_SIZE": 96}
    run("exporttrainingchips", **chips, OUTPUT=folder / "lern chips", VALIDATION=0.0)
    run("exporttrainingchips", **chips, OUTPUT=folder / "prüf chips", VALIDATION=1.0)
    assert len(open_dataset(folder / "lern chips").chips) == 20
    run(
        "trainmodel",
        DATASET=f"{folder / 'lern chips'};{folder / 'prüf chips'}",
        OUTPUT=folder / "mödell.keras",
        BACKBONE_WEIGHTS="none",
        EPOCHS=1,
        HEAD_EPOCHS=0,
        CROP=64,
        BATCH_SIZE=8,
    )
    facts = read_facts(folder / "mödell.keras")
    assert facts.gsd == pytest.approx(0.15, rel=0.01)
    assert (folder / "mödell.html").read_text(encoding="utf-8").count("<svg") >= 1
    assert len((folder / "mödell.csv").read_text().splitlines()) == 2
    run("segmentraster", INPUT=image, OUTPUT=folder / "p.tif", MODEL=folder / "mödell.keras")
    assert scratch_in(folder) == []


def children_of(pid):
    """Return the ids of the processes that a process started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def long_run(start, endless_image, folder, bright_model):
    """Start a run of minutes and wait until it works; returns qgis_process and its worker's process id."""
    output = folder / "öut.gpkg"
    process = start("extractbuildings", INPUT=endless_image, OUTPUT=output, MODEL=bright_model, THREADS=1)
    wait_for_scratch(output.with_name("öut.gpkg.side"), process)
    (worker,) = children_of(process.pid)
    time.sleep(0.5)
    return process, worker


def seconds_until_gone(pid):
    began = time.monotonic()
    while alive(pid) and time.monotonic() - began < 20:
        time.sleep(0.02)
    return time.monotonic() - began


def assert_only_state_is_left(folder):
    """What a run that starts again goes on from may stay; no scratch file and no output may."""
    assert [path.name for path in folder.iterdir() if not path.name.endswith(".gpkg.partial")] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_and_no_scratch_outlive_qgis_process(long_run, folder, number):
    process, worker = long_run
    process.send_signal(number)
    assert seconds_until_gone(worker) < GONE_S
    said, _ = process.communicate(timeout=20)
    assert process.returncode != 0
    assert_only_state_is_left(folder)
    if number == signal.SIGINT:
        assert "[cancelled]" in said


def test_a_killed_worker_is_told(long_run, folder):
    process, worker = long_run
    os.kill(worker, signal.SIGKILL)
    said, _ = process.communicate(timeout=20)
    assert process.returncode != 0
    assert "[worker-failed]" in said
    assert "killed by the signal SIGKILL" in said
    assert "memory" in said
    assert_only_state_is_left(folder)


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"OVERLAP": 0.9}, "invalid-parameter", "OVERLAP"),
        ({"EXTENT": "0,1,0,1 [EPSG:32616]"}, "no-overlap", "EXTENT"),
        ({"OUTPUT": "/nø such folder/out.gpkg"}, "output-not-writable", "nø such folder"),
        ({"INPUT": "/nø such folder/in.tif"}, "input-not-found", "nø such folder"),
    ],
)
def test_a_wrong_parameter_is_told_with_code_and_hint(start, image, folder, bright_model, changes, code, named):
    parameters = {"INPUT": image, "OUTPUT": folder / "out.gpkg", "MODEL": bright_model} | changes
    process = start("extractbuildings", **parameters)
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0, said
    assert f"[{code}]" in said
    assert named in said
    assert [path.name for path in folder.iterdir()] == ["bild 1.tif"]


def test_a_truncated_image_is_told(start, folder, write_image, bright_model):
    noise = np.random.default_rng(1).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    whole = Path(write_image(noise))
    (folder / "cut.tif").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    process = start("segmentraster", INPUT=folder / "cut.tif", OUTPUT=folder / "out.tif", MODEL=bright_model)
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0, said
    assert "[input-unreadable]" in said
    assert [path.name for path in folder.iterdir()] == ["cut.tif"]
