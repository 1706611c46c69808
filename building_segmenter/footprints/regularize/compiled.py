"""Numba as the regularization uses it: without the interpreter lock, and cached where the user may write.

The package may lie in a read-only place (a plugin folder, a system installation), so compiled kernels go to the
user's cache folder, unless `NUMBA_CACHE_DIR` names another.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def cache_folder() -> Path:
    """Return the folder for compiled kernels, by the customs of the platform."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "building-segmenter" / "numba"


def _cacheable() -> bool:
    config: Any = numba.config
    if config.CACHE_DIR:
        return True
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return False
    # The decorator reads this when it meets a function, so it also works where numba was imported earlier.
    config.CACHE_DIR = str(folder)
    return True


_OPTIONS: dict[str, Any] = {"nogil": True, "cache": _cacheable(), "error_model": "numpy"}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call, or load it from the cache."""
    return numba.njit(function, **_OPTIONS)
