"""What became of each of many images, kept in a file beside their outputs, so that a run need not do them again.

An image counts as done if its outputs are as they were written (size and time of change) and were made of the same
files, model, area and options by the same version. Whatever cannot be told so is done again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rasterio
from rasterio.errors import RasterioError

from building_segmenter import __version__, tasks
from building_segmenter.errors import BuildingSegmenterError
from building_segmenter.networks.shipped import default_model_path
from building_segmenter.resume import input_state
from building_segmenter.scratch import as_output_errors

RECORD = "images.json"

_NOT_PART_OF_THE_WORK = ("resume", "threads")


class Record:
    """The images of a run, and those of earlier ones with outputs in the same folder.

    Args:
        folder: Where outputs lie.
        parts: The tasks of the images.
        resume: Believe what an earlier run wrote. Otherwise everything is done again.

    Attributes:
        path: The file.
    """

    def __init__(self, folder: Path, parts: Sequence[tasks.PredictionTask], *, resume: bool) -> None:
        self.path = folder / RECORD
        self._common = _common_state(parts[0])
        self._kept = _read(self.path)
        if not resume:
            for part in parts:
                self._kept.pop(_key(part), None)
        self._states = {_key(part): _state(part, self._common) for part in parts}
        self._outcome: dict[str, list[Any]] = {"done": [], "skipped": [], "failed": []}

    def is_done(self, part: tasks.PredictionTask) -> bool:
        """Tell whether an image's outputs are whole and of the same work."""
        entry = self._kept.get(_key(part), {})
        work, outputs = self._states[_key(part)]["work"], entry.get("outputs")
        return bool(work) and entry.get("work") == work and bool(outputs) and outputs == _outputs(part)

    def pixels(self, part: tasks.PredictionTask) -> int:
        """Return how many pixels an image has, at least 1."""
        return max(1, int(self._states[_key(part)]["pixels"]))

    def done(self, part: tasks.PredictionTask, result: dict[str, Any]) -> None:
        """Keep that an image is done."""
        self._outcome["done"].append({"image": part.input, **result})
        entry = {"status": "done", "work": self._states[_key(part)]["work"], "outputs": _outputs(part)}
        self._keep(part, {**entry, "result": result})

    def skip(self, part: tasks.PredictionTask, reason: str) -> None:
        """Note that an image was left as it is."""
        self._outcome["skipped"].append({"image": part.input, "output": part.output, "reason": reason})

    def failed(self, part: tasks.PredictionTask, error: BuildingSegmenterError) -> None:
        """Keep that an image failed, and why."""
        facts = {"code": error.code, "message": error.message, "hint": error.hint}
        self._outcome["failed"].append({"image": part.input, **facts})
        self._keep(part, {"status": "failed", **facts})

    def outcome(self) -> dict[str, list[Any]]:
        """Return what was done, skipped and failed in this run."""
        return self._outcome

    def _keep(self, part: tasks.PredictionTask, entry: dict[str, Any]) -> None:
        self._kept[_key(part)] = {"image": part.input, **entry}
        text = json.dumps({"engine": __version__, "outputs": self._kept}, indent=1)
        unfinished = self.path.with_name(f".{self.path.name}.tmp")
        with as_output_errors(self.path):
            unfinished.write_text(text, encoding="utf-8")
            os.replace(unfinished, self.path)


def _key(part: tasks.PredictionTask) -> str:
    return os.path.abspath(part.output)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        outputs: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["outputs"]
    except (ValueError, KeyError, TypeError):
        # Of another program, or damaged: nothing is known then, and all is done again.
        return {}
    return outputs


def _common_state(part: tasks.PredictionTask) -> dict[str, Any]:
    """Return what all images have in common: options, model and area."""
    names = tasks.options_of(type(part)).items()
    settings = {name: getattr(part, name) for name, option in names if option.kind in tasks.SETTING_KINDS}
    for name in _NOT_PART_OF_THE_WORK:
        settings.pop(name)
    files = {"area": input_state(part.area), "model": input_state(str(part.model or default_model_path()))}
    return {"engine": __version__, "task": type(part).__name__, **settings, **files}


def _state(part: tasks.PredictionTask, common: dict[str, Any]) -> dict[str, Any]:
    """Return what an image's outputs depend on, None if it cannot be opened, and its number of pixels."""
    try:
        with rasterio.open(part.input) as dataset:
            # QGIS writes statistics beside any file that it shows.
            files = [input_state(name) for name in dataset.files if not name.endswith(".aux.xml")]
            pixels = dataset.width * dataset.height
    except RasterioError:
        return {"work": None, "pixels": 1}
    work = {**common, "input": files or [input_state(part.input)]}
    return {"work": json.loads(json.dumps(work)), "pixels": pixels}


def _outputs(part: tasks.PredictionTask) -> list[list[Any]] | None:
    """Return name, size and time of change of each output; None if one is missing."""
    named = tasks.options_of(type(part)).items()
    paths = [getattr(part, name) for name, option in named if option.kind in tasks.OUTPUT_KINDS and getattr(part, name)]
    if not all(os.path.isfile(path) for path in paths):
        return None
    return [[os.path.abspath(path), os.stat(path).st_size, os.stat(path).st_mtime_ns] for path in paths]
