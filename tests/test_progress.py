"""The time left is judged by the pace of the work that is still to be done."""

import pytest

from building_segmenter import progress as module
from building_segmenter.progress import Progress, SilentSink


class LeftSink(SilentSink):
    """Keeps the shares and the seconds left."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def progress(self, fraction, stage, eta_s):
        self.seen.append((fraction, eta_s))


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


def test_time_left_is_that_of_the_share_left_at_the_pace_so_far(clock):
    progress = Progress(LeftSink())
    clock(30)
    progress.part(0.0, 0.5).update(0.5, "Half of a half")
    assert progress.sink.seen == [(pytest.approx(0.25), pytest.approx(90))]


def test_what_a_stopped_run_had_done_says_nothing_of_the_pace(clock):
    progress = Progress(LeftSink())
    step = progress.part(0.1, 1.0)
    clock(5)
    step.measure_from(0.5)
    step.update(0.5, "Going on")
    clock(20)
    step.part(0.5, 1.0).update(0.2, "Predicting")
    assert progress.sink.seen[0] == (pytest.approx(0.55), None)
    assert progress.sink.seen[1] == (pytest.approx(0.64), pytest.approx(80))


def test_nothing_is_told_before_there_is_a_pace(clock):
    progress = Progress(LeftSink())
    progress.update(0.0, "Loading")
    clock(10)
    progress.update(0.01, "Loading")
    assert [left for _, left in progress.sink.seen] == [None, None]
