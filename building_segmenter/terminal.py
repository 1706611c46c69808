"""Progress, log lines and warnings on a terminal."""

from __future__ import annotations

import threading

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar


class TerminalSink:
    """Shows progress as a bar on a terminal, and as a line every tenth elsewhere; all of it on stderr."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        left = TextColumn("{task.fields[left]}")
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), left)
        self._bar = Bar(*columns, console=self._console, transient=True) if self._console.is_terminal else None
        self._shown = self._bar.add_task("Starting", total=1.0, left="") if self._bar else None
        self._last_tenth = -1

    def __enter__(self) -> TerminalSink:
        """Start drawing."""
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        if self._bar:
            self._bar.stop()

    def progress(self, fraction: float, stage: str, eta_s: float | None) -> None:
        """Show how far the task is."""
        left = "" if eta_s is None else f"{_in_words(eta_s)} left"
        if self._bar and self._shown is not None:
            self._bar.update(self._shown, completed=fraction, description=stage, left=left)
        elif int(fraction * 10) > self._last_tenth:
            self._last_tenth = int(fraction * 10)
            self._console.print(f"{fraction:4.0%} {stage}{left and ', '}{left}", soft_wrap=True, markup=False)

    def log(self, message: str) -> None:
        """Show a line."""
        self._console.print(message, soft_wrap=True, markup=False)

    def warning(self, message: str) -> None:
        """Show a warning."""
        self._console.print(f"Warning: {message}", style="yellow", soft_wrap=True, markup=False)


def _in_words(seconds: float) -> str:
    """Return a time as a person says it: seconds up to two minutes, then minutes, then hours and minutes."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


class TerminalListener:
    """The same for the environment's functions, which QGIS's Python runs too and which so do not know `Progress`.

    Args:
        sink: Where to show things.
        stop: Set to stop the work.
    """

    def __init__(self, sink: TerminalSink, stop: threading.Event) -> None:
        self._stop = stop
        self.progress, self.log, self.warning = sink.progress, sink.log, sink.warning

    def cancelled(self) -> bool:
        """Tell whether the user asked to stop."""
        return self._stop.is_set()
