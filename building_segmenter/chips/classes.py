"""The classes of a footprint layer: values that go into labels, and their names."""

from __future__ import annotations

import colorsys
from typing import Any

import geopandas
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from building_segmenter.chips.chip import BUILDING, IGNORE, ChipClass
from building_segmenter.errors import InvalidParameterError

CLASS_NAME = "building"

_MOST_CLASSES = 250
_HIGHEST = 65535
_FIRST_COLOR = (230, 57, 70)
_GOLDEN_ANGLE = 0.618034
# ArcGIS's Training Samples Manager keeps values and names in these two fields.
_VALUES, _NAMES = "classvalue", "classname"


def classes_of(
    frame: geopandas.GeoDataFrame, field: str | None, layer: str
) -> tuple[NDArray[np.uint16], tuple[ChipClass, ...]]:
    """Tell the class of every footprint of a layer.

    Whole numbers, also those written as text, are class values as they are. Other texts get the values 1, 2, ... in
    alphabetical order. All classes of the layer count, not only those over one raster, so that the exports of many
    rasters with one layer agree, and a rare class keeps its value.

    Args:
        frame: The layer.
        field: Its field of classes, or None: all are `building`, 1.
        layer: Its name, for messages.

    Returns:
        The class value of every row, 255 where the field is empty, and the classes by value.

    Raises:
        InvalidParameterError: There is no such field, or its values cannot be classes.
    """
    if field is None:
        return np.full(len(frame), BUILDING, np.uint16), (ChipClass(BUILDING, CLASS_NAME, _FIRST_COLOR),)
    column = _column(frame, field, layer)
    numbers = _numbers(column)
    if numbers is None:
        return _by_name(column.astype(str).str.strip().where(_filled(column)), field, layer)
    values = numbers.fillna(IGNORE).to_numpy()
    _check_numbers(numbers.dropna().unique(), field, layer)
    names = _given_names(frame, field, values)
    known = sorted({int(value) for value in numbers.dropna().unique()})
    return values.astype(np.uint16), tuple(ChipClass(v, names.get(v, str(v)), _color(v)) for v in known)


def _column(frame: geopandas.GeoDataFrame, field: str, layer: str) -> pd.Series[Any]:
    fields = [str(name) for name in frame.columns if name != frame.geometry.name]
    # Some formats change the case of field names.
    found = [name for name in fields if name == field] or [n for n in fields if n.casefold() == field.casefold()]
    if not found:
        raise InvalidParameterError(
            f"CLASS_FIELD is {field}; the footprints {layer} have no such field, but {', '.join(fields) or 'none'}.",
            "Name a field of the footprints, or leave CLASS_FIELD empty for one class.",
        )
    return frame[found[0]]


def _filled(column: pd.Series[Any]) -> pd.Series[Any]:
    return column.notna() & (column.astype(str).str.strip() != "")


def _numbers(column: pd.Series[Any]) -> pd.Series[Any] | None:
    """Return the column as numbers, NaN where empty, or None if it holds other texts."""
    numbers = pd.to_numeric(column.where(_filled(column)), errors="coerce").astype("float64")
    return None if bool((numbers.isna() & _filled(column)).any()) else numbers


def _check_numbers(values: NDArray[np.float64], field: str, layer: str) -> None:
    wrong = [v for v in values if v != int(v) or not 1 <= v <= _HIGHEST or v == IGNORE]
    if wrong:
        raise InvalidParameterError(
            f"CLASS_FIELD {field} of {layer} holds {wrong[0]:g}, which cannot be a class value.",
            f"Class values are whole numbers from 1 to {_HIGHEST}; 0 is ground and {IGNORE} unknown ground. Use a field"
            " of text, or other numbers.",
        )
    _check_count(len(values), field, layer)


def _check_count(count: int, field: str, layer: str) -> None:
    if count > _MOST_CLASSES:
        raise InvalidParameterError(
            f"CLASS_FIELD {field} of {layer} holds {count} different values.",
            f"It looks like an identifier; choose a field with at most {_MOST_CLASSES} classes.",
        )


def _by_name(texts: pd.Series[Any], field: str, layer: str) -> tuple[NDArray[np.uint16], tuple[ChipClass, ...]]:
    names = sorted(texts.dropna().unique())
    _check_count(len(names), field, layer)
    values = texts.map({name: value for value, name in enumerate(names, start=1)}).fillna(IGNORE)
    classes = tuple(ChipClass(value, name, _color(value)) for value, name in enumerate(names, start=1))
    return values.to_numpy().astype(np.uint16), classes


def _given_names(frame: geopandas.GeoDataFrame, field: str, values: NDArray[np.float64]) -> dict[int, str]:
    named = [name for name in frame.columns if str(name).casefold() == _NAMES]
    if field.casefold() != _VALUES or not named:
        return {}
    names = frame[named[0]]
    return {int(v): str(name).strip() for v, name in zip(values, names, strict=True) if _is_text(name) and v != IGNORE}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _color(value: int) -> tuple[int, int, int]:
    """Return a colour that differs well from those of the neighbouring values."""
    if value == BUILDING:
        return _FIRST_COLOR
    red, green, blue = colorsys.hsv_to_rgb((value * _GOLDEN_ANGLE) % 1.0, 0.65, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)
