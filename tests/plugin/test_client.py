"""The client against a fake worker: whatever happens to a worker ends in a result or in one clear error."""

import os
import time

import pytest

from building_segmenter import __version__, errors
from building_segmenter.plugin.process.client import Client, WorkerFailure
from building_segmenter.plugin.process.listener import SilentListener


class Recorder(SilentListener):
    """Keeps what it hears, and asks to stop when it hears a stage."""

    def __init__(self, stop_at=None):
        self.heard = []
        self.stop_at = stop_at
        self.stop = False

    def progress(self, fraction, stage, eta_s):
        self.heard.append((fraction, stage, eta_s))
        self.stop = self.stop or stage == self.stop_at

    def log(self, message):
        self.heard.append(("log", message))

    def warning(self, message):
        self.heard.append(("warning", message))

    def cancelled(self):
        return self.stop


@pytest.fixture
def run(fake_worker, tmp_path):
    output = tmp_path / "öut put.gpkg"

    def start(mode, listener=None, silence_s=20.0):
        fake_worker(mode)
        request = {"task": "extract", "options": {"input": "i.tif", "output": str(output)}}
        try:
            return Client(os.environ["BUILDING_SEGMENTER_PYTHON"], os.environ, silence_s).run(
                request, listener or SilentListener()
            )
        finally:
            assert not list(tmp_path.glob(".*.tmp")), "scratch was left behind"

    return start


def worker_is_gone(tmp_path):
    try:
        os.kill(int((tmp_path / "pid").read_text()), 0)
    except ProcessLookupError:
        return True
    return False


def test_a_result_and_what_is_said_on_the_way(run):
    listener = Recorder()
    assert run("result", listener)["count"] == 7
    assert listener.heard == [
        (0.25, "Reading", None),
        (0.5, "Predicting", 75.0),
        ("log", "a fact"),
        ("warning", "a doubt"),
    ]


def test_an_error_of_the_task_keeps_its_kind(run):
    with pytest.raises(errors.MissingCrsError, match="no CRS") as caught:
        run("error")
    assert caught.value.hint == "Give GSD."


def test_an_internal_error_brings_the_last_200_lines(run):
    with pytest.raises(WorkerFailure) as caught:
        run("internal")
    assert caught.value.code == "internal"
    assert caught.value.lines.splitlines() == [f"line {number}" for number in range(100, 300)]


@pytest.mark.parametrize("mode", ["obedient", "hang"])
def test_cancel_ends_the_worker_within_two_seconds(run, tmp_path, mode):
    listener = Recorder(stop_at="Working")
    began = time.monotonic()
    with pytest.raises(errors.CancelledError):
        run(mode, listener)
    assert time.monotonic() - began < 4.0
    assert worker_is_gone(tmp_path)


def test_an_obedient_worker_is_not_waited_for_longer_than_it_takes(run):
    listener = Recorder(stop_at="Working")
    began = time.monotonic()
    with pytest.raises(errors.CancelledError):
        run("obedient", listener)
    assert time.monotonic() - began < 1.5


def test_a_result_that_was_finished_before_the_cancel_counts(run):
    assert run("late", Recorder(stop_at="Working"))["count"] == 1


def test_a_killed_worker(run, tmp_path):
    with pytest.raises(WorkerFailure, match="SIGKILL") as caught:
        run("killed")
    assert caught.value.code == "worker-failed"
    assert "memory" in caught.value.hint
    assert caught.value.lines == "about to die"


def test_a_silent_worker_is_given_up(run, tmp_path):
    with pytest.raises(WorkerFailure, match="not been heard of for 1 s"):
        run("silent", silence_s=1.0)
    assert worker_is_gone(tmp_path)


def test_heartbeats_keep_a_worker(run):
    class Impatient(Recorder):
        began = time.monotonic()

        def cancelled(self):
            return time.monotonic() - self.began > 2.0

    with pytest.raises(errors.CancelledError):
        run("hang", Impatient(), silence_s=0.8)


@pytest.mark.parametrize(
    ("mode", "said"),
    [("old", "version 0.0.1"), ("protocol", "version 1 of the protocol"), ("garbage", "Python 2.7 says hello")],
)
def test_a_worker_of_another_version_is_refused(run, mode, said):
    with pytest.raises(WorkerFailure, match=said) as caught:
        run(mode)
    assert caught.value.hint
    assert mode != "old" or __version__ in caught.value.message


def test_a_worker_that_ends_without_a_word(run):
    with pytest.raises(WorkerFailure, match="status 3") as caught:
        run("crash")
    assert "no such library" in caught.value.lines


def test_a_python_that_cannot_be_started(tmp_path):
    python = tmp_path / "python"
    python.write_text("not a program")
    with pytest.raises(errors.EngineNotFoundError, match="cannot be started") as caught:
        Client(str(python), os.environ).run({"task": "extract", "options": {}}, SilentListener())
    assert "Set up environment" in caught.value.hint
