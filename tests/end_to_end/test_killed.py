"""The command line stopped half-way: by Ctrl-C and SIGTERM in order, by SIGKILL without."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import geopandas
import numpy as np
import pytest
from end_to_end_runs import ENVIRONMENT, outcome_of_command, scratch_in, start_command, wait_for_scratch

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")

STOP_S = 2.0


def stopped_half_way(number, *words, output):
    """Start a command, signal it when it works; returns the exit status, its words, and the seconds it took to end."""
    process = start_command(*words)
    try:
        wait_for_scratch(output, process)
        time.sleep(0.5)
        began = time.monotonic()
        process.send_signal(number)
        said, _ = process.communicate(timeout=20)
        return process.returncode, said, time.monotonic() - began
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("task", "name"), [("segment", "øut put.tif"), ("extract", "øut put.gpkg")])
def test_a_stopped_run_ends_within_two_seconds_and_leaves_nothing_half_made(
    tmp_path, endless_image, bright_model, number, task, name
):
    output = tmp_path / name
    beside = output.with_name(f"{name}.side") if task == "extract" else output
    words = (task, endless_image, output, "--model", bright_model, "--threads", 1)
    status, said, seconds = stopped_half_way(number, *words, output=beside)
    assert status == 130, said
    assert "[cancelled]" in said
    assert seconds < STOP_S
    # Finished rows, if it came so far; see test_killed_prediction.py.
    assert [path.name for path in tmp_path.iterdir()] in ([], [f"{name}.partial"])


def test_what_a_killed_run_left_goes_with_the_next_one(tmp_path, endless_image, bright_model, write_image, flat_scene):
    output = tmp_path / "out.gpkg"
    words = ("extract", endless_image, output, "--model", bright_model, "--threads", 1)
    status, _, _ = stopped_half_way(signal.SIGKILL, *words, output=output.with_name("out.gpkg.side"))
    assert status == -signal.SIGKILL
    assert not output.exists()
    assert scratch_in(tmp_path)
    outcome = outcome_of_command("extract", write_image(flat_scene.image), output, "--model", bright_model)
    assert outcome.status == 0, outcome
    assert scratch_in(tmp_path) == []
    assert len(geopandas.read_file(output)) == 3


@pytest.mark.parametrize("task", ["polygonize", "regularize"])
def test_vector_work_is_stopped_too(tmp_path, write_image, task):
    noise = np.random.default_rng(1).integers(0, 2, (3000, 3000, 1)).astype(np.uint8)
    image, polygons = write_image(noise), tmp_path / "polygons.gpkg"
    if task == "polygonize":
        words, ready = ("polygonize", image, tmp_path / "out.gpkg", "--min-area", 0), "%"
    else:
        _write_stars(polygons)
        words, ready = ("regularize", polygons, tmp_path / "out.gpkg"), "%"
    process = start_command(*words)
    try:
        while ready not in (line := process.stdout.readline()):
            assert line or process.poll() is None
        time.sleep(1.0)
        assert process.poll() is None, "the work was too short to be stopped"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert time.monotonic() - began < STOP_S
        assert process.returncode == 130
    finally:
        process.kill()
        process.wait()
    assert scratch_in(tmp_path) == []
    assert not (tmp_path / "out.gpkg").exists()


def _write_stars(path):
    import shapely

    angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    rng = np.random.default_rng(2)
    radii = rng.uniform(15, 25, (4000, 120))
    east = 740000 + 60.0 * (np.arange(4000) % 63)[:, None] + radii * np.cos(angles)
    north = 3700000 + 60.0 * (np.arange(4000) // 63)[:, None] + radii * np.sin(angles)
    geopandas.GeoDataFrame(geometry=shapely.polygons(np.stack([east, north], axis=-1)), crs=32616).to_file(path)


STUCK = """
import sys, time
from building_segmenter import scratch
from building_segmenter.interrupts import Interrupts
from pathlib import Path
output = Path(sys.argv[1])
with scratch.new_output(output) as path:
    path.write_text("half")
    interrupts = Interrupts()
    print("ready", flush=True)
    # Sleeps on after a signal, as a native library does that knows nothing of Python.
    time.sleep(60)
"""


@pytest.mark.parametrize("times", [1, 2])
def test_a_main_thread_that_does_not_listen_is_cut_off(tmp_path, times):
    command = [sys.executable, "-c", textwrap.dedent(STUCK), str(tmp_path / "out.txt")]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        assert process.wait(timeout=20) == 130
        seconds = time.monotonic() - began
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert seconds < (STOP_S if times == 1 else 1.0)
    assert list(tmp_path.iterdir()) == []
