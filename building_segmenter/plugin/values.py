"""The values of an algorithm's parameters as the options of a task."""

from __future__ import annotations

import os
from typing import Any, Optional

from qgis.core import (
    NULL,
    QgsCoordinateReferenceSystem,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsReferencedRectangle,
)

from building_segmenter import tasks
from building_segmenter.errors import InvalidParameterError, NoOverlapError
from building_segmenter.plugin.layers import (
    input_not_found,
    names_many,
    raster_source,
    raster_sources,
    vector_source,
)
from building_segmenter.plugin.outputs import stated_path
from building_segmenter.plugin.parameters import RASTER

_PLACEHOLDER = "checked later"
_VECTORS = ("polygons", "lines", "features")
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class TaskValues:
    """Reads the parameters of one run.

    Args:
        algorithm: Gives access to the values.
        task: The task whose options they are.
        parameters: As Processing hands them over.
        context: As Processing hands it over.
    """

    def __init__(
        self, algorithm: QgsProcessingAlgorithm, task: type[tasks.Task], parameters: dict, context: QgsProcessingContext
    ) -> None:
        self._algorithm = algorithm
        self._task = task
        self._parameters = parameters
        self._context = context
        self._layers: dict[str, Any] = {}

    def check(self) -> None:
        """Build the task without its layers, so that a wrong value is told before anything is read.

        Raises:
            BuildingSegmenterError: A setting is out of range, contradicts another, or an input does not exist.
        """
        options = {}
        for name, option in tasks.options_of(self._task).items():
            if option.kind in tasks.SETTING_KINDS and option.kind != "extent":
                options[name] = self._setting(name, option)
            elif self._given(name) and (option.required or option.kind in ("raster", "rasters")):
                options[name] = _PLACEHOLDER
            if option.kind == "extent" and self._given(name) and self.has_many():
                self._check_extent_of_many(name.upper())
            if name == "input" and self.has_many():
                continue
            if option.kind in ("raster", *_VECTORS, "model", "file") and self._given(name):
                self._check_input(name.upper(), option.kind)
        self._task(**options)

    def has_many(self) -> bool:
        """Tell whether the images are several: IMAGES, or INPUT with a folder, a pattern or a list."""
        kinds = tasks.options_of(self._task)
        return any(
            self._given(name)
            if option.kind == "rasters"
            else "images" in kinds and name == "input" and self._names_many(name)
            for name, option in kinds.items()
        )

    def has_folder(self) -> bool:
        """Tell whether each of several images has an output of its own."""
        return self.has_many() and self._setting("combine", tasks.options_of(self._task)["combine"]) != "mosaic"

    def known_to_qgis(self) -> dict:
        """Return the parameters without images in the plural, of which QGIS would say that they are no layer."""
        many = [name.upper() for name, option in tasks.options_of(self._task).items() if option.kind == "rasters"]
        if many and self._names_many("input"):
            many.append(RASTER)
        return {key: value for key, value in self._parameters.items() if key not in many}

    def _names_many(self, name: str) -> bool:
        return names_many(self._algorithm, self._parameters, name.upper(), self._context)

    def read_layers(self, feedback: QgsProcessingFeedback) -> None:
        """Read rasters and extents from layers of the project; call in the main thread.

        Raises:
            BuildingSegmenterError: A raster does not exist, or the engine cannot open it.
            NoOverlapError: The extent does not reach the raster's CRS.
        """
        for name, option in tasks.options_of(self._task).items():
            key = name.upper()
            if option.kind == "rasters" and self._given(name):
                self._layers[name] = raster_sources(self._algorithm, self._parameters, key, self._context, feedback)
            elif name == "input" and self.has_many():
                self._layers[name] = self._parameters.get(key)
            elif option.kind == "raster" and self._given(name):
                layer = self._algorithm.parameterAsRasterLayer(self._parameters, name.upper(), self._context)
                self._layers[name] = raster_source(layer, self._parameters[name.upper()], name.upper(), feedback)
            elif option.kind == "extent" and self._given(name):
                self._layers[name] = self._extent(name)

    def options(self, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Return the task's options, checked; layers without a file are exported.

        Raises:
            BuildingSegmenterError: A layer does not exist, or a value is not allowed.
        """
        options = dict(self._layers)
        for name, option in tasks.options_of(self._task).items():
            value = options[name] if name in options else self._value(name, option, feedback)
            if value is not None:
                options[name] = value
        if "resume" in tasks.options_of(self._task) and not stated_path(self._parameters.get("OUTPUT")):
            # Nobody would find a temporary output again to go on with.
            options["resume"] = False
        return tasks.as_request(self._task(**options))["options"]

    def _value(self, name: str, option: tasks.Option, feedback: QgsProcessingFeedback) -> Any:
        key, parameters, context = name.upper(), self._parameters, self._context
        if option.kind in tasks.SETTING_KINDS:
            return self._setting(name, option)
        if not self._given(name) and not option.required:
            return None
        if option.kind in _VECTORS:
            return vector_source(self._algorithm, parameters, key, context, feedback)
        if option.kind == "folders":
            return self._folders(key)
        if option.kind in ("raster-output", "polygons-output"):
            return self._algorithm.parameterAsOutputLayer(parameters, key, context) or None
        if option.kind in tasks.OUTPUT_KINDS:
            return self._algorithm.parameterAsFileOutput(parameters, key, context) or None
        return self._algorithm.parameterAsFile(parameters, key, context) or None

    def _setting(self, name: str, option: tasks.Option) -> Any:
        key, parameters, context = name.upper(), self._parameters, self._context
        if not self._given(name):
            return None
        raw = parameters[key]
        if isinstance(raw, str):
            # As it is, so that the task refuses what it cannot read; QGIS would take it for the default.
            return _from_text(raw, option)
        if name == "band":
            return self._algorithm.parameterAsInt(parameters, key, context)
        if option.kind in ("integer", "number", "distance", "area", "fraction"):
            return self._algorithm.parameterAsDouble(parameters, key, context)
        if option.kind == "choice":
            return self._algorithm.parameterAsEnumString(parameters, key, context)
        if option.kind == "flag":
            return self._algorithm.parameterAsBoolean(parameters, key, context)
        if option.kind == "bands":
            return self._algorithm.parameterAsInts(parameters, key, context)
        return self._algorithm.parameterAsString(parameters, key, context)

    def _given(self, name: str) -> bool:
        value = self._parameters.get(name.upper())
        return value is not None and value != NULL and value != "" and value != []

    def _check_input(self, key: str, kind: str) -> None:
        if kind == "raster":
            found = self._algorithm.parameterAsRasterLayer(self._parameters, key, self._context) is not None
        elif kind in _VECTORS:
            found = self._algorithm.parameterAsSource(self._parameters, key, self._context) is not None
        else:
            path = self._algorithm.parameterAsFile(self._parameters, key, self._context)
            found = os.path.isfile(path) or (kind == "model" and path == tasks.SHIPPED_MODEL)
        if not found:
            raise input_not_found(self._parameters[key], key)

    def _extent(self, name: str) -> Optional[list[float]]:
        key, parameters, context = name.upper(), self._parameters, self._context
        if self.has_many():
            self._check_extent_of_many(key)
            layer = None
        else:
            layer = self._algorithm.parameterAsRasterLayer(parameters, RASTER, context)
        crs = layer.dataProvider().crs() if layer is not None and layer.isValid() else QgsCoordinateReferenceSystem()
        box = self._algorithm.parameterAsExtent(parameters, key, context, crs)
        if box.isNull() or box.isEmpty():
            raise InvalidParameterError(
                f"{key} is empty, or cannot be transformed to the CRS of {RASTER}.",
                "Give it as XMIN,XMAX,YMIN,YMAX [EPSG:CODE].",
            )
        if layer is not None and not layer.extent().intersects(box):
            raise NoOverlapError(
                f"{key} lies outside {RASTER}.", "Check the order XMIN,XMAX,YMIN,YMAX and the CRS of the extent."
            )
        return [box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()]

    def _check_extent_of_many(self, key: str) -> None:
        """Refuse an extent with a CRS of its own: what CRS many images have, only the engine finds out."""
        crs = self._algorithm.parameterAsExtentCrs(self._parameters, key, self._context)
        if isinstance(self._parameters[key], QgsReferencedRectangle) or crs.isValid():
            raise InvalidParameterError(
                f"{key} has a CRS, and what CRS several images have is not known before the run.",
                "Give it as XMIN,XMAX,YMIN,YMAX in the CRS of the images, without [EPSG:CODE]; or give AREA instead.",
            )

    def _folders(self, key: str) -> list[str]:
        text = self._algorithm.parameterAsFile(self._parameters, key, self._context)
        if os.path.isdir(text):
            return [text]
        return [folder.strip() for folder in text.split(";") if folder.strip()]


def _from_text(text: str, option: tasks.Option) -> Any:
    if option.kind == "flag":
        return _FLAGS.get(text.strip().lower(), text)
    return text.replace(";", ",") if option.kind == "bands" else text
