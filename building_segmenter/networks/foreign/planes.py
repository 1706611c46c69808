"""Which axis of a network's input and output is what, told by their shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from building_segmenter.errors import InvalidParameterError, ModelError
from building_segmenter.networks.foreign.stated import Stated, parameters_missing

Shape = Sequence[int | None]
"""Sizes of a tensor's axes; None is free."""

_AXES = {"channels-first": 1, "channels-last": 3}
_MOST_BANDS = 4
"""An axis as short as that is of bands; no network takes images so small."""


@dataclass(frozen=True)
class ImagePlane:
    """How a network takes an image.

    Args:
        channels_first: Whether it is (batch, bands, height, width), instead of (batch, height, width, bands).
        bands: How many bands it has.
        size: Its side in pixels; None if that is free.
    """

    channels_first: bool
    bands: int
    size: int | None

    def shape(self, size: int) -> list[int]:
        """Return the shape of one image of a size."""
        return [1, self.bands, size, size] if self.channels_first else [1, size, size, self.bands]


def image_plane(shape: Shape, stated: Stated, source: str) -> ImagePlane:
    """Return how a network takes an image, by the shape of its input.

    Raises:
        ModelError: It takes no image, or one that is not square.
        InvalidParameterError: The shape does not tell where the bands are, or how many, and nor does the user; or they
            contradict each other.
    """
    if len(shape) != 4:
        raise ModelError(
            f"The model {source} takes no image: its input is {told(shape)}.",
            "Choose a model of segmentation whose input has an axis of images, bands, height and width each.",
        )
    axis = _axis_of_bands(shape, stated.layout, source)
    bands = shape[axis] or stated.bands
    if bands is None:
        raise parameters_missing(source, {"BANDS": f"how many bands it takes: its input is {told(shape)}"})
    sides = {side for side in ((shape[2], shape[3]) if axis == 1 else (shape[1], shape[2])) if side is not None}
    if len(sides) > 1:
        raise ModelError(
            f"The model {source} takes images of {told(shape)}, which are not square.",
            "Export it with a height that equals its width, or with free ones.",
        )
    return ImagePlane(axis == 1, bands, sides.pop() if sides else None)


def output_axis(shape: Shape, tile_size: int, source: str) -> int | None:
    """Return the axis of channels of a network's output for one tile; None if it has none.

    Raises:
        ModelError: The output is no plane as large as the tile, or of as many channels as pixels.
    """
    plane = (tile_size, tile_size)
    if tuple(shape) == (1, *plane):
        return None
    found = [axis for axis, sides in ((1, shape[2:4]), (3, shape[1:3])) if len(shape) == 4 and tuple(sides) == plane]
    if len(found) != 1 or shape[0] != 1 or not shape[found[0]]:
        raise ModelError(
            f"The model {source} turns a tile of {tile_size} x {tile_size} px into {told(shape)}, no plane of as many"
            " pixels for each class.",
            "Choose a model of segmentation, exported with an output of the input's size.",
        )
    return found[0]


def told(shape: Shape) -> str:
    """Return a shape in words."""
    return " x ".join("free" if size is None else str(size) for size in shape) or "one number"


def _axis_of_bands(shape: Shape, layout: str | None, source: str) -> int:
    short = [axis for axis in _AXES.values() if (size := shape[axis]) is not None and size <= _MOST_BANDS]
    if layout is None:
        if len(short) == 1:
            return short[0]
        raise parameters_missing(source, {"MODEL_LAYOUT": f"where the bands are: its input is {told(shape)}"})
    if len(short) == 1 and short[0] != _AXES[layout]:
        raise InvalidParameterError(
            f"MODEL_LAYOUT is {layout}, but the model {source} takes {told(shape)}.",
            "Leave it out, or give the other one.",
        )
    return _AXES[layout]
