"""What the user says of a model that does not say it itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from building_segmenter.errors import InvalidParameterError
from building_segmenter.tasks import SegmentationTask


@dataclass(frozen=True)
class Stated:
    """The parameters MODEL_*, which describe a model from elsewhere; None is not stated.

    Args:
        gsd: Ground pixel in metres of the images that it was trained on.
        tile_size: Side of a tile in pixels.
        scaling: How pixel values are brought to those that the network takes; see `scaling.scaling_of`.
        means: Subtracted from each band after that, one number or one a band.
        deviations: What each band is divided by after that, likewise.
        layout: channels-first or channels-last, of the network's input.
        output: probabilities, logits-sigmoid or logits-softmax: what the network gives.
        wanted: Name of a class, its channel counted from 1, or `all`.
        bands: How many bands of the image were chosen.
    """

    gsd: float | None = None
    tile_size: int | None = None
    scaling: str | None = None
    means: tuple[float, ...] | None = None
    deviations: tuple[float, ...] | None = None
    layout: str | None = None
    output: str | None = None
    wanted: str | None = None
    bands: int | None = None


_AUTO = "auto"
_PARAMETERS = {
    "gsd": "model_gsd",
    "tile_size": "model_tile_size",
    "scaling": "model_scaling",
    "means": "model_means",
    "deviations": "model_deviations",
    "layout": "model_layout",
    "output": "model_output",
    "wanted": "model_class",
}


def stated_in(options: SegmentationTask) -> Stated:
    """Return what the options of a task state of its model."""
    values = {name: getattr(options, parameter) for name, parameter in _PARAMETERS.items()}
    said = {name: None if value == _AUTO else value for name, value in values.items()}
    return Stated(**said, bands=len(options.bands) if options.bands else None)


def refuse_stated(stated: Stated, source: str) -> None:
    """Check that nothing is stated of a model that says everything itself.

    Raises:
        InvalidParameterError: Something is; the message names it.
    """
    given = [parameter.upper() for name, parameter in _PARAMETERS.items() if getattr(stated, name) is not None]
    if given:
        raise InvalidParameterError(
            f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} given, but the model {source} has the facts of"
            " its training in its file.",
            "Leave out all parameters MODEL_*: they are for models from elsewhere.",
        )


def parameters_missing(source: str, missing: Mapping[str, str]) -> InvalidParameterError:
    """Return the error for facts that neither the file nor the user states.

    Args:
        source: The model file.
        missing: What is not known in words, by the parameter that tells it.
    """
    return InvalidParameterError(
        f"The file of the model {source} does not say {', nor '.join(missing.values())}.",
        f"Give {' and '.join(missing)}. Whoever made the model knows; a wrong value gives wrong results silently.",
    )
