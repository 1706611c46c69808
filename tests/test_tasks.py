import dataclasses

import pytest

from building_segmenter import tasks
from building_segmenter.errors import InvalidParameterError


@pytest.mark.parametrize("task", tasks.TASKS.values())
def test_every_option_is_declared_whole(task):
    for name, option in tasks.options_of(task).items():
        assert option.kind in tasks.INPUT_KINDS + tasks.OUTPUT_KINDS + tasks.SETTING_KINDS, name
        assert option.label, name
        assert option.help.endswith("."), name
        assert bool(option.choices) == (option.kind == "choice"), name
        default = tasks.default_of(task, name)
        assert default is None or not option.required, name
        if option.kind == "choice":
            assert default in option.choices, name


@pytest.mark.parametrize("name", tasks.TASKS)
def test_a_request_builds_the_same_task(name):
    options = tasks.options_of(tasks.TASKS[name])
    # Tasks that take one image or several need one of two inputs.
    needed = {key: "x" for key, option in options.items() if option.required or key == "input"}
    task = tasks.build_task(name, needed)
    request = tasks.as_request(task)
    assert request["task"] == name
    assert tasks.build_task(request["task"], request["options"]) == task


def test_empty_values_stand_for_the_default():
    empty = {"threshold": None, "value": "", "min_area": None}
    task = tasks.build_task("polygonize", {"input": "a", "output": "b", **empty})
    assert (task.threshold, task.value, task.min_area) == (0.5, None, 4.0)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("polygonize", {"output": "b"}, "INPUT is missing"),
        ("polygonize", {"input": "a", "output": "b", "threshold": 1.5}, "THRESHOLD is 1.5: it must be at most 1"),
        ("polygonize", {"input": "a", "output": "b", "threshold": float("nan")}, "finite"),
        ("polygonize", {"input": "a", "output": "b", "band": 0}, "at least 1"),
        ("polygonize", {"input": "a", "output": "b", "band": 1.5}, "whole number"),
        ("polygonize", {"input": "a", "output": "b", "min_area": "much"}, "MIN_AREA is 'much'"),
        ("polygonize", {"input": "a", "output": "b", "colour": 1}, "no parameter COLOUR"),
        ("regularize", {"input": "a", "output": "b", "method": "round"}, "one of right-angles"),
        ("regularize", {"input": "a", "output": "b", "tolerance": 0}, "TOLERANCE is 0"),
        ("regularize", {"input": "a", "output": "b", "tolerance": 1, "densification": 2}, "DENSIFICATION is 2"),
        ("extract", {"input": "a", "output": "b", "extent": [0, 0, 1]}, "four numbers"),
        ("extract", {"input": "a", "output": "b", "extent": [1, 0, 0, 1]}, "XMIN must be below XMAX"),
        ("extract", {"input": "a", "output": "b", "bands": "1,0"}, "at least|counted from 1"),
        ("extract", {"input": "a", "output": "b", "overlap": 0.9}, "OVERLAP is 0.9"),
        ("train", {"dataset": ["a"], "output": "b", "head_epochs": 9, "epochs": 5}, "HEAD_EPOCHS is 9"),
        ("chips", {"input": "a", "footprints": "f", "output": "b", "skip_empty": "no"}, "true or false"),
        ("paint", {}, "no task 'paint'"),
    ],
)
def test_values_out_of_range_are_told_with_name_and_limit(name, options, says):
    with pytest.raises(InvalidParameterError, match=says) as caught:
        tasks.build_task(name, options)
    assert caught.value.hint


def test_tasks_are_frozen():
    task = tasks.build_task("polygonize", {"input": "a", "output": "b"})
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.band = 2
