"""The contract of all front ends: each task's options, their defaults, units, limits and help texts.

The command line, the worker and the Processing algorithms build these objects and nothing else, so a default
is written once. Read by both halves (QGIS's Python and the engine): Python 3.9 syntax, standard library only.

Lengths and areas are ground metres whatever the CRS of a layer. Vector inputs are paths that OGR opens; a layer
of a file with several is named as in QGIS, `path|layername=NAME`. Extents are `(xmin, ymin, xmax, ymax)` in the
CRS of the raster.
"""

from __future__ import annotations

from typing import Any

from building_segmenter.errors import InvalidParameterError
from building_segmenter.options import (
    INPUT_KINDS,
    OUTPUT_KINDS,
    SETTING_KINDS,
    Option,
    Task,
    default_of,
    options_of,
)
from building_segmenter.tasks.buildings import DetectBuildings, ExtractBuildings, SegmentRaster
from building_segmenter.tasks.chips import ExportChips
from building_segmenter.tasks.models import DescribeModel, ExportModel
from building_segmenter.tasks.names import LAYER_MARK, SHIPPED_MODEL, VECTOR_SUFFIXES
from building_segmenter.tasks.polygons import PolygonizeMask, RegularizeFootprints
from building_segmenter.tasks.prediction import PredictionTask, SegmentationTask
from building_segmenter.tasks.training import TrainModel

__all__ = [
    "INPUT_KINDS",
    "LAYER_MARK",
    "OUTPUT_KINDS",
    "SETTING_KINDS",
    "SHIPPED_MODEL",
    "TASKS",
    "VECTOR_SUFFIXES",
    "DescribeModel",
    "DetectBuildings",
    "ExportChips",
    "ExportModel",
    "ExtractBuildings",
    "Option",
    "PolygonizeMask",
    "PredictionTask",
    "RegularizeFootprints",
    "SegmentRaster",
    "SegmentationTask",
    "Task",
    "TrainModel",
    "as_request",
    "build_task",
    "default_of",
    "options_of",
]

TASKS: dict[str, type[Task]] = {
    "chips": ExportChips,
    "train": TrainModel,
    "segment": SegmentRaster,
    "detect": DetectBuildings,
    "polygonize": PolygonizeMask,
    "regularize": RegularizeFootprints,
    "extract": ExtractBuildings,
    "model describe": DescribeModel,
    "model export": ExportModel,
}
"""Task name on the command line and in a worker's request -> its options."""


def build_task(name: str, options: dict[str, Any]) -> Task:
    """Make the task `name` from a mapping of option names to values, as a request carries them.

    Raises:
        InvalidParameterError: The task or an option is unknown, or a value is not allowed.
    """
    if name not in TASKS:
        raise InvalidParameterError(f"There is no task {name!r}.", f"Known tasks: {', '.join(TASKS)}.")
    unknown = sorted(set(options) - set(options_of(TASKS[name])))
    if unknown:
        known = ", ".join(key.upper() for key in options_of(TASKS[name]))
        raise InvalidParameterError(
            f"The task {name} has no parameter {', '.join(key.upper() for key in unknown)}.", f"It has: {known}."
        )
    return TASKS[name](**options)


def as_request(task: Task) -> dict[str, Any]:
    """Return a task as the JSON-ready mapping `{"task": NAME, "options": {...}}` that `build_task` reads."""
    name = next(key for key, kind in TASKS.items() if type(task) is kind)
    options = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(task).items()}
    return {"task": name, "options": options}
