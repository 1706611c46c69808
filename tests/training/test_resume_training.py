"""A training that is killed goes on from its last finished epoch, through the command line."""

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

_spec = importlib.util.spec_from_file_location("drawn_houses", Path(__file__).with_name("drawn_houses.py"))
drawn = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(drawn)

RECIPE = ["--backbone-weights", "none", "--epochs", "3", "--batch-size", "1", "--crop", "64"]
TIMED = ("seconds", "chips_per_second")


def command(chips, output, *more):
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(Path(__file__).parents[2])}
    words = [sys.executable, "-m", "building_segmenter", "train", str(chips), str(output), *RECIPE, *more]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(process):
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return said


def history(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An undisturbed training, and one that was killed in its last epoch and started again."""
    place = tmp_path_factory.mktemp("kills")
    chips = drawn.draw_dataset(place / "chips")
    finished(command(chips, place / "whole.keras"))
    killed = command(chips, place / "killed.keras")
    state = place / "killed.keras.partial"
    wait_for(lambda: len(epochs_of(state)) == 2, killed)
    time.sleep(0.3)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    (place / "left.json").write_text(json.dumps([path.name for path in place.iterdir()]), encoding="utf-8")
    (place / "history_of_the_killed.csv").write_bytes((state / "result" / "history.csv").read_bytes())
    (place / "epochs.json").write_text(json.dumps(epochs_of(state)), encoding="utf-8")
    (place / "said.txt").write_text(finished(command(chips, place / "killed.keras")), encoding="utf-8")
    return place


def epochs_of(state):
    journal = state / "journal.jsonl"
    lines = journal.read_text(encoding="ascii").splitlines(keepends=True) if journal.is_file() else []
    return [json.loads(line)["epoch"] for line in lines if line.endswith("\n")]


def wait_for(condition, process, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_killed_run_leaves_its_epochs_and_no_model(folder):
    left = json.loads((folder / "left.json").read_text(encoding="utf-8"))
    assert "killed.keras.partial" in left
    assert not {"killed.keras", "killed.csv", "killed.html"} & set(left)
    # Killed in the third epoch: had it been finished, this would not be the middle of one.
    assert json.loads((folder / "epochs.json").read_text(encoding="utf-8")) == [1, 2]
    assert [row["epoch"] for row in history(folder / "history_of_the_killed.csv")] == ["1", "2"]


def test_epochs_after_a_kill_are_those_of_the_undisturbed_run(folder):
    whole, resumed = history(folder / "whole.csv"), history(folder / "killed.csv")
    assert [row["epoch"] for row in resumed] == ["1", "2", "3"]
    for one, other in zip(whole, resumed, strict=True):
        for name in set(one) - {"phase", *TIMED}:
            assert float(other[name]) == pytest.approx(float(one[name]), abs=1e-4), name


def test_it_says_that_it_goes_on_and_takes_the_state_away(folder):
    said = (folder / "said.txt").read_text(encoding="utf-8")
    assert "Going on from" in said
    assert "Epoch 2/3 (all)" not in said
    assert "Epoch 3/3 (all)" in said
    assert not list(folder.glob("*.partial"))


def test_models_are_the_same(folder):
    import zipfile

    def weights(name):
        with zipfile.ZipFile(folder / name) as archive:
            (folder / f"{name}.h5").write_bytes(archive.read("model.weights.h5"))
        return flat(folder / f"{name}.h5")

    whole, resumed = weights("whole.keras"), weights("killed.keras")
    assert whole.keys() == resumed.keys()
    for name, values in whole.items():
        np.testing.assert_allclose(resumed[name], values, atol=1e-5, err_msg=name)


def flat(path):
    import h5py

    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, one: found.update({name: one[()]}) if isinstance(one, h5py.Dataset) else None)
    return found
