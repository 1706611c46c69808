"""Checks of a task's outputs before the work begins, so that hours of it are not lost to a mistake in a path."""

from __future__ import annotations

import os
from pathlib import Path

from building_segmenter import tasks
from building_segmenter.errors import InvalidParameterError, OutputNotWritableError

_ADDED_TO = ("log_dir",)
"""Folders that are not replaced: what lies in them stays."""


def check_outputs(task: tasks.Task) -> None:
    """Check that every output of a task has a place and an ending, and is neither an input nor another output.

    Raises:
        OutputNotWritableError: A folder is missing or read-only, an output is a folder or has a wrong ending.
        InvalidParameterError: An output is also an input, or two outputs are one file.
    """
    named = {name: option for name, option in tasks.options_of(type(task)).items() if getattr(task, name)}
    taken = {path: name for name, option in named.items() for path in _inputs(task, name, option)}
    for name, option in named.items():
        if option.kind not in tasks.OUTPUT_KINDS:
            continue
        path = Path(getattr(task, name))
        _check_ending(path, name, option)
        _check_place(path, name, option)
        for there, other in () if name in _ADDED_TO else taken.items():
            # An earlier folder of results is replaced, and with it what lies in it.
            if path.resolve() in (there, *there.parents):
                raise InvalidParameterError(
                    f"{name.upper()}, {path}, would replace {other.upper()}, {there}.",
                    "Name another place to write to.",
                )
        taken[path.resolve()] = name


def _inputs(task: tasks.Task, name: str, option: tasks.Option) -> list[Path]:
    if option.kind not in tasks.INPUT_KINDS:
        return []
    value = getattr(task, name)
    values = value if isinstance(value, tuple) else (value,)
    return [Path(one.partition(tasks.LAYER_MARK)[0]).resolve() for one in values]


def _check_ending(path: Path, name: str, option: tasks.Option) -> None:
    # Polygons may be of any format of OGR, which only it can tell; see `geo.vectors.check_vector_output`.
    if option.kind == "polygons-output" or not option.suffixes or path.suffix.lower() in option.suffixes:
        return
    raise OutputNotWritableError(
        f"{name.upper()}, {path}, has the ending {path.suffix or '(none)'}, in which it cannot be written.",
        f"Use {', '.join(option.suffixes)}.",
    )


def _check_place(path: Path, name: str, option: tasks.Option) -> None:
    folder = path.absolute().parent
    if not folder.is_dir():
        raise OutputNotWritableError(
            f"The folder {folder} for {name.upper()} does not exist.", "Make the folder, or name another."
        )
    if not os.access(folder, os.W_OK):
        raise OutputNotWritableError(
            f"The folder {folder} for {name.upper()} may not be written to.", "Name a folder that you may write to."
        )
    if path.is_dir() and option.kind != "folder-output":
        raise OutputNotWritableError(f"{name.upper()}, {path}, is a folder.", "Name a file to write.")
    if path.is_file() and option.kind == "folder-output":
        raise OutputNotWritableError(f"{name.upper()}, {path}, is a file.", "Name a new or empty folder.")
