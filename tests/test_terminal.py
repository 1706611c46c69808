"""Progress where stderr is no terminal: a line every tenth, with the time left as a person says it."""

import pytest

from building_segmenter.terminal import TerminalSink


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.4, ", 0 s left"), (119, ", 119 s left"), (121, ", 2 min left"), (11_100, ", 3 h 5 min left")],
)
def test_a_line_tells_the_share_the_stage_and_the_time_left(capsys, seconds, words):
    with TerminalSink() as sink:
        sink.progress(0.25, "Predicting", seconds)
    assert capsys.readouterr().err == f" 25% Predicting{words}\n"


def test_lines_come_every_tenth(capsys):
    with TerminalSink() as sink:
        for hundredth in range(0, 101, 4):
            sink.progress(hundredth / 100, "Predicting", None)
    assert len(capsys.readouterr().err.splitlines()) == 11
