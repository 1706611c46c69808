"""Which Python runs the engine: the variable, then the setting, then the managed environment."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

from building_segmenter.errors import EngineNotFoundError
from building_segmenter.plugin.environment.managed import ManagedEnvironments, data_folder, python_of

VARIABLE = "BUILDING_SEGMENTER_PYTHON"


def find_engine_python(environ: Mapping[str, str], setting: str, platform: str = sys.platform) -> str:
    """Return the path of the engine's Python.

    Args:
        environ: Where the variable `BUILDING_SEGMENTER_PYTHON` is looked up, and the user's data folder.
        setting: What is set in QGIS, or empty.
        platform: As `sys.platform`.

    Raises:
        EngineNotFoundError: None is named and none was set up, or the named one does not exist.
    """
    if environ.get(VARIABLE):
        return _named(environ[VARIABLE], f"the variable {VARIABLE}", platform)
    if setting:
        return _named(setting, "Settings > Options > Processing > Building Segmenter", platform)
    known = ManagedEnvironments(data_folder(environ, platform)).current()
    if known is None:
        raise EngineNotFoundError(
            "Building Segmenter's Python environment is not set up yet.",
            "Run Set up environment once (in the Toolbox: Building Segmenter > Environment).",
        )
    return known["python"]


def source_of(environ: Mapping[str, str], setting: str) -> str:
    """Return in words where `find_engine_python` looks first."""
    if environ.get(VARIABLE):
        return f"the variable {VARIABLE}"
    return "the setting in QGIS" if setting else "Set up environment"


def _named(python: str, place: str, platform: str) -> str:
    found = _resolved(os.path.expanduser(python.strip()), platform)
    if found is None:
        raise EngineNotFoundError(
            f"The Python {python}, named in {place}, does not exist.",
            "Correct the path, or remove it and run Set up environment.",
        )
    return found


def _resolved(python: str, platform: str) -> Optional[str]:
    if Path(python).is_dir():
        inside = python_of(Path(python), platform)
        return str(inside) if inside.is_file() else None
    return python if Path(python).is_file() else shutil.which(python)
