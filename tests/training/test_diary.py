"""The trainings of a run as they are written down, stopped and gone on from."""

import csv
import shutil

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from building_segmenter import tasks
from building_segmenter.errors import CancelledError
from building_segmenter.progress import Progress
from building_segmenter.resume import resumable_state
from building_segmenter.training.diary import Diary, work_of
from building_segmenter.training.loop import Outcome


class Variable:
    """As Keras' variables are."""

    def __init__(self):
        self.value = np.zeros(2, np.float32)

    def __array__(self, dtype=None, copy=None):
        return self.value

    def assign(self, value):
        self.value = np.array(value)


class Counting:
    """In place of a trainer: an epoch adds one to its only variable; validation is best at epoch 2."""

    def __init__(self):
        self.variable = Variable()

    def variables(self):
        return {"model": [self.variable]}

    def train(self, diary, chips, epochs, stop_after=None):
        outcome = diary.restore(chips, self)
        for epoch in range(len(outcome.history) + 1, epochs + 1):
            self.variable.assign(self.variable.value + 1)
            row = {"epoch": epoch, "loss": 1.0 / epoch, "val_iou": 0.5 - 0.1 * abs(epoch - 2)}
            outcome.add(row, None, lambda: [self.variable.value.copy()])
            diary.keep(chips, self, outcome)
            if epoch == stop_after:
                raise CancelledError
        return outcome


def diary_of(folder, journal, tmp_path):
    return Diary(folder, journal, tmp_path / "logs", "m")


def test_curve_goes_on_in_the_middle_of_a_later_training(tmp_path):
    target = tmp_path / "m.keras"
    with pytest.raises(CancelledError), resumable_state(target, {}, Progress(), resume=True) as (folder, journal):
        diary = diary_of(folder, journal, tmp_path)
        diary.finish(5, Counting().train(diary, 5, 3))
        Counting().train(diary, 10, 4, stop_after=3)
    with resumable_state(target, {}, Progress(), resume=True) as (folder, journal):
        diary = diary_of(folder, journal, tmp_path)
        assert diary.points == [{"chips": 5, "iou": 0.5, "best_epoch": 2, "epochs": 3}]
        trainer = Counting()
        outcome = trainer.train(diary, 10, 4)
        diary.close()
        # Three epochs came from the state, only the fourth was trained here.
        np.testing.assert_array_equal(trainer.variable.value, [4, 4])
        np.testing.assert_array_equal(outcome.best_weights[0], [2, 2])
        rows = diary.rows(10, outcome)
        assert [(row["chips"], row["epoch"]) for row in rows] == [
            (5, 1),
            (5, 2),
            (5, 3),
            *((10, e) for e in range(1, 5)),
        ]
        with open(folder / "history.csv", encoding="utf-8") as file:
            assert [row["epoch"] for row in csv.DictReader(file)] == [str(row["epoch"]) for row in rows]
    # One run, one folder of logs.
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["m"]


def test_another_run_gets_a_folder_of_logs_of_its_own(tmp_path):
    for _ in range(2):
        with resumable_state(tmp_path / "m.keras", {}, Progress(), resume=False) as (folder, journal):
            diary = diary_of(folder, journal, tmp_path)
            Counting().train(diary, 5, 1)
            diary.close()
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["m", "m-2"]


def test_without_a_folder_nothing_is_kept(tmp_path):
    with resumable_state(tmp_path / "m.keras", {}, Progress(), resume=False) as (folder, journal):
        diary = Diary(folder, journal, None, "m")
        assert diary.restore(5, Counting()) == Outcome()
        Counting().train(diary, 5, 2)
        diary.close()
    assert not list(tmp_path.iterdir())


def test_work_is_other_work_with_other_chips_or_options(tmp_path):
    (tmp_path / "chips").mkdir()
    (tmp_path / "chips" / "dataset.json").write_text("{}", encoding="utf-8")

    def work(**options):
        return work_of(tasks.TrainModel(dataset=(str(tmp_path / "chips"),), output="m.keras", **options))

    first = work()
    assert work() == first
    assert work(report="other.html", log_dir="logs", resume=True) == first
    assert work(epochs=36) != first
    (tmp_path / "chips" / "dataset.json").write_text('{"version": 1}', encoding="utf-8")
    assert work() != first
    shutil.rmtree(tmp_path / "chips")
