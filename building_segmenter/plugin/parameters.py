"""Processing parameters made from the options of a task, so that names, defaults and limits are written once."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingParameterBand,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterDistance,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
    QgsUnitTypes,
)

from building_segmenter import tasks

RASTER = "INPUT"
"""The raster that bands and extents refer to."""

FOOTPRINTS = "FOOTPRINTS"
"""The layer that fields belong to."""

_POINTS = QgsProcessing.SourceType.TypeVectorPoint
_POLYGONS = QgsProcessing.SourceType.TypeVectorPolygon
_LINES = QgsProcessing.SourceType.TypeVectorLine
_INTEGER = QgsProcessingParameterNumber.Type.Integer
_DOUBLE = QgsProcessingParameterNumber.Type.Double


def parameters_of(task: type[tasks.Task]) -> list[QgsProcessingParameterDefinition]:
    """Return a task's parameters: inputs first, then settings, then outputs, as QGIS shows them."""
    options = tasks.options_of(task)
    order = sorted(options, key=lambda name: _rank(options[name].kind))
    return [parameter_of(name, options[name], tasks.default_of(task, name)) for name in order]


def parameter_of(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    """Return the parameter for one option."""
    make = _band if name == "band" else _MAKERS[option.kind]
    parameter = make(name.upper(), option, default)
    parameter.setHelp(option.help)
    if option.advanced:
        parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.Flag.FlagAdvanced)
    return parameter


def _rank(kind: str) -> int:
    if kind in tasks.OUTPUT_KINDS:
        return 2
    return 0 if kind in tasks.INPUT_KINDS and kind != "model" else 1


def _optional(option: tasks.Option, default: Any = None) -> bool:
    return not option.required and default is None


def _raster(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterRasterLayer(name, option.label, optional=_optional(option))


def _rasters(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    kind = QgsProcessing.SourceType.TypeRaster
    return QgsProcessingParameterMultipleLayers(name, option.label, kind, optional=_optional(option))


def _polygons(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterFeatureSource(name, option.label, [_POLYGONS], optional=_optional(option))


def _features(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    kinds = [_POLYGONS, _POINTS]
    return QgsProcessingParameterFeatureSource(name, option.label, kinds, optional=_optional(option))


def _field(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterField(
        name, option.label, parentLayerParameterName=FOOTPRINTS, optional=_optional(option)
    )


def _lines(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterFeatureSource(name, option.label, [_LINES, _POLYGONS], optional=_optional(option))


def _file(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterFile(name, option.label, optional=_optional(option))


def _model(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    parameter = QgsProcessingParameterFile(name, option.label, optional=_optional(option))
    endings = " ".join(f"*{suffix}" for suffix in option.suffixes or (".keras",))
    parameter.setFileFilter(f"Models ({endings});;All files (*)")
    return parameter


def _folders(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    folder = QgsProcessingParameterFile.Behavior.Folder
    label = f"{option.label} (several: separated by ;)"
    return QgsProcessingParameterFile(name, label, folder, optional=_optional(option))


def _number(name: str, option: tasks.Option, default: Any, kind: Any = _DOUBLE) -> QgsProcessingParameterDefinition:
    label = f"{option.label} [{option.unit.replace('m2', 'm²')}]" if option.unit else option.label
    parameter = QgsProcessingParameterNumber(name, label, kind, default, _optional(option, default))
    return _limited(parameter, option)


def _integer(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    return _number(name, option, default, _INTEGER)


def _distance(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    # Without a parent layer and with metres as the unit, the widget also takes feet and turns them into metres.
    parameter = QgsProcessingParameterDistance(name, option.label, default, optional=_optional(option, default))
    parameter.setDefaultUnit(QgsUnitTypes.DistanceUnit.DistanceMeters)
    parameter.setMetadata({"widget_wrapper": {"decimals": 3}})
    return _limited(parameter, option)


def _limited(parameter: QgsProcessingParameterNumber, option: tasks.Option) -> QgsProcessingParameterNumber:
    if option.minimum is not None:
        parameter.setMinimum(option.minimum)
    if option.maximum is not None:
        parameter.setMaximum(option.maximum)
    return parameter


def _choice(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterEnum(
        name,
        option.label,
        options=list(option.choices),
        defaultValue=default,
        optional=_optional(option, default),
        usesStaticStrings=True,
    )


def _flag(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterBoolean(name, option.label, default)


def _text(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterString(name, option.label, default, optional=_optional(option, default))


def _extent(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterExtent(name, option.label, optional=_optional(option))


def _bands(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterBand(
        name, option.label, parentLayerParameterName=RASTER, optional=_optional(option), allowMultiple=True
    )


def _band(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    # Optional although it has a default, because `qgis_process` 3.22 overlooks the default of a band.
    return QgsProcessingParameterBand(name, option.label, default, RASTER, optional=True)


def _raster_output(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterRasterDestination(
        name, option.label, optional=_optional(option), createByDefault=option.required
    )


def _polygons_output(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterVectorDestination(
        name, option.label, _POLYGONS, optional=_optional(option), createByDefault=option.required
    )


def _folder_output(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterFolderDestination(
        name, option.label, optional=_optional(option), createByDefault=option.required
    )


def _file_output(name: str, option: tasks.Option, default: Any) -> QgsProcessingParameterDefinition:
    endings = " ".join(f"*{suffix}" for suffix in option.suffixes)
    return QgsProcessingParameterFileDestination(
        name,
        option.label,
        fileFilter=f"{option.label} ({endings})",
        optional=_optional(option),
        createByDefault=option.required,
    )


_MAKERS = {
    "raster": _raster,
    "rasters": _rasters,
    "polygons": _polygons,
    "lines": _lines,
    "features": _features,
    "model": _model,
    "file": _file,
    "folders": _folders,
    "integer": _integer,
    "number": _number,
    "fraction": _number,
    "area": _number,
    "distance": _distance,
    "choice": _choice,
    "flag": _flag,
    "text": _text,
    "field": _field,
    "extent": _extent,
    "bands": _bands,
    "angles": _text,
    "numbers": _text,
    "raster-output": _raster_output,
    "polygons-output": _polygons_output,
    "folder-output": _folder_output,
    "model-output": _file_output,
    "html-output": _file_output,
    "picture-output": _file_output,
}
