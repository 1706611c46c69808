"""What is written down of a training after each epoch, to go on from and to look at."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Protocol

from building_segmenter import tasks
from building_segmenter.chips.formats.arcgis_reading import SIDE_FILES
from building_segmenter.chips.manifest import MANIFEST
from building_segmenter.resume import Journal, input_state
from building_segmenter.training.checkpoint import Checkpoint, Variables
from building_segmenter.training.logs import TensorBoardLog, new_log_folder, write_history
from building_segmenter.training.loop import Outcome

HISTORY = "history.csv"
"""The table of epochs of a run that is under way, in its folder."""

_NOT_PART_OF_THE_WORK = ("output", "report", "log_dir", "resume")


class Trained(Protocol):
    """What learns."""

    def variables(self) -> Variables:
        """Return everything that changes in training, by what it belongs to."""


class Diary:
    """The trainings of a run, of which a learning curve has several, one for each number of chips.

    Args:
        folder: Where the state is kept; None: nowhere.
        journal: Of that folder.
        logs: Folder for logs of TensorBoard, or None.
        name: Of the model.
    """

    def __init__(self, folder: Path | None, journal: Journal, logs: Path | None, name: str) -> None:
        self._folder, self._journal = folder, journal
        # A run that goes on writes on where it was.
        earlier = next((entry["log"] for entry in journal.done if entry.get("log")), None)
        self._log = (earlier or new_log_folder(logs, name)) if logs else None
        self._logs = logs
        self._writers: dict[int, TensorBoardLog] = {}

    @property
    def place(self) -> Path | None:
        """The folder that a stopped run leaves; None: nothing is kept."""
        return self._folder.parent if self._folder else None

    @property
    def points(self) -> list[dict[str, Any]]:
        """The finished trainings of a learning curve: `chips`, `iou`, `best_epoch`, `epochs`."""
        return [entry["point"] for entry in self._journal.done if "point" in entry]

    def rows(self, chips: int, outcome: Outcome) -> list[dict[str, Any]]:
        """Return the epochs of all trainings, the present one on `chips` chips last."""
        trainings = [(entry["point"]["chips"], entry["history"]) for entry in self._journal.done if "point" in entry]
        return [
            {"epoch": row["epoch"], "chips": count} | row
            for count, history in [*trainings, (chips, outcome.history)]
            for row in history
        ]

    def restore(self, chips: int, trainer: Trained) -> Outcome:
        """Bring a training to where a stopped run left it, and return what it had come to."""
        kept = self._checkpoint(chips).restore(trainer.variables()) if self._folder else None
        return kept or Outcome()

    def keep(self, chips: int, trainer: Trained, outcome: Outcome) -> None:
        """Write down the last epoch."""
        if self._logs and self._log:
            if chips not in self._writers:
                self._writers[chips] = TensorBoardLog(self._logs / self._log / f"{chips} chips")
            self._writers[chips].add(outcome.history[-1])
        if self._folder is None:
            return
        write_history(self.rows(chips, outcome), self._folder / HISTORY)
        self._checkpoint(chips).save(outcome, trainer.variables())
        self._journal.add({"chips": chips, "epoch": len(outcome.history), "log": self._log})

    def finish(self, chips: int, outcome: Outcome) -> None:
        """Write down a training of a learning curve that is not the last; its state is no longer needed."""
        self._journal.add({"point": curve_point(chips, outcome), "history": outcome.history})
        if self._folder is not None:
            shutil.rmtree(self._place(chips))

    def close(self) -> None:
        """Close the logs."""
        for writer in self._writers.values():
            writer.close()

    def _checkpoint(self, chips: int) -> Checkpoint:
        self._place(chips).mkdir(exist_ok=True)
        return Checkpoint(self._place(chips))

    def _place(self, chips: int) -> Path:
        assert self._folder is not None  # asked by all who call
        return self._folder / f"{chips}-chips"


def curve_point(chips: int, outcome: Outcome) -> dict[str, Any]:
    """Return a point of a learning curve."""
    iou = round(outcome.best_iou, 4)
    return {"chips": chips, "iou": iou, "best_epoch": outcome.best_epoch, "epochs": len(outcome.history)}


def work_of(options: tasks.TrainModel) -> dict[str, Any]:
    """Return what a stopped training must have in common with this one to be gone on with."""
    inputs = {
        "dataset": [input_state(str(path)) for folder in options.dataset for path in side_files(Path(folder))],
        "initial_model": input_state(options.initial_model),
        "backbone_weights": input_state(options.backbone_weights),
    }
    rest = tasks.as_request(options)["options"].items()
    return inputs | {name: value for name, value in rest if name not in (*inputs, *_NOT_PART_OF_THE_WORK)}


def side_files(folder: Path) -> list[Path]:
    """Return the files that describe a dataset, whoever made it."""
    own = folder / MANIFEST
    return [own] if own.is_file() else [folder / name for name in SIDE_FILES]
