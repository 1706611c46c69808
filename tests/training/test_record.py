"""What is recorded of a training."""

import shlex

import pytest

pytest.importorskip("tensorflow")

from building_segmenter import tasks
from building_segmenter.training.record import command_line


def test_command_has_inputs_output_and_what_is_not_the_default():
    options = tasks.TrainModel(
        dataset=("my chips", "b"), output="m.keras", epochs=7, resume=False, limit=20, initial_model="a model.keras"
    )
    words = shlex.split(command_line(options))
    assert words[:7] == ["python", "-m", "building_segmenter", "train", "my chips", "b", "m.keras"]
    assert words[7:] == ["--initial-model", "a model.keras", "--epochs", "7", "--limit", "20", "--no-resume"]


def test_defaults_need_no_words():
    assert command_line(tasks.TrainModel(dataset=("a",), output="m.keras")).endswith("train a m.keras")
