"""What a training tells while it runs: a table of its epochs, and logs for TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

_NOT_DRAWN = ("epoch", "chips")


def write_history(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the epochs as a table, a row each; the file is never seen half-written."""
    half_made = path.with_name(f"{path.name}.tmp")
    with half_made.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)
    half_made.replace(path)


def new_log_folder(parent: Path, name: str) -> str:
    """Return the first of NAME, NAME-2, NAME-3 ... that is not in a folder yet: runs are compared side by side."""
    number, folder = 1, name
    while (parent / folder).exists():
        number += 1
        folder = f"{name}-{number}"
    return folder


class TensorBoardLog:
    """Writes the figures of every epoch where TensorBoard finds them.

    Args:
        folder: Of this run; it is made when there is something to write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def add(self, row: dict[str, Any]) -> None:
        """Write an epoch: `val_iou` as `iou/validation`, `iou` as `iou/training`, others as they are called."""
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self._folder))
        with self._writer.as_default(step=int(row["epoch"])):
            for name, value in row.items():
                if name not in _NOT_DRAWN and isinstance(value, int | float):
                    tf.summary.write(_tag(name, row), tf.constant(value, tf.float32), metadata=_scalar())
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()


def _scalar() -> Any:
    # As `tf.summary.scalar` does, which wants the package tensorboard; TensorBoard itself may be anywhere.
    kind = tf.compat.v1.SummaryMetadata
    return kind(plugin_data=kind.PluginData(plugin_name="scalars"), data_class=1)


def _tag(name: str, row: dict[str, Any]) -> str:
    if name.startswith("val_"):
        return f"{name.removeprefix('val_')}/validation"
    return f"{name}/training" if f"val_{name}" in row else name
