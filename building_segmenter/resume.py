"""Long work that goes on where it was stopped.

What is done of a folder of results is kept in `NAME.partial/` beside its final place: the folder so far, a manifest
of the inputs and options it belongs to, and a journal with an entry for each step that is whole on disk. An error, a
cancelled or a killed run leaves it; the next run of the same work goes on from it; success deletes it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from building_segmenter import __version__, scratch
from building_segmenter.errors import OutputNotWritableError
from building_segmenter.progress import Progress

SUFFIX = ".partial"

_MANIFEST, _JOURNAL, _RESULT = "resume.json", "journal.jsonl", "result"
_HEADER_BYTES = 1 << 16


class Journal:
    """The steps of the work that are done, oldest first.

    Args:
        done: Entries of the run that was stopped.
        file: Where new entries go, or None: they are not kept.
    """

    def __init__(self, done: list[dict[str, Any]], file: TextIO | None = None) -> None:
        self.done = done
        self._file = file

    def add(self, entry: dict[str, Any], *, durable: bool = False) -> None:
        """Keep an entry, ready for JSON, of a step whose results are on disk.

        Args:
            entry: Describes the step.
            durable: Wait until it is on the disk, where it also outlasts the machine's end.
        """
        self.done.append(entry)
        if self._file is not None:
            self._file.write(_line(entry))
            self._file.flush()
            if durable:
                os.fsync(self._file.fileno())

    def forget(self, first: int = 0) -> None:
        """Take the steps from one on for nothing worth keeping: they came to no result, or it is lost."""
        if first >= len(self.done):
            return
        del self.done[first:]
        if self._file is not None:
            self._file.truncate(0)
            self._file.writelines(map(_line, self.done))
            self._file.flush()

    def close(self) -> None:
        """Close the file; nothing more can be kept."""
        if self._file is not None:
            self._file.close()


def input_state(source: str | None) -> dict[str, Any] | None:
    """Return what tells whether an input is still the same: its path, size, time of change and first bytes.

    Args:
        source: A path, `path|layername=NAME`, or a name that only GDAL understands, of which the name must do.
    """
    if source is None:
        return None
    path = Path(source.partition("|")[0])
    if not path.is_file():
        return {"name": source}
    with path.open("rb") as file:
        header = hashlib.sha256(file.read(_HEADER_BYTES)).hexdigest()
    state = path.stat()
    return {"name": str(path.absolute()), "size": state.st_size, "changed": state.st_mtime_ns, "header": header}


@contextmanager
def resumable_folder(
    final: str | os.PathLike[str], replaceable: str, work: dict[str, Any], progress: Progress, *, resume: bool
) -> Iterator[tuple[Path, Journal]]:
    """Give a folder to fill and the journal of what is in it, and put the folder in place when the block ends well.

    Args:
        final: The folder to make; see `scratch.new_folder`.
        replaceable: Name of the file that marks an earlier result.
        work: Inputs (from `input_state`) and options, ready for JSON: a stopped run is only gone on with if all
            are the same.
        progress: Told whether the work goes on, and where what is done is kept.
        resume: Keep what is done when the block fails. Otherwise it goes away, also that of an earlier run.

    Raises:
        OutputNotWritableError: The parent is missing or not writable, or `final` or its `.partial` holds something
            else.
        DiskFullError: The block failed and its disk has no room left.
    """
    target = Path(final).absolute()
    state = target.with_name(target.name + SUFFIX)
    _check_state(state)
    if not resume:
        with scratch.new_folder(target, replaceable) as folder:
            yield folder, Journal([])
        _discard(state)
        return
    scratch.check_new_folder(target, replaceable)
    with scratch.as_output_errors(target):
        journal = _open(state, work, progress)
    with _kept_on_failure(state, target, journal, progress), scratch.disk_watched(state, target):
        yield state / _RESULT, journal
        scratch.put_folder_in_place(state / _RESULT, target)
    _discard(state)


@contextmanager
def resumable_state(
    final: str | os.PathLike[str], work: dict[str, Any], progress: Progress, *, resume: bool
) -> Iterator[tuple[Path | None, Journal]]:
    """Give a folder for the state of work whose outputs are files, and delete it when the block ends well.

    Outputs must be put in place inside the block, so that a kill on the way never loses both state and output.

    Args:
        final: The first of the outputs, which the folder is named after.
        work: As of `resumable_folder`.
        progress: As of `resumable_folder`.
        resume: Keep a state. Otherwise there is no folder (None), and that of an earlier run goes away.

    Raises:
        OutputNotWritableError: The parent is missing or not writable, or `NAME.partial` holds something else.
        DiskFullError: The block failed and its disk has no room left.
    """
    target = Path(final).absolute()
    state = target.with_name(target.name + SUFFIX)
    _check_state(state)
    if resume:
        with scratch.as_output_errors(target):
            journal = _open(state, work, progress)
        with _kept_on_failure(state, target, journal, progress), scratch.disk_watched(state, target):
            yield state / _RESULT, journal
    else:
        yield None, Journal([])
    _discard(state)


def _check_state(state: Path) -> None:
    if state.exists() and not (state / _MANIFEST).is_file() and not (state.is_dir() and not any(state.iterdir())):
        raise OutputNotWritableError(
            f"{state} lies where what is done is kept when a run is stopped, and was not made by this tool.",
            "Rename it, or name another output.",
        )


def _open(state: Path, work: dict[str, Any], progress: Progress) -> Journal:
    work = {"engine": __version__, **json.loads(json.dumps(work))}
    done: list[dict[str, Any]] = []
    if state.is_dir():
        earlier = _earlier(state / _MANIFEST)
        differing = [key for key in sorted({*work, *earlier}) if work.get(key) != earlier.get(key)]
        if differing:
            progress.log(f"A stopped run had other values of {', '.join(differing)}: starting afresh.")
            _discard(state)
            if state.exists():
                # Not to be mixed with what comes now; this says what is in the way.
                shutil.rmtree(state)
        elif (state / _RESULT).is_dir():
            done = _read_journal(state / _JOURNAL)
    state.mkdir(exist_ok=True)
    _write_whole(state / _MANIFEST, json.dumps(work, indent=1))
    (state / _RESULT).mkdir(exist_ok=True)
    _write_whole(state / _JOURNAL, "".join(map(_line, done)))
    if done:
        progress.log(f"Going on from {state}, which a stopped run left.")
    return Journal(done, (state / _JOURNAL).open("a", encoding="ascii"))


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that a kill on the way leaves the earlier one."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, path)


def _discard(state: Path) -> None:
    """Delete a state. It first becomes scratch, which goes with the next run should a kill leave a part of it."""
    if not state.exists():
        return
    gone = state.with_name(f".{state.name.removesuffix(SUFFIX)}.{uuid.uuid4().hex}.tmp")
    with suppress(OSError):
        os.replace(state, gone)
    for folder in (gone, state):
        shutil.rmtree(folder, ignore_errors=True)


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, separators=(",", ":")) + "\n"


def _earlier(manifest: Path) -> dict[str, Any]:
    try:
        work: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
    except (ValueError, FileNotFoundError):
        # Cut off while it was written: nothing was done yet.
        return {}
    return work


def _read_journal(path: Path) -> list[dict[str, Any]]:
    entries = []
    for line in path.read_text(encoding="ascii", errors="replace").splitlines(keepends=True) if path.is_file() else []:
        # The last line of a killed run may end in the middle.
        if not line.endswith("\n"):
            break
        try:
            entries.append(json.loads(line))
        except ValueError:
            # So may any of a machine that lost its power.
            break
    return entries


@contextmanager
def _kept_on_failure(state: Path, target: Path, journal: Journal, progress: Progress) -> Iterator[None]:
    try:
        yield
    except BaseException:
        journal.close()
        if journal.done:
            progress.log(
                f"What is done is kept in {state}: the same run goes on from there, and {target.name} appears when it"
                " is whole."
            )
        else:
            _discard(state)
        raise
    journal.close()
