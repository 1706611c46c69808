"""The state of work whose outputs are files: kept on failure, gone on from by the same work only."""

import pytest

from building_segmenter import resume, scratch
from building_segmenter.errors import CancelledError, OutputNotWritableError
from building_segmenter.progress import Progress, SilentSink
from building_segmenter.resume import resumable_state

WORK = {"input": {"size": 1}, "epochs": 3}


def stopped_run(target, steps=2, work=WORK, resume=True):
    sink = SilentSink()
    with (
        pytest.raises(CancelledError),
        resumable_state(target, work, Progress(sink), resume=resume) as (folder, journal),
    ):
        for step in range(steps):
            if folder is not None:
                (folder / str(step)).write_text("done", encoding="utf-8")
            journal.add({"step": step})
        raise CancelledError
    return sink.logs


def whole_run(target, work=WORK, resume=True):
    sink = SilentSink()
    with resumable_state(target, work, Progress(sink), resume=resume) as (folder, journal):
        found = list(journal.done), sorted(path.name for path in folder.iterdir()) if folder else []
    return found, sink.logs


def test_stopped_work_is_kept_told_and_gone_on_from(tmp_path):
    target = tmp_path / "model.keras"
    said = stopped_run(target)
    assert "is kept in" in said[-1]
    assert "model.keras.partial" in said[-1]
    found, said = whole_run(target)
    assert found == ([{"step": 0}, {"step": 1}], ["0", "1"])
    assert "Going on from" in said[0]
    assert not list(tmp_path.iterdir())


def test_other_options_start_over_with_a_word(tmp_path):
    target = tmp_path / "model.keras"
    stopped_run(target)
    found, said = whole_run(target, work=WORK | {"epochs": 4})
    assert found == ([], [])
    assert said == ["A stopped run had other values of epochs: starting afresh."]


def test_without_resume_nothing_is_kept_and_what_was_goes(tmp_path):
    target = tmp_path / "model.keras"
    stopped_run(target)
    assert whole_run(target, resume=False)[0] == ([], [])
    assert not list(tmp_path.iterdir())
    stopped_run(target, resume=False)
    assert not list(tmp_path.iterdir())


def test_work_without_a_finished_step_leaves_nothing(tmp_path):
    stopped_run(tmp_path / "model.keras", steps=0)
    assert not list(tmp_path.iterdir())


def test_folder_of_someone_else_is_not_touched(tmp_path):
    other = tmp_path / "model.keras.partial"
    other.mkdir()
    (other / "mine.txt").write_text("x", encoding="utf-8")
    with pytest.raises(OutputNotWritableError, match="was not made by this tool"):
        whole_run(tmp_path / "model.keras")
    assert (other / "mine.txt").is_file()


def test_a_kill_while_the_state_is_opened_again_loses_nothing(tmp_path, monkeypatch):
    target = tmp_path / "model.keras"
    stopped_run(target)
    with monkeypatch.context() as patch:
        # As good as a kill: nothing more happens to the files.
        patch.setattr(resume.Path, "write_text", _cut_off)
        with pytest.raises(KeyboardInterrupt), resumable_state(target, WORK, Progress(), resume=True):
            pass
    assert whole_run(target)[0] == ([{"step": 0}, {"step": 1}], ["0", "1"])


def _cut_off(path, text, encoding):
    path.write_bytes(text.encode(encoding)[: len(text) // 2])
    raise KeyboardInterrupt


def test_a_kill_while_the_state_is_deleted_leaves_scratch_that_goes_with_the_next_run(tmp_path, monkeypatch):
    target = tmp_path / "model.keras"
    stopped_run(target)
    with monkeypatch.context() as patch:
        patch.setattr(resume.shutil, "rmtree", lambda folder, ignore_errors: (folder / "resume.json").unlink(True))
        whole_run(target)
    assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
    assert whole_run(target)[0] == ([], [])
    with scratch.new_output(target) as path:
        path.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


def test_a_journal_that_lost_its_end_with_the_power_is_read_up_to_there(tmp_path):
    target = tmp_path / "model.keras"
    stopped_run(target, steps=3)
    journal = tmp_path / "model.keras.partial" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + b"\0" * (len(lines[1]) - 1) + b"\n" + lines[2])
    assert whole_run(target)[0][0] == [{"step": 0}]
