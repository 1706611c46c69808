"""The environments that *Set up environment* builds, and the pointer that tells which of them is in use.

They are folders beside each other under the user's data folder. A new one is built beside the old one, and
`environment.json` is pointed at it at the very end, so that there is a working one at every moment.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

from building_segmenter import __version__


def data_folder(environ: Mapping[str, str], platform: str) -> Path:
    """Return the folder for the user's environments: the same in QGIS and on the command line."""
    home = Path(os.path.expanduser("~"))
    if platform == "win32":
        base = Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "building_segmenter"


def python_of(environment: Path, platform: str) -> Path:
    """Return the path of the Python of a virtual environment."""
    return environment / "Scripts" / "python.exe" if platform == "win32" else environment / "bin" / "python"


class ManagedEnvironments:
    """The environments of one user.

    Args:
        folder: As `data_folder` gives it. It need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._environments = folder / "environments"
        self._pointer = folder / "environment.json"

    def current(self) -> Optional[dict[str, str]]:
        """Return what is known of the environment in use: folder, python, profile, engine; None without one."""
        try:
            known = json.loads(self._pointer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return known if isinstance(known, dict) and Path(known.get("python", "")).is_file() else None

    def new_folder(self, profile: str) -> Path:
        """Make and return an empty folder for a new environment."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        folder = self._environments / f"{profile}-{__version__}-{stamp}-{os.getpid()}"
        folder.mkdir(parents=True)
        return folder

    def switch_to(self, folder: Path, python: Path, profile: str) -> None:
        """Make an environment the one in use; the one before it is kept, older ones are removed."""
        before = self.current()
        known = {"folder": str(folder), "python": str(python), "profile": profile, "engine": __version__}
        written = self._pointer.with_name(f"{self._pointer.name}.{os.getpid()}")
        written.write_text(json.dumps(known, indent=2), encoding="utf-8")
        os.replace(written, self._pointer)
        kept = {folder.name, Path(before["folder"]).name if before else ""}
        for other in self._environments.iterdir():
            if other.name not in kept:
                shutil.rmtree(other, ignore_errors=True)
