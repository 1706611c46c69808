"""Checks of outputs before the work begins: Processing lets impossible ones through without a word."""

from __future__ import annotations

import os
from typing import Any

from qgis.core import QgsProcessingOutputLayerDefinition, QgsVectorFileWriter

from building_segmenter import tasks
from building_segmenter.errors import OutputNotWritableError


def vector_suffixes() -> list[str]:
    """Return the endings of vector files that can be written, ours first."""
    known = list(tasks.VECTOR_SUFFIXES)
    return known + sorted(
        f".{ending}" for ending in QgsVectorFileWriter.supportedFormatExtensions() if f".{ending}" not in known
    )


def stated_path(value: Any) -> str:
    """Return the path in the value of an output parameter; empty for none and for a temporary output."""
    if isinstance(value, QgsProcessingOutputLayerDefinition):
        value = value.sink.staticValue()
    return value if isinstance(value, str) and value != "TEMPORARY_OUTPUT" else ""


def check_output(path: str, name: str, option: tasks.Option) -> None:
    """Raise `OutputNotWritableError` if a file or folder cannot be made at a path.

    Args:
        path: As `stated_path` gives it; nothing is checked if empty.
        name: The parameter's name.
        option: Tells the kind of output and the endings that it may have.
    """
    if not path:
        return
    _check_ending(path, name, option)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise OutputNotWritableError(
            f"The folder {folder} for {name} does not exist.", "Make the folder, or name another."
        )
    if not os.access(folder, os.W_OK):
        raise OutputNotWritableError(
            f"The folder {folder} for {name} may not be written to.", "Name a folder that you may write to."
        )
    if os.path.isdir(path) and option.kind != "folder-output":
        raise OutputNotWritableError(f"{name}, {path}, is a folder.", "Name a file to write.")
    if os.path.isfile(path) and option.kind == "folder-output":
        raise OutputNotWritableError(f"{name}, {path}, is a file.", "Name a new or empty folder.")


def check_outputs_of_many(path: str, name: str, option: tasks.Option) -> None:
    """Raise `OutputNotWritableError` if outputs of several images cannot be made in a folder or after a pattern.

    Args:
        path: A folder that exists, or a name with `*` for the image's name; empty for none or a temporary output.
        name: The parameter's name.
        option: Tells whether the output is required, and its endings.
    """
    folder, pattern = os.path.split(path) if "*" in os.path.basename(path) else (path, "")
    if pattern:
        check_output(path, name, option)
    elif (path or option.required) and not os.path.isdir(folder):
        raise OutputNotWritableError(
            f"{name}, {path or 'temporary'}, is not a folder that exists, and there are several images.",
            f"Name a folder, or files with * for the image's name, as folder/*{option.suffixes[0]}; or combine the"
            " images as a mosaic (COMBINE).",
        )


def _check_ending(path: str, name: str, option: tasks.Option) -> None:
    if path.startswith(("ogr:", "postgres:", "memory:")):
        raise OutputNotWritableError(f"{name}, {path}, is not a file.", "Name a file to write, as a GeoPackage.")
    allowed = vector_suffixes() if option.kind == "polygons-output" else list(option.suffixes)
    ending = os.path.splitext(path)[1].lower()
    if allowed and ending not in allowed:
        shown = ", ".join(option.suffixes)
        raise OutputNotWritableError(
            f"{name}, {path}, has the ending {ending or '(none)'}, in which it cannot be written.", f"Use {shown}."
        )
