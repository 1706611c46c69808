"""Writing small whole files, with the errors of a full or forbidden disk told in the user's terms."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from building_segmenter.errors import DiskFullError, InputUnreadableError, OutputNotWritableError

_ALMOST_NOTHING = 1 << 20
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def write_parts(path: Path, parts: Iterable[bytes | bytearray | memoryview]) -> None:
    """Write a file from its parts; an existing one is replaced.

    Raises:
        DiskFullError: The disk or the user's share of it is full.
        OutputNotWritableError: The file cannot be written for another reason.
    """
    try:
        # Unbuffered: what fails then fails in `write`, not while the file is closed.
        with open(path, "wb", buffering=0) as file:
            for part in parts:
                _write_all(file, part)
    except OSError as error:
        raise not_written(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8 with the line ends as given. Errors as `write_parts`."""
    write_parts(path, [text.encode()])


def write_esri_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON as ArcGIS spaces it: two blanks a level, a blank on both sides of a colon."""
    write_text(path, json.dumps(content, indent=2, separators=(",", " : "), ensure_ascii=False))


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file, with or without a byte order mark.

    Raises:
        InputUnreadableError: It is missing or broken.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputUnreadableError(
            f"The {what} {path} cannot be read: {error}.", "Export the chips again, or restore the file."
        ) from error


def _write_all(file: Any, part: bytes | bytearray | memoryview) -> None:
    rest = memoryview(part)
    while len(rest):
        rest = rest[file.write(rest) :]


def not_written(path: Path, error: Exception) -> DiskFullError | OutputNotWritableError:
    """Return the error that tells why a file could not be written."""
    number = getattr(error, "errno", None)
    # A library that wraps the system's errors loses their numbers, so the disk itself is asked.
    if number in _FULL or (number is None and shutil.disk_usage(path.parent).free < _ALMOST_NOTHING):
        return DiskFullError(f"The disk of {path.parent} is full.", "Free some space, or write to another disk.")
    return OutputNotWritableError(
        f"The file {path} cannot be written: {getattr(error, 'strerror', None) or error}.",
        "Check that the folder may be written to, and close the file where it is open in another program.",
    )
