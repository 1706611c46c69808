"""Runs of whole tasks, in this process and as the command line, and what they leave."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from building_segmenter import tasks
from building_segmenter.errors import BuildingSegmenterError
from building_segmenter.progress import Progress

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
ENVIRONMENT.pop("KERAS_BACKEND", None)


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    status: int
    code: str
    said: str
    hint: str


def assert_refused(outcome, code, *named):
    """Check that a run failed with a code and a hint, and told these words."""
    assert outcome.code == code, outcome
    assert outcome.status != 0, outcome
    assert outcome.hint, outcome
    for words in named:
        assert words in outcome.said, outcome


def run_task(name, **options):
    """Run a task in this process; returns its result and its warnings."""
    from building_segmenter import engine

    progress = Progress()
    return engine.run(tasks.build_task(name, options), progress), progress.sink.warnings


def outcome_of(name, **options):
    """Run a task in this process and tell how it ended."""
    try:
        run_task(name, **options)
    except BuildingSegmenterError as error:
        return Outcome(error.exit_status, error.code, error.message, error.hint)
    return Outcome(0, "", "", "")


def outcome_of_command(*words):
    """Run the command line as a process and tell how it ended."""
    words = [sys.executable, "-m", "building_segmenter", *map(str, words)]
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    lines = done.stderr.splitlines()
    told = next((number for number, line in enumerate(lines) if line.startswith("Error [")), None)
    if told is None:
        return Outcome(done.returncode, "", done.stdout + done.stderr, "")
    code, _, said = lines[told].removeprefix("Error [").partition("]: ")
    return Outcome(done.returncode, code, said, " ".join(lines[told + 1 :]))


def files_under(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))


@contextmanager
def nothing_changes(folder):
    """Check that the block leaves a folder as it was: no output, no scratch, and the same contents."""

    def state():
        return {name: (folder / name).read_bytes() for name in files_under(folder) if (folder / name).is_file()}

    before = state(), files_under(folder)
    yield
    assert (state(), files_under(folder)) == before


def start_command(*words):
    """Start the command line as a process of its own session, and return it."""
    words = [sys.executable, "-m", "building_segmenter", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(words, env=ENVIRONMENT, start_new_session=True, **pipes)


def wait_for_scratch(output, process, seconds=60):
    """Wait until a run writes its first file beside its output."""
    until = time.monotonic() + seconds
    while not any(Path(output).parent.glob(f".{Path(output).name}.*/*")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until, "the run does not begin"
        time.sleep(0.05)


def scratch_in(folder):
    return [path.name for path in Path(folder).iterdir() if path.name.endswith(".tmp")]
