"""How processes are started on each platform: the command, its environment, its options, and how it is killed."""

from __future__ import annotations

import ntpath
import os
import posixpath
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

BOOT = """\
import json, os, sys
requests, answers = os.dup(0), os.dup(1)
null = os.open(os.devnull, os.O_RDONLY)
os.dup2(null, 0)
os.close(null)
os.dup2(2, 1)
import importlib.util
with open(sys.argv[1], encoding="utf-8") as file:
    request = json.load(file)
folder = request["package"]
spec = importlib.util.spec_from_file_location(
    "building_segmenter", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
)
package = importlib.util.module_from_spec(spec)
sys.modules["building_segmenter"] = package
spec.loader.exec_module(package)
from building_segmenter import worker
worker.main(request, requests, answers)
"""
"""What a worker runs first: it keeps libraries' prints out of the protocol and loads the package by its place.

Nothing is put on `sys.path`: in the plugins' folder a neighbour's folder `click/` would shadow the installed one.
A read pending on the real standard input would hang the import of NumPy on Windows, so it is moved away first.
"""

_DROPPED = ("PYTHON", "PROJ_", "QT_", "DYLD_")
_DROPPED_NAMES = ("VIRTUAL_ENV", "GDAL_DATA", "GDAL_DRIVER_PATH", "LD_LIBRARY_PATH", "__PYVENV_LAUNCHER__")


def worker_command(python: str, request_file: str) -> list[str]:
    """Return the command that runs a request in the engine's Python."""
    return [python, "-I", "-X", "utf8", "-c", BOOT, request_file]


def worker_environment(environ: Mapping[str, str], platform: str, own_folders: Sequence[str] = ()) -> dict[str, str]:
    """Return the environment of a process that must not see QGIS's Python, GDAL, PROJ and Qt.

    Args:
        environ: The environment of QGIS.
        platform: As `sys.platform`.
        own_folders: QGIS's own folders; entries of PATH inside them are left out.

    Returns:
        All else as it was: proxies, certificates, the user's `GDAL_HTTP_*`, `PIP_*`, `UV_*`.
    """
    kept = {}
    for name, value in environ.items():
        upper = name.upper()
        if upper.startswith(_DROPPED) or upper in _DROPPED_NAMES:
            continue
        kept[name] = _without(value, platform, own_folders) if upper == "PATH" else value
    return kept


def own_folders(prefix: str, environ: Mapping[str, str], platform: str) -> list[str]:
    """Return the folders that belong to QGIS alone, given its prefix path; shared ones as /usr are not."""
    if platform == "win32":
        root = environ.get("OSGEO4W_ROOT", "")
        return [folder for folder in (root, prefix) if folder]
    if platform == "darwin":
        bundle = prefix.partition(".app/")
        return [bundle[0] + ".app"] if bundle[1] else []
    return []


def popen_options(platform: str) -> dict[str, Any]:
    """Return the options of `subprocess.Popen` that let a worker and its children be stopped as one.

    On POSIX the worker leads a session of its own, so that the terminal's Ctrl-C reaches only the client, which
    then cancels in order. On Windows no console window opens.
    """
    if platform == "win32":
        create_no_window, create_new_process_group = 0x08000000, 0x00000200
        return {"creationflags": create_no_window | create_new_process_group}
    return {"start_new_session": True, "close_fds": True}


def kill_tree(process: subprocess.Popen, platform: str) -> None:
    """Kill a process that was started with `popen_options`, and its children; wait for its end."""
    if process.poll() is None:
        if platform == "win32":
            subprocess.run(
                ["taskkill", "/F", "/T", "/PID", str(process.pid)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                **popen_options(platform),
            )
        else:
            _kill_group(process.pid)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def _without(path: str, platform: str, folders: Sequence[str]) -> str:
    paths = ntpath if platform == "win32" else posixpath
    separator = ";" if platform == "win32" else ":"
    owned = [_comparable(folder, paths) for folder in folders]
    entries = [
        entry
        for entry in path.split(separator)
        if not any((_comparable(entry, paths) + paths.sep).startswith(folder + paths.sep) for folder in owned)
    ]
    return separator.join(entries)


def _comparable(path: str, paths: Any) -> str:
    return str(paths.normcase(paths.normpath(path.strip('"'))))
