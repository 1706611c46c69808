"""From the values of pixels to those that a network takes."""

from __future__ import annotations

from dataclasses import dataclass

from building_segmenter.errors import InvalidParameterError

AS_THEY_ARE = "any"
"""Data type in the facts of a model that takes values of pixels as they are in the image."""

_BYTES = 255.0
_FACTORS = {
    "none": (1.0, 0.0),
    "unit": (1.0 / _BYTES, 0.0),
    "symmetric": (2.0 / _BYTES, -1.0),
    "imagenet": (1.0 / _BYTES, 0.0),
}
_IMAGENET_MEANS, _IMAGENET_DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue between 0 and 1, as all networks of torchvision and timm have them."""


@dataclass(frozen=True)
class Scaling:
    """A linear map of each band: `value * scale + offset`.

    Args:
        scale: Factor of each band.
        offset: Summand of each band.
        of_bytes: Whether it is meant for values 0..255; otherwise for values as they are in the image.
        statistics: Mean and standard deviation of each band of the training images, in pixel values, if known.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    of_bytes: bool
    statistics: tuple[tuple[float, float], ...] | None = None


def scaling_of(
    kind: str, means: tuple[float, ...] | None, deviations: tuple[float, ...] | None, bands: int, source: str
) -> Scaling:
    """Return the map for a kind of scaling, and means and deviations of what comes out of it.

    Args:
        kind: none: values as they are; unit: bytes divided by 255; symmetric: bytes from -1 to 1; imagenet: unit, with
            the means and deviations of ImageNet.
        means: Subtracted afterwards, one number or one a band.
        deviations: What is divided by afterwards, likewise.
        bands: How many bands the network takes.
        source: The model file, for messages.

    Raises:
        InvalidParameterError: The numbers are not as many as bands, or a deviation is not above 0.
    """
    if kind == "imagenet":
        if means or deviations or bands != len(_IMAGENET_MEANS):
            raise InvalidParameterError(
                f"MODEL_SCALING is imagenet, but the model {source} takes {bands} bands"
                f"{', and means or deviations are given' if means or deviations else ''}.",
                "It has means and deviations of its own, for red, green and blue. With others: MODEL_SCALING unit, and"
                " MODEL_MEANS and MODEL_DEVIATIONS.",
            )
        means, deviations = _IMAGENET_MEANS, _IMAGENET_DEVIATIONS
    factor, summand = _FACTORS[kind]
    mean = _per_band("MODEL_MEANS", means or (0.0,), bands, source)
    deviation = _per_band("MODEL_DEVIATIONS", deviations or (1.0,), bands, source)
    if min(deviation) <= 0.0:
        raise InvalidParameterError(
            f"A deviation of the model {source} is {min(deviation):g}; values are divided by it.",
            "Give MODEL_DEVIATIONS above 0.",
        )
    pairs = tuple(zip(mean, deviation, strict=True))
    # Nothing was measured where nothing is subtracted: those are no statistics of images.
    known = any(pair != (0.0, 1.0) for pair in pairs)
    return Scaling(
        tuple(factor / one for one in deviation),
        tuple((summand - one) / other for one, other in pairs),
        kind != "none",
        tuple(((one - summand) / factor, other / factor) for one, other in pairs) if known else None,
    )


def _per_band(name: str, numbers: tuple[float, ...], bands: int, source: str) -> tuple[float, ...]:
    if len(numbers) not in (1, bands):
        raise InvalidParameterError(
            f"{name} has {len(numbers)} numbers, but the model {source} takes {bands} bands.",
            "Give one number for all bands, or one for each.",
        )
    return numbers if len(numbers) == bands else numbers * bands
