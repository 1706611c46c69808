"""Layers across the border: what the engine, which knows nothing of QGIS, can open itself."""

from __future__ import annotations

import glob
import os
from typing import Any, Optional

from qgis.core import (
    QgsMapLayer,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProviderRegistry,
    QgsRasterLayer,
)

from building_segmenter.errors import BuildingSegmenterError, InputNotFoundError, InputUnreadableError
from building_segmenter.tasks import LAYER_MARK

VECTOR_FORMATS = ["gpkg", "shp", "geojson", "json", "fgb", "gml", "kml", "sqlite", "gdb", "tab", "parquet"]
"""Endings of vector files that the engine opens as they are; all else is exported to a GeoPackage first."""


def raster_source(layer: Optional[QgsRasterLayer], value: Any, name: str, feedback: QgsProcessingFeedback) -> str:
    """Return what GDAL opens for a raster layer: a path, a VRT, `/vsicurl/...`, or a subdataset.

    Args:
        layer: The layer that Processing found, or None.
        value: What the user gave, for error messages.
        name: The parameter's name.
        feedback: Hears of warnings.

    Raises:
        InputNotFoundError: There is no such layer or file.
        InputUnreadableError: It is no raster, or none that GDAL opens.
    """
    if layer is None:
        raise input_not_found(value, name)
    if not layer.isValid():
        raise InputUnreadableError(f"{name}, {layer.source()}, cannot be read.", "Check that it opens in QGIS.")
    if layer.providerType() != "gdal":
        raise InputUnreadableError(
            f"{name}, {layer.name()}, is a layer of the kind {layer.providerType()}, which has no file.",
            "Save the part of it that you need as GeoTIFF (Export > Save As), and use that.",
        )
    parts = QgsProviderRegistry.instance().decodeUri("gdal", layer.source())
    if parts.get("openOptions"):
        raise InputUnreadableError(
            f"{name}, {layer.name()}, is opened with options of its own: {', '.join(parts['openOptions'])}.",
            "Make a VRT with these options (Raster > Miscellaneous > Build virtual raster), and use that.",
        )
    _warn_of_other_crs(layer, feedback)
    return layer.source()


def names_many(
    algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], name: str, context: QgsProcessingContext
) -> bool:
    """Tell whether a raster parameter was given a folder, a pattern or a list of files, which the engine looks into.

    What QGIS opens as a layer is one raster, as ever.
    """
    value = parameters.get(name)
    if not isinstance(value, str) or not _may_name_many(value):
        return False
    layer = algorithm.parameterAsRasterLayer(parameters, name, context)
    return layer is None or not layer.isValid()


def _may_name_many(value: str) -> bool:
    if os.path.isfile(value):
        return value.lower().endswith(".txt")
    return os.path.isdir(value) or (glob.has_magic(value) and not value.startswith(("/vsi", "http:", "https:", "<")))


def raster_sources(
    algorithm: QgsProcessingAlgorithm,
    parameters: dict[str, Any],
    name: str,
    context: QgsProcessingContext,
    feedback: QgsProcessingFeedback,
) -> list[str]:
    """Return what GDAL opens for each raster of a parameter of several; names that are no layer go to the engine.

    These are folders, patterns, lists of files, and files that cannot be read, which do not stop the others.
    """
    value = parameters[name]
    sources = []
    for one in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(one, str) and (_may_name_many(one) or os.path.isfile(one)):
            sources.append(one)
            continue
        found = algorithm.parameterAsLayerList({name: [one]}, name, context)
        if found:
            sources.append(raster_source(found[0], one, name, feedback))
        else:
            sources.append(str(one))
    return sources


def vector_source(
    algorithm: QgsProcessingAlgorithm,
    parameters: dict[str, Any],
    name: str,
    context: QgsProcessingContext,
    feedback: QgsProcessingFeedback,
) -> Optional[str]:
    """Return `path` or `path|layername=NAME` for a vector parameter, exported if it has no file as it is.

    Selections, filters, and layers in memory or a database are exported to a temporary GeoPackage.

    Raises:
        InputNotFoundError: There is no such layer or file.
    """
    if parameters.get(name) in (None, ""):
        return None
    if algorithm.parameterAsSource(parameters, name, context) is None:
        raise input_not_found(parameters[name], name)
    path, layer = algorithm.parameterAsCompatibleSourceLayerPathAndLayerName(
        parameters, name, context, VECTOR_FORMATS, "gpkg", feedback
    )
    original = algorithm.parameterAsVectorLayer(parameters, name, context)
    if original is not None and original.source().startswith(path):
        _warn_of_other_crs(original, feedback)
        if original.isModified():
            feedback.pushWarning(f"{original.name()} has unsaved edits, which are not used: save them and run again.")
    return f"{path}{LAYER_MARK}{layer}" if layer else path


def _warn_of_other_crs(layer: QgsMapLayer, feedback: QgsProcessingFeedback) -> None:
    if layer.crs() != layer.dataProvider().crs():
        feedback.pushWarning(
            f"{layer.name()} has {layer.crs().authid() or 'no CRS'} in this project, but another CRS, or none, in its"
            " file, and the file's counts here. To change the file, use Assign projection."
        )


def input_not_found(value: Any, name: str) -> BuildingSegmenterError:
    """Return the error for an input that does not exist, or that QGIS cannot read."""
    if isinstance(value, str) and os.path.exists(value):
        return InputUnreadableError(
            f"{name}, {value}, cannot be read.",
            "Check that it opens in QGIS: it may be damaged, or of another kind.",
        )
    shown = value if isinstance(value, str) else "the layer"
    return InputNotFoundError(f"{name}, {shown}, does not exist.", "Check the path, or the name of the layer.")
