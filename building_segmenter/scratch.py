"""Outputs that appear under their final name only when whole.

A result is written into the scratch folder `.NAME.TOKEN.tmp/` beside its final place and moved there at the
end. The token is chosen by whoever started the process, so that a client can also clean up after a worker that
was killed. Scratch goes away on success, on error, on cancel, and with the next run for the same output.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from building_segmenter.errors import BuildingSegmenterError, DiskFullError, OutputNotWritableError

token = uuid.uuid4().hex
"""Marks this process' scratch. The worker replaces it by the one that its client chose."""

_in_use: set[Path] = set()
_ALMOST_NOTHING = 1 << 20


@contextmanager
def new_output(final: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write an output file to, and put the result in place when the block ends well.

    Files that a format writes beside the main one (as Shapefile does) move with it, the main one last. An
    existing output is replaced.

    Args:
        final: The file to make. Its folder must exist.

    Yields:
        A path with the same file name inside a fresh scratch folder.

    Raises:
        OutputNotWritableError: The folder is missing or not writable, or the output is open elsewhere.
        DiskFullError: The block failed and its disk has no room left.
    """
    target = Path(final).absolute()
    _check_folder(target.parent, target)
    if target.is_dir():
        raise OutputNotWritableError(f"The output {target} is a folder.", "Name a file to write.")
    with _scratch_folder(target) as folder:
        yield folder / target.name
        _move_into_place(folder, target)


@contextmanager
def new_folder(final: str | os.PathLike[str], replaceable: str) -> Iterator[Path]:
    """Give a folder to fill, and put it in place when the block ends well.

    Args:
        final: The folder to make. It may exist if it is empty or holds a file `replaceable`, which tells that
            an earlier run made it; it is then replaced.
        replaceable: Name of the file that marks an earlier result.

    Yields:
        An empty folder that becomes `final`.

    Raises:
        OutputNotWritableError: The parent is missing or not writable, or `final` holds something else.
        DiskFullError: The block failed and its disk has no room left.
    """
    target = Path(final).absolute()
    check_new_folder(target, replaceable)
    with _scratch_folder(target) as folder:
        filled = folder / target.name
        filled.mkdir()
        yield filled
        put_folder_in_place(filled, target)


def check_new_folder(target: Path, replaceable: str) -> None:
    """Raise `OutputNotWritableError` if a folder cannot be made, or holds what is not ours; see `new_folder`."""
    _check_folder(target.parent, target)
    if target.exists() and not target.is_dir():
        raise OutputNotWritableError(f"The output folder {target} is a file.", "Name a new or empty folder.")
    if target.is_dir() and any(target.iterdir()) and not (target / replaceable).is_file():
        raise OutputNotWritableError(
            f"The output folder {target} is not empty and was not made by this tool.",
            "Name a new or empty folder; nothing in it was touched.",
        )


def put_folder_in_place(filled: Path, target: Path) -> None:
    """Move a filled folder to its final place; an earlier one moves aside, to where the filled one was."""
    with as_output_errors(target):
        if target.is_dir():
            os.replace(target, filled.with_name("replaced"))
        os.replace(filled, target)


@contextmanager
def side_folder(final: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a folder for what is needed on the way to an output; it goes away when the block ends.

    It lies beside the output, where there is room for results, not in the system's folder for small things.

    Raises:
        OutputNotWritableError: The folder of the output is missing or not writable.
        DiskFullError: The block failed and its disk has no room left.
    """
    target = Path(final).absolute()
    _check_folder(target.parent, target)
    with _scratch_folder(target.with_name(f"{target.name}.side")) as folder:
        yield folder


def remove_scratch() -> None:
    """Remove all scratch of this process: the last act of a worker that is cut off."""
    for folder in list(_in_use):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _scratch_folder(target: Path) -> Iterator[Path]:
    folder = target.parent / f".{target.name}.{token}.tmp"
    with as_output_errors(target):
        _remove_left_overs(target)
        folder.mkdir()
    _in_use.add(folder)
    try:
        with disk_watched(folder, target):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _in_use.discard(folder)


@contextmanager
def disk_watched(folder: Path, target: Path) -> Iterator[None]:
    """Raise `DiskFullError` instead of what else fails in the block if the disk of `folder` is full."""
    try:
        yield
    except BuildingSegmenterError:
        raise
    except Exception as error:
        if _is_disk_full(error, folder):
            raise _disk_full(target) from error
        raise


def _remove_left_overs(target: Path) -> None:
    # Not a glob: `.out.*.tmp` would also match the scratch of a neighbour `out.gpkg` that may just be written.
    scratch_of_target = re.compile(rf"\.{re.escape(target.name)}(\.side)?\.[0-9a-f]+\.tmp")
    for path in target.parent.iterdir():
        if scratch_of_target.fullmatch(path.name) and path not in _in_use:
            shutil.rmtree(path, ignore_errors=True)


def _check_folder(folder: Path, target: Path) -> None:
    if not folder.is_dir():
        raise OutputNotWritableError(
            f"The folder {folder} for the output {target.name} does not exist.", "Make the folder, or name another."
        )


def _move_into_place(folder: Path, target: Path) -> None:
    written = sorted(folder.iterdir(), key=lambda path: path.name == target.name)
    if not written or written[-1].name != target.name:
        raise OutputNotWritableError(f"The output {target} was not written.", "Report this: it is a mistake of ours.")
    with as_output_errors(target):
        for path in written:
            os.replace(path, target.parent / path.name)
        for stale in _stale(target):
            if stale.name not in {path.name for path in written}:
                stale.unlink(missing_ok=True)


def _stale(target: Path) -> list[Path]:
    """Return the files that belonged to an earlier output of this name and would now tell lies about the new one.

    A journal that SQLite finds beside a GeoPackage is played into it; statistics, overviews and masks beside a
    raster and spatial indices beside a Shapefile are believed.
    """
    stale = [target.with_name(target.name + end) for end in ("-wal", "-shm", "-journal", ".aux.xml", ".ovr", ".msk")]
    if target.suffix.lower() == ".shp":
        stale += [target.with_suffix(end) for end in (".qix", ".sbn", ".sbx", ".qpj")]
    return stale


@contextmanager
def as_output_errors(target: Path) -> Iterator[None]:
    """Turn what the file system refuses in the block into errors that name the output."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _disk_full(target) from error
        raise OutputNotWritableError(
            f"The output {target} cannot be written: {error.strerror or error}.",
            "Check that the folder may be written to, and close the file where it is open in another program.",
        ) from error


def _is_disk_full(error: Exception, folder: Path) -> bool:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return True
    # GDAL's and HDF5's messages on a full disk differ by driver and version, so the disk itself is asked.
    return folder.is_dir() and shutil.disk_usage(folder).free < _ALMOST_NOTHING


def _disk_full(target: Path) -> DiskFullError:
    return DiskFullError(
        f"The disk of {target.parent} is full.", f"Free some space, or write {target.name} to another disk."
    )
