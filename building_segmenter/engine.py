"""Run a task: the engine's one entrance, used by the command line and the worker alike."""

from __future__ import annotations

import importlib
import importlib.abc
import os
import sys
from typing import Any

from building_segmenter import outputs, tasks
from building_segmenter.progress import Progress

_FUNCTIONS: dict[type[tasks.Task], tuple[str, str]] = {
    tasks.ExportChips: ("building_segmenter.chips.export", "export_chips"),
    tasks.TrainModel: ("building_segmenter.training.train", "train_model"),
    tasks.SegmentRaster: ("building_segmenter.inference.segment", "segment_raster"),
    tasks.DetectBuildings: ("building_segmenter.footprints.detect", "detect_buildings"),
    tasks.PolygonizeMask: ("building_segmenter.footprints.polygonize", "polygonize_mask"),
    tasks.RegularizeFootprints: ("building_segmenter.footprints.streaming", "regularize_footprints"),
    tasks.ExtractBuildings: ("building_segmenter.footprints.extract", "extract_buildings"),
    tasks.DescribeModel: ("building_segmenter.reports.model", "describe_model"),
    tasks.ExportModel: ("building_segmenter.inference.export", "export_model"),
}

_REPORTS: dict[type[tasks.Task], tuple[str, str]] = {
    tasks.ExportChips: ("building_segmenter.reports.chips", "write_contact_sheet"),
}
"""Reports on finished results, of tasks whose room lies above that of reports."""


def run(task: tasks.Task, progress: Progress) -> dict[str, Any]:
    """Run a task to its end and return its result: output paths and a few figures, ready for JSON.

    Modules are imported here and not earlier, so that a task starts without the libraries of the others, and
    Keras' backend, which is fixed at its import, is the one that the task needs.

    Raises:
        BuildingSegmenterError: What the task could not do, in the user's terms.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow" if isinstance(task, tasks.TrainModel) else "openvino"
    # TensorFlow uses oneDNN unasked on few processors only; without it, training takes two and a half times as long.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Importing openvino sends usage statistics unless this module is missing; the engine opens no connection unasked.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    # A process may train after it has cut chips.
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _NotNeeded)]
    if "keras" not in sys.modules and not isinstance(task, tasks.TrainModel):
        sys.meta_path.insert(0, _NotNeeded())
    if isinstance(task, tasks.PredictionTask):
        # Imported late as all that brings libraries with it.
        from building_segmenter import many_images

        sources = many_images.sources_of(task)
        if sources is not None:
            return many_images.run_many(task, sources, _run_one, progress)
    return _run_one(task, progress)


def _run_one(task: tasks.Task, progress: Progress) -> dict[str, Any]:
    outputs.check_outputs(task)
    module, function = _FUNCTIONS[type(task)]
    result: dict[str, Any] = getattr(importlib.import_module(module), function)(task, progress)
    report = getattr(task, "report", None)
    if type(task) in _REPORTS and report:
        module, function = _REPORTS[type(task)]
        getattr(importlib.import_module(module), function)(task, progress)
        result["report"] = report
    return result


class _NotNeeded(importlib.abc.MetaPathFinder):
    """Makes packages that Keras imports in passing look as if they were not installed.

    TensorFlow, which it only asks whether objects are its, costs seconds and 400 MB; requests tries out a socket.
    """

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Refuse the packages; leave all others to the next finder."""
        if fullname.partition(".")[0] in ("tensorflow", "requests"):
            raise ModuleNotFoundError(f"No module named {fullname!r}: prediction does not need it", name=fullname)
