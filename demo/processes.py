"""Running QGIS's programs: `qgis_process`, and scripts in QGIS's own Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from building_segmenter.errors import BuildingSegmenterError

ROOT = Path(__file__).resolve().parent.parent
PROFILE = ROOT / "build" / "profile"


class DemoError(BuildingSegmenterError):
    """A program that the demonstration needs is missing or failed."""

    code = "demo-failed"


def find_qgis_process(path: str | None = None) -> str:
    """Return the program `qgis_process`.

    Debian 12's wrapper of that name passes an option that the program does not know, so the program itself, with the
    ending `.bin`, is taken where there is one.

    Args:
        path: Folders to look in, as the variable PATH; that variable itself if None.

    Raises:
        DemoError: It is not installed.
    """
    for name in ("qgis_process.bin", "qgis_process"):
        found = shutil.which(name, path=path)
        if found:
            return found
    raise DemoError(
        "qgis_process was not found on PATH, so QGIS is not installed, or only part of it.",
        "Run `make setup`; on Debian or Ubuntu it installs qgis, elsewhere it says what to install.",
    )


def find_qgis_python(environment: Mapping[str, str]) -> str:
    """Return a Python that can import QGIS: the one named in QGIS_PYTHON, or the system's.

    Raises:
        DemoError: There is none.
    """
    named = environment.get("QGIS_PYTHON")
    candidates = [named] if named else ["/usr/bin/python3", shutil.which("python3") or ""]
    for python in filter(None, candidates):
        if Path(python).is_file() and _succeeds([python, "-c", "import qgis.core"], environment):
            return python
    raise DemoError(
        f"No Python that can import QGIS was found; tried {', '.join(filter(None, candidates))}.",
        "On Debian or Ubuntu install python3-qgis; elsewhere name QGIS's Python in the variable QGIS_PYTHON.",
    )


def qgis_environment(profile: Path = PROFILE) -> dict[str, str]:
    """Return the environment of QGIS's programs: no screen, the project's profile, none of this Python's settings.

    Raises:
        DemoError: The profile was not made yet.
    """
    if not profile.is_dir():
        raise DemoError(f"The QGIS profile {profile} does not exist.", "Run `make setup`, which makes it.")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k not in ("VIRTUAL_ENV", "PROJ_LIB")}
    own = {"QGIS_CUSTOM_CONFIG_PATH": str(profile), "QT_QPA_PLATFORM": "offscreen"}
    engine = os.environ.get("BUILDING_SEGMENTER_PYTHON") or sys.executable
    return {**kept, **own, "BUILDING_SEGMENTER_PYTHON": engine}


def run(command: Sequence[str], environment: Mapping[str, str], what: str, *, echo: bool = False) -> None:
    """Run a program to its end.

    Args:
        command: Program and arguments.
        environment: Its environment.
        what: What it does, for the error message.
        echo: Show what it writes while it runs.

    Raises:
        DemoError: It ended with an error; its last output is in the message.
    """
    written: list[str] = []
    with subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            written.append(line)
            if echo:
                print(f"  {line}", end="", flush=True)
    if process.returncode:
        last = "" if echo else "\n" + "".join(written[-40:]).rstrip()
        raise DemoError(
            f"{what} failed with exit status {process.returncode}: {' '.join(command)}{last}",
            "What it wrote says why. If the plugin is not known or the model is missing, run `make setup` again.",
        )


def _succeeds(command: list[str], environment: Mapping[str, str]) -> bool:
    return subprocess.run(command, env=dict(environment), capture_output=True, check=False).returncode == 0
