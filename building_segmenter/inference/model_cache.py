"""Compiled models kept from one run to the next, so that the second starts at once.

Each entry is one file, named by the digest of all that it depends on. It is written under another name and renamed
when whole, so that a run that is killed and two runs at a time do no harm. Its own digest is checked when it is read:
an entry that was damaged is not handed to OpenVINO, and is replaced.

The folder is `models` in the user's cache folder, or the one that the environment variable
`BUILDING_SEGMENTER_MODEL_CACHE` names (`off`: no cache). Entries of more than `MOST_BYTES` or `MOST_ENTRIES` in all
go, those unused longest first.

An entry takes the place of a model file that was checked before it was first run (`networks.safety`), so nobody may
put entries there who could not put models and programs there as well: the folder is made for the user alone (0700),
and one that belongs to somebody else, or that others may write to, is not used. Entries are networks, as model files
are, and hold no code.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from building_segmenter.user_cache import user_cache

VARIABLE = "BUILDING_SEGMENTER_MODEL_CACHE"
MOST_BYTES = 1 << 30
MOST_ENTRIES = 32

_MARK = b"building-segmenter compiled model 1\n"
_ENTRY, _UNFINISHED = ".model", ".tmp"
_DIGEST_BYTES = 32
_UNFINISHED_S = 24 * 3600
_OTHERS_MAY_WRITE = 0o022


class ModelCache:
    """The cache of one run. It never fails: what it cannot do, it tells, and the model is made anew.

    Args:
        folder: Where entries lie; it is made when there is one. None: nothing is kept.
        log: Told why the cache is of no use.
    """

    def __init__(self, folder: Path | None, log: Callable[[str], None]) -> None:
        self._log = log
        self.folder = folder
        if folder is not None and (wrong := _not_ours(folder)):
            log(f"The cache of compiled models {folder} is not used: {wrong}.")
            self.folder = None

    def read(self, key: str) -> bytes | None:
        """Return what was kept under a key, or None."""
        if self.folder is None:
            return None
        path = self._path(key)
        try:
            with path.open("rb") as file:
                head, payload = file.read(len(_MARK) + _DIGEST_BYTES), file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._log(f"The cached model {path} cannot be read ({error.strerror}); it is made again.")
            return None
        if head != _head(key, payload):
            self._log(f"The cached model {path} is damaged; it is made again.")
            return None
        # The time of a file's last change tells when it was last used: the last access is often not recorded.
        with contextlib.suppress(OSError):
            os.utime(path)
        return payload

    def write(self, key: str, payload: bytes) -> None:
        """Keep something under a key, in place of what is there; entries unused longest make room for it."""
        if self.folder is None:
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._put(self._path(key), _head(key, payload), payload)
            _make_room(self.folder)
        except OSError as error:
            self._log(f"The compiled model is not kept for later runs, in {self.folder}: {error.strerror or error}.")

    def _put(self, path: Path, head: bytes, payload: bytes) -> None:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=_UNFINISHED, delete=False) as file:
            try:
                file.write(head)
                file.write(payload)
                file.close()
                os.replace(file.name, path)
            except OSError:
                file.close()
                Path(file.name).unlink(missing_ok=True)
                raise

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()}{_ENTRY}"


def cache_folder() -> Path | None:
    """Return the folder of compiled models, which may not exist; None where the user wants no cache."""
    named = os.environ.get(VARIABLE)
    if named == "off":
        return None
    return Path(named) if named else user_cache() / "models"


def _head(key: str, payload: bytes) -> bytes:
    """Return what an entry begins with: the digest binds the content to its key."""
    digest = hashlib.sha256(key.encode() + b"\0")
    digest.update(payload)
    return _MARK + digest.digest()


def _not_ours(folder: Path) -> str:
    """Return why a folder is not to be trusted; empty where it is, or does not exist yet."""
    try:
        state = folder.stat()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return str(error.strerror)
    # Windows has no such bits; there the user's folder is closed to other users by its place.
    if os.name == "posix" and state.st_uid != os.geteuid():
        return "it belongs to another user"
    if os.name == "posix" and state.st_mode & _OTHERS_MAY_WRITE:
        return "other users may write to it"
    return ""


def _make_room(folder: Path) -> None:
    """Remove the entries unused longest beyond the bounds, and what runs that were killed left a day ago."""
    for left in folder.glob(f"*{_UNFINISHED}"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _UNFINISHED_S:
                left.unlink()
    kept, count = 0, 0
    for path, size in _latest_first(folder):
        kept, count = kept + size, count + 1
        if kept > MOST_BYTES or count > MOST_ENTRIES:
            # Another run may have removed it, or, on Windows, be reading it.
            with contextlib.suppress(OSError):
                path.unlink()


def _latest_first(folder: Path) -> list[tuple[Path, int]]:
    found = []
    for path in folder.glob(f"*{_ENTRY}"):
        with contextlib.suppress(OSError):
            state = path.stat()
            found.append((state.st_mtime_ns, path, state.st_size))
    return [(path, size) for _, path, size in sorted(found, reverse=True)]
