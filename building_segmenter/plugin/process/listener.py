"""What hears of a process while it runs: QGIS's feedback, or the command line."""

from __future__ import annotations

from typing import Optional, Protocol


class Listener(Protocol):
    """Hears of progress and messages, and tells whether the user asked to stop."""

    def progress(self, fraction: float, stage: str, eta_s: Optional[float]) -> None:
        """Show the share done (0..1), what is being done, and the seconds left where known."""

    def log(self, message: str) -> None:
        """Show a line of information."""

    def warning(self, message: str) -> None:
        """Show a warning: the run goes on."""

    def cancelled(self) -> bool:
        """Tell whether the user asked to stop."""


class SilentListener:
    """Shows nothing and never asks to stop."""

    def progress(self, fraction: float, stage: str, eta_s: Optional[float]) -> None:
        """Ignore the report."""

    def log(self, message: str) -> None:
        """Ignore the line."""

    def warning(self, message: str) -> None:
        """Ignore the warning."""

    def cancelled(self) -> bool:
        """Never stop."""
        return False


class PartListener:
    """Passes a step's reports on as a share of the whole run, from `start` to `stop`."""

    def __init__(self, whole: Listener, start: float, stop: float) -> None:
        self._whole = whole
        self._start = start
        self._width = stop - start

    def progress(self, fraction: float, stage: str, eta_s: Optional[float]) -> None:
        """Pass the share on; the time left of a step says nothing of the whole."""
        self._whole.progress(self._start + self._width * fraction, stage, None)

    def log(self, message: str) -> None:
        """Pass the line on."""
        self._whole.log(message)

    def warning(self, message: str) -> None:
        """Pass the warning on."""
        self._whole.warning(message)

    def cancelled(self) -> bool:
        """Ask the whole run."""
        return self._whole.cancelled()
