"""What an option of a task is: its kind, default, unit, limits and help, and the check of a value against them.

Read by both halves (QGIS's Python and the engine): Python 3.9 syntax, standard library only.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from building_segmenter.errors import InvalidParameterError

INPUT_KINDS = ("raster", "rasters", "polygons", "lines", "features", "model", "file", "folders")
OUTPUT_KINDS = ("raster-output", "polygons-output", "folder-output", "model-output", "html-output", "picture-output")
SETTING_KINDS = (
    "integer",
    "number",
    "distance",
    "area",
    "fraction",
    "choice",
    "flag",
    "text",
    "field",
    "extent",
    "bands",
    "angles",
    "numbers",
)


@dataclass(frozen=True)
class Option:
    """What every front end needs to know of one option, beside its name and default.

    Args:
        kind: One of `INPUT_KINDS`, `OUTPUT_KINDS` or `SETTING_KINDS`. `distance` is metres, `area` square
            metres, `fraction` 0..1.
        label: A few words, as in a dialog.
        help: One or two sentences with the unit and what changes when the value does.
        required: The user must give a value. Options that are neither required nor have a default may be None.
        minimum: Smallest allowed value of a number.
        maximum: Largest allowed value of a number.
        choices: The allowed words of a `choice`.
        advanced: Hidden at first in the Toolbox.
        unit: The unit of a number, as shown to users.
        suffixes: File name endings that an output may have; the first is the default.
    """

    kind: str
    label: str
    help: str
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    advanced: bool = False
    unit: str = ""
    suffixes: tuple[str, ...] = ()


def option(default: Any, kind: str, label: str, help: str, **facts: Any) -> Any:
    """Return a dataclass field for an option with a default; see `Option` for the facts."""
    return field(default=default, metadata={"option": Option(kind, label, help, **facts)})


def required(kind: str, label: str, help: str, **facts: Any) -> Any:
    """Return a dataclass field for an option that the user must give."""
    return option(None, kind, label, help, required=True, **facts)


@dataclass(frozen=True)
class Task:
    """Base of all tasks: checks the values it is made with; an empty value stands for the default.

    Raises:
        InvalidParameterError: A required option is missing, or a value is out of range or of the wrong kind.
    """

    def __post_init__(self) -> None:
        """Check every value against its option."""
        for name, option in options_of(type(self)).items():
            value = getattr(self, name)
            if value is None or value in ("", (), []):
                value = default_of(type(self), name)
            object.__setattr__(self, name, _checked(name, option, value))
        self._check_together()

    def _check_together(self) -> None:
        """Check what depends on more than one option."""


def options_of(task: type[Task]) -> dict[str, Option]:
    """Return the options of a task by field name, in order: inputs, outputs and settings as declared."""
    return {f.name: f.metadata["option"] for f in dataclasses.fields(task)}


def default_of(task: type[Task], name: str) -> Any:
    """Return the default of a task's option; None where it has none."""
    return next(f.default for f in dataclasses.fields(task) if f.name == name)


def _checked(name: str, option: Option, value: Any) -> Any:
    shown = name.upper()
    if value is None:
        if option.required:
            raise InvalidParameterError(f"{shown} is missing.", f"{option.label}: {option.help}")
        return None
    try:
        return _CHECKS[option.kind](option, value)
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(f"{shown} is {value!r}: {error}.", f"{option.label}: {option.help}") from None


def _number(option: Option, value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("it must be a finite number")
    low, high = option.minimum, option.maximum
    unit = f" {option.unit}" if option.unit else ""
    if low is not None and number < low:
        raise ValueError(f"it must be at least {low:g}{unit}")
    if high is not None and number > high:
        raise ValueError(f"it must be at most {high:g}{unit}")
    return number


def _integer(option: Option, value: Any) -> int:
    number = _number(option, value)
    if isinstance(value, bool) or number != int(number):
        raise ValueError("it must be a whole number")
    return int(number)


def _flag(option: Option, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it must be true or false")
    return value


def _choice(option: Option, value: Any) -> str:
    if value not in option.choices:
        raise ValueError(f"it must be one of {', '.join(option.choices)}")
    return str(value)


def _text(option: Option, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it must be text")
    return value


def _texts(option: Option, value: Any) -> tuple[str, ...]:
    values = (value,) if isinstance(value, str) else tuple(value)
    return tuple(_text(option, one) for one in values)


def _extent(option: Option, value: Any) -> tuple[float, ...]:
    extent = tuple(_number(option, number) for number in value)
    if len(extent) != 4:
        raise ValueError("it must be the four numbers XMIN YMIN XMAX YMAX")
    if extent[0] >= extent[2] or extent[1] >= extent[3]:
        raise ValueError("XMIN must be below XMAX and YMIN below YMAX")
    return extent


def _bands(option: Option, value: Any) -> tuple[int, ...]:
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    bands = tuple(_integer(option, word) for word in words)
    if min(bands) < 1:
        raise ValueError("bands are counted from 1")
    return bands


def _numbers(option: Option, value: Any) -> tuple[float, ...]:
    words = value.replace(",", " ").replace(";", " ").split() if isinstance(value, str) else value
    return tuple(_number(option, word) for word in words)


_CHECKS = {
    **{kind: _text for kind in (*INPUT_KINDS, *OUTPUT_KINDS, "text", "field")},
    **{kind: _number for kind in ("number", "distance", "area", "fraction")},
    "folders": _texts,
    "rasters": _texts,
    "integer": _integer,
    "choice": _choice,
    "flag": _flag,
    "extent": _extent,
    "bands": _bands,
    "angles": _numbers,
    "numbers": _numbers,
}
