"""The files of a training: model, report, history, and the state of a stopped run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from building_segmenter import scratch, tasks
from building_segmenter.progress import Progress
from building_segmenter.resume import resumable_state
from building_segmenter.training.diary import Diary, work_of
from building_segmenter.training.logs import write_history
from building_segmenter.training.loop import Outcome


class TrainingOutputs(NamedTuple):
    """Where a run writes.

    Args:
        diary: What is kept of every epoch.
        model: Scratch path of the model.
        report: Scratch path of the report.
    """

    diary: Diary
    model: Path
    report: Path

    def write(self, chips: int, outcome: Outcome, report: str) -> None:
        """Write the history beside the model, and the report (HTML)."""
        write_history(self.diary.rows(chips, outcome), self.model.with_suffix(".csv"))
        self.report.write_text(report, encoding="utf-8")


@contextmanager
def training_outputs(options: tasks.TrainModel, progress: Progress) -> Iterator[TrainingOutputs]:
    """Give the paths to write to, which are put in place when the block ends well.

    Raises:
        OutputNotWritableError: The outputs cannot be written.
    """
    logs = Path(options.log_dir) if options.log_dir else None
    with ExitStack() as stack:
        state = resumable_state(options.output, work_of(options), progress, resume=options.resume)
        folder, journal = stack.enter_context(state)
        model = stack.enter_context(scratch.new_output(options.output))
        report = stack.enter_context(scratch.new_output(_report_of(options)))
        diary = stack.enter_context(closing(Diary(folder, journal, logs, Path(options.output).stem)))
        yield TrainingOutputs(diary, model, report)


def result_of(options: tasks.TrainModel, outcome: Outcome, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a training returns: paths, epochs, and figures of the model."""
    return {
        "output": str(options.output),
        "report": str(_report_of(options)),
        "history": str(Path(options.output).with_suffix(".csv")),
        "best_epoch": outcome.best_epoch,
        "epochs": len(outcome.history),
        **figures,
    }


def _report_of(options: tasks.TrainModel) -> Path:
    return Path(options.report) if options.report else Path(options.output).with_suffix(".html")
