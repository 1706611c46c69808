"""What a model and its report say of the training: enough to repeat it."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from building_segmenter import __version__, tasks
from building_segmenter.chips.dataset import ChipDataset
from building_segmenter.training.datasets import TrainingData
from building_segmenter.training.diary import side_files


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


def command_line(options: tasks.TrainModel) -> str:
    """Return the command that repeats a run: its inputs and output, and all options that are not the default."""
    kind = type(options)
    given = {
        name: getattr(options, name)
        for name in tasks.options_of(kind)
        if name not in ("dataset", "output") and getattr(options, name) != tasks.default_of(kind, name)
    }
    words = ["python", "-m", "building_segmenter", "train", *options.dataset, options.output]
    for name, value in given.items():
        flag = name.replace("_", "-")
        words += [f"--{'' if value else 'no-'}{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return shlex.join(words)


def _dataset_record(dataset: ChipDataset) -> dict[str, Any]:
    # Of its manifest, which tells of every chip; several files of ArcGIS' are taken together.
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in side_files(dataset.folder))).hexdigest()
    return {
        "folder": dataset.folder.name,
        "format": dataset.format,
        "gsd": [round(side, 5) for side in dataset.gsd],
        "training_chips": len(dataset.split("train")),
        "validation_chips": len(dataset.split("validation")),
        "manifest_sha256": digest,
    }


def _named(value: Any) -> Any:
    if isinstance(value, list):
        return [_named(one) for one in value]
    return Path(value).name if isinstance(value, str) and ("/" in value or "\\" in value) else value
