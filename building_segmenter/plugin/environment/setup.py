"""Setting the engine's environment up: built beside the old one, checked, and only then switched on."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

from building_segmenter.errors import InputNotFoundError, OutputNotWritableError
from building_segmenter.plugin.environment.check import prepare, verify
from building_segmenter.plugin.environment.managed import ManagedEnvironments, data_folder, python_of
from building_segmenter.plugin.environment.pip import install, make_venv
from building_segmenter.plugin.environment.profiles import count_of, requirements_of
from building_segmenter.plugin.environment.pythons import find_python
from building_segmenter.plugin.process.listener import Listener, PartListener


def setup_environment(
    environ: Mapping[str, str],
    listener: Listener,
    profile: str = "predict",
    python: Optional[str] = None,
    bundle: Optional[str] = None,
) -> str:
    """Build the managed environment and switch to it.

    Args:
        environ: The environment of pip and of the check, as made by `worker_environment`.
        listener: Hears of progress.
        profile: `predict`, or `train` to train models too.
        python: A Python 3.11 to 3.13 to build it with. None: the first that is found.
        bundle: Folder of wheels to install from instead of the network.

    Returns:
        The path of the new environment's Python.

    Raises:
        EngineNotFoundError: No Python suits, a package could not be had, or the result does not work. The old
            environment stays in use.
        InvalidParameterError: There is no such profile.
        InputNotFoundError: The bundle is no folder of wheels.
        OutputNotWritableError: The user's data folder cannot be written to.
        DiskFullError: The disk is full.
        CancelledError: The listener asked to stop.
    """
    requirements = requirements_of(profile)
    wheels = _checked_bundle(bundle)
    base = find_python(python, environ)
    listener.log(f"Building with {base}.")
    managed = ManagedEnvironments(data_folder(environ, sys.platform))
    folder = _new_folder(managed, profile)
    listener.log(f"Environment: {folder}")
    try:
        make_venv(base.executable, folder, environ, PartListener(listener, 0.0, 0.05))
        new = python_of(folder, sys.platform)
        step = PartListener(listener, 0.05, 0.9)
        install(str(new), requirements, count_of(requirements), wheels, environ, step)
        listener.progress(0.9, "Checking the new environment", None)
        verify(str(new), profile, environ, PartListener(listener, 0.9, 0.92))
        prepare(str(new), environ, PartListener(listener, 0.92, 1.0))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    managed.switch_to(folder, new, profile)
    return str(new)


def _checked_bundle(bundle: Optional[str]) -> Optional[Path]:
    if not bundle:
        return None
    folder = Path(bundle)
    if not folder.is_dir() or not any(folder.glob("*.whl")):
        raise InputNotFoundError(
            f"BUNDLE, {bundle}, is not a folder of wheels.",
            "On a connected computer of the same kind: python -m pip download --require-hashes --no-deps -r"
            " requirements/PROFILE.txt -d FOLDER. Then bring that folder here.",
        )
    return folder


def _new_folder(managed: ManagedEnvironments, profile: str) -> Path:
    try:
        return managed.new_folder(profile)
    except OSError as error:
        raise OutputNotWritableError(
            f"The folder of the environments cannot be made: {error}.",
            "Check the permissions and the free space of your user's data folder.",
        ) from error
