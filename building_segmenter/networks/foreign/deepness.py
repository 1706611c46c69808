"""The metadata that the QGIS plugin Deepness reads in ONNX files.

https://qgis-plugin-deepness.readthedocs.io/en/latest/creators/creators_add_metadata_to_model.html; the tile size has
one name there and another in the program, and the standardization is in the program only.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from building_segmenter.errors import ModelError

_SEGMENTOR = "segmentor"
_TELLING = ("model_type", "resolution", "standardization_mean", "seg_thresh")
"""Names that no other program is known to write."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class DeepnessFacts:
    """What the metadata say; None, or nothing, where they do not.

    Deepness divides bytes by 255, subtracts the means and divides by the deviations.

    Args:
        gsd: Ground pixel in metres.
        tile_size: Side of a tile in pixels.
        overlap: Share of a tile that it has in common with the next.
        threshold: Probability from which a class counts.
        names: Names of the classes by channel.
        means: Of each band, between 0 and 1.
        deviations: Of each band, likewise.
    """

    gsd: float | None = None
    tile_size: int | None = None
    overlap: float | None = None
    threshold: float | None = None
    names: tuple[str, ...] = ()
    means: tuple[float, ...] | None = None
    deviations: tuple[float, ...] | None = None


def read_deepness(metadata: Mapping[str, str], source: str) -> DeepnessFacts | None:
    """Return what the metadata of an ONNX file say to Deepness; None if they are not for it.

    Raises:
        ModelError: The model is none of segmentation, or a value is not of its kind.
    """
    if not any(name in metadata for name in _TELLING):
        return None
    values = _Values(metadata, source)
    kind = values.get(str, "model_type") or _SEGMENTOR
    if kind.casefold() != _SEGMENTOR:
        raise ModelError(
            f"The model {source} is a {kind}, says its metadata, and gives no probability for each pixel.",
            "Choose a model of segmentation (Segmentor).",
        )
    threshold = values.get(_share, "seg_thresh")
    return DeepnessFacts(
        gsd=values.get(_metres, "resolution"),
        tile_size=values.get(_pixels, "tile_size", "tiles_size"),
        overlap=values.get(_percent, "tiles_overlap"),
        # At 0 it decides nothing: the highest channel wins.
        threshold=threshold or None,
        names=values.get(_names, "class_names", "names") or (),
        means=values.get(_numbers, "standardization_mean"),
        deviations=values.get(_numbers, "standardization_std"),
    )


class _Values:
    def __init__(self, metadata: Mapping[str, str], source: str) -> None:
        self._metadata, self._source = metadata, source

    def get(self, kind: Callable[[Any], Value], *names: str) -> Value | None:
        """Return the first value there is of some names."""
        for name in names:
            if name in self._metadata:
                return self._parsed(name, kind)
        return None

    def _parsed(self, name: str, kind: Callable[[Any], Value]) -> Value:
        text = self._metadata[name]
        try:
            return kind(_loaded(text))
        except (ValueError, TypeError, AttributeError, SyntaxError, RecursionError, MemoryError) as error:
            raise ModelError(
                f"The metadata of the model {self._source} are damaged: {name} is {text[:80]!r} ({error}).",
                "Correct them with whoever made the model.",
            ) from error


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        # Older files have keys that are numbers. A word without quotes is itself.
        return ast.literal_eval(text) if text.strip().startswith(("{", "[", "(", "'")) else text


def _metres(value: Any) -> float:
    return _within(float(value) / 100.0, 1e-4, 1000.0)


def _pixels(value: Any) -> int:
    return int(_within(int(value), 16, 8192))


def _percent(value: Any) -> float:
    return _within(float(value) / 100.0, 0.0, 0.99)


def _share(value: Any) -> float:
    return _within(float(value), 0.0, 1.0)


def _within(number: float, low: float, high: float) -> float:
    if not low <= number <= high:
        raise ValueError("out of range")
    return number


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(float(one) for one in (value if isinstance(value, list | tuple) else [value]))


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(map(str, value))
    by_channel = {int(channel): str(name) for channel, name in value.items()}
    if sorted(by_channel) != list(range(len(by_channel))):
        raise ValueError("the channels are not 0, 1, 2 and so on")
    return tuple(by_channel[channel] for channel in sorted(by_channel))
