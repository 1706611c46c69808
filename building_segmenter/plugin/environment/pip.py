"""Running venv and pip: their lines become progress, their failures errors that say what to do."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Optional

from building_segmenter import errors
from building_segmenter.plugin.process.launch import kill_tree, popen_options
from building_segmenter.plugin.process.lines import Lines
from building_segmenter.plugin.process.listener import Listener

_GUARDED = """\
import os, runpy, sys, threading
def end_with_client():
    while os.read(0, 4096):
        pass
    os._exit(130)
threading.Thread(target=end_with_client, daemon=True).start()
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""Runs a module that ends when its standard input does, so that it does not outlive a QGIS that died."""

_KEPT_LINES = 200

_CAUSES = (
    (
        r"No space left|not enough space|Errno 28\b|WinError 112",
        errors.DiskFullError,
        "The disk is full.",
        "The environment needs about 2 GB, with training 4 GB. Free some space and run this again.",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        errors.EngineNotFoundError,
        "A downloaded package is not the one that was locked.",
        "A proxy may change downloads, or the BUNDLE holds other versions. Nothing was changed.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError",
        errors.EngineNotFoundError,
        "The package index could not be reached safely: its certificate was refused.",
        "Behind an inspecting proxy, set PIP_CERT to its certificate before QGIS starts, or use a BUNDLE.",
    ),
    (
        r"NewConnectionError|Name or service not known|name resolution|getaddrinfo|ProxyError|timed out|ConnectionError"
        r"|Connection refused|ConnectTimeout|Network is unreachable|HTTPSConnectionPool",
        errors.EngineNotFoundError,
        "The package index could not be reached.",
        "Check the connection, and HTTPS_PROXY behind a proxy; or use a BUNDLE of wheels, which needs no network.",
    ),
    (
        r"No matching distribution|Could not find a version",
        errors.EngineNotFoundError,
        "A package does not exist for this Python and computer, or is missing in the BUNDLE.",
        "Use another Python from 3.11 to 3.13. A BUNDLE must be made for the same platform and Python version.",
    ),
    (
        r"ensurepip is not available|No module named '?(ensurepip|venv)",
        errors.EngineNotFoundError,
        "This Python lacks the module venv or ensurepip.",
        "On Debian and Ubuntu: sudo apt install python3-venv. Then run this again.",
    ),
    (
        r"Permission denied|Access is denied|WinError 5\b",
        errors.OutputNotWritableError,
        "The folder of the environment cannot be written to.",
        "Check its permissions, and that no virus scanner blocks it.",
    ),
)


def make_venv(python: str, folder: Path, environ: Mapping[str, str], listener: Listener) -> None:
    """Make a virtual environment with pip.

    Raises:
        EngineNotFoundError: The Python cannot make one.
        CancelledError: The listener asked to stop.
    """
    listener.progress(0.0, "Making the environment", None)
    _run_module(python, ["venv", str(folder)], environ, listener, lambda line: None)


def install(
    python: str,
    requirements: Path,
    count: int,
    bundle: Optional[Path],
    environ: Mapping[str, str],
    listener: Listener,
) -> None:
    """Install locked requirements; every file is checked against its hash.

    Args:
        python: The Python of the environment to fill.
        requirements: File of pinned requirements with hashes.
        count: How many it names, for the progress.
        bundle: Folder of wheels to install from instead of the network.
        environ: The environment of pip; `PIP_*` in it is heeded.
        listener: Hears of progress.

    Raises:
        EngineNotFoundError: A package could not be had; the hint says what to do.
        DiskFullError: The disk is full.
        CancelledError: The listener asked to stop.
    """
    arguments = ["pip", "install", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-input"]
    arguments += ["--disable-pip-version-check", "--progress-bar", "off", "-r", str(requirements)]
    if bundle is not None:
        arguments += ["--no-index", "--find-links", str(bundle)]
    _run_module(python, arguments, environ, listener, _PipProgress(count, listener))


class _PipProgress:
    """Turns pip's lines into progress: 0 to 0.8 while it collects, then the installation, which is silent."""

    def __init__(self, count: int, listener: Listener) -> None:
        self._count = max(count, 1)
        self._collected = 0
        self._listener = listener

    def __call__(self, line: str) -> None:
        getting = re.match(r"Collecting ([^=\s;]+)|Processing .*?([^/\\]+?)-[^/\\]*\.whl", line)
        if getting:
            self._collected += 1
            done = min(self._collected / self._count, 1.0)
            self._listener.progress(0.8 * done, f"Getting {getting.group(1) or getting.group(2)}", None)
        elif line.startswith("Installing collected packages"):
            self._listener.progress(0.8, f"Installing {self._collected} packages (this takes a minute or two)", None)
        elif line.strip().startswith("Downloading"):
            self._listener.log(line.strip())


def _run_module(
    python: str,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    listener: Listener,
    hear: Callable[[str], None],
) -> None:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [python, "-I", "-X", "utf8", "-c", _GUARDED, *arguments],
        stdin=pipe,
        stdout=pipe,
        stderr=subprocess.STDOUT,
        env=dict(environ),
        **popen_options(sys.platform),
    )
    said: list[str] = []
    try:
        for line in Lines(process.stdout).waiting():
            if listener.cancelled():
                raise errors.CancelledError
            if line:
                said = [*said[1 - _KEPT_LINES :], line]
                hear(line)
        status = process.wait(timeout=60)
    finally:
        kill_tree(process, sys.platform)
        process.stdin.close()
    if status:
        raise explained(arguments[0], status, "\n".join(said))


def explained(module: str, status: int, said: str) -> errors.BuildingSegmenterError:
    """Return the error for a failed run of venv or pip, with its cause where the lines tell it."""
    last = "\n".join(said.splitlines()[-12:])
    for pattern, kind, message, hint in _CAUSES:
        if re.search(pattern, said, re.IGNORECASE):
            return kind(f"{message}\n{last}", hint)
    return errors.EngineNotFoundError(
        f"{module} ended with status {status}.\n{last}",
        "Run this again; if it fails again, report it with these lines.",
    )
