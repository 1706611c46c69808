"""Numba as the project uses it: without the interpreter lock, and cached where the user may write.

The package may lie in a read-only place (a plugin folder, a system installation), so compiled kernels go to the
user's cache folder, unless `NUMBA_CACHE_DIR` names another. Numba compiles a kernel again when its own file changes,
not when a kernel that it calls changes in another file, so each state of the sources has a folder of its own.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from building_segmenter.user_cache import user_cache


def sources_digest(folder: Path) -> str:
    """Return a short name for the content of all files with kernels in a folder and those in it."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        code = path.read_bytes()
        if b"@kernel" in code or b"numba.njit" in code:
            digest.update(path.name.encode() + b"\0" + code + b"\0")
    return digest.hexdigest()[:16]


def _cacheable() -> bool:
    config: Any = numba.config
    base = Path(config.CACHE_DIR) if config.CACHE_DIR else user_cache() / "numba"
    try:
        folder = base / sources_digest(Path(__file__).parent)
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
