"""The errors that users see: one root, a stable code each, and a hint that says what to do next.

Read by both halves (QGIS's Python and the engine), so this file keeps Python 3.9 syntax and imports nothing.
Codes are part of the contract of the worker protocol and of scripts; they are never renamed.
"""

from __future__ import annotations


class BuildingSegmenterError(Exception):
    """An expected failure, told in the user's terms.

    Args:
        message: What was wrong, with the file or value it was found in.
        hint: What to do next. May be empty only where the message already says it.
    """

    code = "internal"
    exit_status = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return message and hint on one line each."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class CancelledError(BuildingSegmenterError):
    """The user stopped the task; nothing stands under the final name."""

    code = "cancelled"
    exit_status = 130

    def __init__(self, message: str = "Cancelled.", hint: str = "") -> None:
        super().__init__(message, hint)


class InvalidParameterError(BuildingSegmenterError):
    """A parameter is out of its range, of the wrong kind, or contradicts another."""

    code = "invalid-parameter"
    exit_status = 2


class InputNotFoundError(BuildingSegmenterError):
    """An input file, folder or layer does not exist."""

    code = "input-not-found"


class InputUnreadableError(BuildingSegmenterError):
    """An input exists but cannot be read as what it should be, or breaks off while being read."""

    code = "input-unreadable"


class MissingCrsError(BuildingSegmenterError):
    """An input has no coordinate reference system and none can be concluded."""

    code = "crs-missing"


class BandsError(BuildingSegmenterError):
    """A raster has fewer bands, or other bands, than the model or task needs."""

    code = "bands"


class NoOverlapError(BuildingSegmenterError):
    """Two inputs that should lie over each other do not."""

    code = "no-overlap"


class NoDataError(BuildingSegmenterError):
    """An input holds nothing to work on: every pixel is nodata, or no usable feature or chip is left."""

    code = "no-data"


class OutputNotWritableError(BuildingSegmenterError):
    """The output cannot be created: folder missing or read-only, file open elsewhere, format unknown."""

    code = "output-not-writable"


class DiskFullError(BuildingSegmenterError):
    """The disk that takes the output or the scratch files is full."""

    code = "disk-full"


class ModelError(BuildingSegmenterError):
    """A model file is corrupt, or is not a model that this task can use."""

    code = "model-invalid"


class UnsafeModelError(ModelError):
    """A model file holds something that would run code or reach outside itself; it was not loaded."""

    code = "model-unsafe"


class EngineNotFoundError(BuildingSegmenterError):
    """No Python environment with the engine's packages was found, or the named one does not work."""

    code = "engine-not-found"


class WorkerError(BuildingSegmenterError):
    """The worker process died, fell silent, or speaks another version of the protocol."""

    code = "worker-failed"


class OutOfMemoryError(BuildingSegmenterError):
    """The machine does not have the memory that the task needs."""

    code = "out-of-memory"


class ImagesFailedError(BuildingSegmenterError):
    """Some of several images could not be done; the others are.

    Args:
        message: How many, and why each.
        hint: What to do next.
        result: The run's result: what was done, skipped and failed. None on the other side of the process border.
    """

    code = "images-failed"

    def __init__(self, message: str, hint: str = "", result: dict[str, object] | None = None) -> None:
        super().__init__(message, hint)
        self.result = result
