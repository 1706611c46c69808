"""Finding a Python 3.11 to 3.13 to build the engine's environment with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from building_segmenter.errors import EngineNotFoundError
from building_segmenter.plugin.process.launch import popen_options

OLDEST, NEWEST = (3, 11), (3, 13)

_PROBE = """\
import importlib.util, json, struct, sys
there = all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))
print(json.dumps({"version": list(sys.version_info[:3]), "executable": sys.executable,
                  "bits": struct.calcsize("P") * 8, "venv": there}))
"""
_PROBE_S = 20.0


@dataclass(frozen=True)
class Interpreter:
    """A Python that was started and asked.

    Args:
        executable: Its path.
        version: Its version, three numbers.
        bits: 64, or 32.
        can_make_venv: Whether it has the modules venv and ensurepip, which Debian packs apart.
    """

    executable: str
    version: tuple[int, ...]
    bits: int
    can_make_venv: bool

    @property
    def in_range(self) -> bool:
        """Whether the engine's packages exist for it."""
        return OLDEST <= self.version[:2] <= NEWEST and self.bits == 64

    def __str__(self) -> str:
        """Return its version and path."""
        return f"Python {'.'.join(map(str, self.version))} ({self.executable})"


def find_python(named: Optional[str], environ: Mapping[str, str], platform: str = sys.platform) -> Interpreter:
    """Return a Python that can build the environment: the named one, or the first that suits.

    Raises:
        EngineNotFoundError: The named one does not suit, or there is none; the hint says how to get one.
    """
    if named:
        return _usable(named, _asked([named], environ), platform)
    unusable = None
    for command in candidates(environ, platform):
        found = _asked(command, environ)
        if found is None or not found.in_range:
            continue
        if found.can_make_venv:
            return found
        unusable = unusable or found
    if unusable is not None:
        return _usable(unusable.executable, unusable, platform)
    raise EngineNotFoundError("No Python 3.11, 3.12 or 3.13 was found on this computer.", _how_to_get_one(platform))


def candidates(environ: Mapping[str, str], platform: str) -> Iterator[list[str]]:
    """Yield the commands that may start a suitable Python, the likeliest first."""
    path = environ.get("PATH")
    versions = [f"3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    if platform == "win32" and shutil.which("py", path=path):
        yield from (["py", f"-{version}"] for version in versions)
    for name in [*(f"python{version}" for version in versions), "python3", "python"]:
        found = shutil.which(name, path=path)
        if found:
            yield [found]
    for version in versions:
        yield from ([str(found)] for found in _of_pyenv(version, environ, platform))
    yield from ([str(found)] for found in _of_qgis(platform) if found.is_file())


def _of_pyenv(version: str, environ: Mapping[str, str], platform: str) -> list[Path]:
    home = Path(os.path.expanduser("~"))
    root = Path(
        environ.get("PYENV_ROOT") or (home / ".pyenv" / "pyenv-win" if platform == "win32" else home / ".pyenv")
    )
    inside = "python.exe" if platform == "win32" else "bin/python"
    return sorted(root.glob(f"versions/{version}.*/{inside}"), reverse=True)


def _of_qgis(platform: str) -> list[Path]:
    if platform == "win32":
        return [Path(sys.exec_prefix) / "python3.exe", Path(sys.exec_prefix) / "python.exe"]
    return [Path(sys.exec_prefix) / "bin" / "python3"]


def _asked(command: list[str], environ: Mapping[str, str]) -> Optional[Interpreter]:
    try:
        answer = subprocess.run(
            [*command, "-I", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_S,
            env=dict(environ),
            check=True,
            **popen_options(sys.platform),
        )
        told = json.loads(answer.stdout)
        return Interpreter(told["executable"], tuple(told["version"]), told["bits"], told["venv"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return None  # not a Python, or one that does not start: as a shim of pyenv without a version


def _usable(named: str, found: Optional[Interpreter], platform: str) -> Interpreter:
    if found is None:
        raise EngineNotFoundError(
            f"{named} cannot be started as Python.", "Give the path of a Python 3.11, 3.12 or 3.13, or leave it empty."
        )
    if not found.in_range:
        raise EngineNotFoundError(
            f"{found} has {found.bits} bits; the engine needs Python 3.11 to 3.13 with 64 bits.",
            _how_to_get_one(platform),
        )
    if not found.can_make_venv:
        version = ".".join(map(str, found.version[:2]))
        raise EngineNotFoundError(
            f"{found} lacks the module venv or ensurepip, so that it cannot make an environment.",
            f"On Debian and Ubuntu: sudo apt install python{version}-venv (or python3-venv). Then run this again.",
        )
    return found


def _how_to_get_one(platform: str) -> str:
    if platform == "win32":
        return "Install Python 3.12 (64 bits) from python.org, for you alone, and run this again."
    if platform == "darwin":
        return "Install Python 3.12 from python.org or with: brew install python@3.12. Then run this again."
    return (
        "Install one, for example on Debian and Ubuntu with: sudo apt install python3 python3-venv, or with"
        " pyenv install 3.12. Then run this again, or name its path."
    )
