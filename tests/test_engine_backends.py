"""One process that runs several tasks."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from building_segmenter import engine, tasks
from building_segmenter.errors import BuildingSegmenterError
from building_segmenter.progress import Progress

for task in (
    tasks.ExportChips(input="no.tif", footprints="no.gpkg", output="chips"),
    tasks.TrainModel(dataset=("no chips",), output="model.keras"),
):
    try:
        engine.run(task, Progress())
    except BuildingSegmenterError as error:
        print(error.code)
import keras
print(keras.backend.backend())
"""


@pytest.mark.parametrize(("wish", "used"), [({}, True), ({"TF_ENABLE_ONEDNN_OPTS": "0"}, False)])
def test_training_finds_tensorflow_after_chips_were_cut_with_onednn_unless_told(tmp_path, wish, used):
    # Cutting chips keeps TensorFlow from being loaded in passing.
    root = Path(__file__).resolve().parent.parent
    words, environment = [sys.executable, "-c", SCRIPT], {"PYTHONPATH": str(root), "PATH": ""} | wish
    run = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.stdout.split() == ["input-not-found", "input-not-found", "tensorflow"], run.stderr[-2000:]
    assert ("oneDNN custom operations are on" in run.stderr) is used
