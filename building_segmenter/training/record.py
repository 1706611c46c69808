"""What a model and its report say of the training: enough to repeat it."""

from __future__ import annotations

import csv
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from building_segmenter import __version__, tasks
from building_segmenter.chips.dataset import ChipDataset
from building_segmenter.training.datasets import TrainingData


def training_record(options: tasks.TrainModel, data: TrainingData, outcome: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a training, ready for JSON.

    A model travels: it tells names of files and folders, not where they lay on the machine that trained it.

    Args:
        options: Of the task.
        data: What was trained on.
        outcome: Further facts, of how it went.
    """
    named = {name: _named(value) for name, value in tasks.as_request(options)["options"].items()}
    return {
        "options": named,
        "datasets": [_dataset_record(one) for one in data.datasets],
        **outcome,
        "versions": {
            "building_segmenter": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        },
    }


def write_history(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the epochs as a table, a row each."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def _dataset_record(dataset: ChipDataset) -> dict[str, Any]:
    return {
        "folder": dataset.folder.name,
        "gsd": [round(side, 5) for side in dataset.gsd],
        "training_chips": len(dataset.split("train")),
        "validation_chips": len(dataset.split("validation")),
    }


def _named(value: Any) -> Any:
    if isinstance(value, list):
        return [_named(one) for one in value]
    return Path(value).name if isinstance(value, str) and ("/" in value or "\\" in value) else value
