"""Windows that slide over a plane, of convolutions and poolings: padding and the size of what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from building_segmenter.networks.onnx_export.graph import Plane


@dataclass(frozen=True)
class Window:
    """Where a window stands on a plane.

    Args:
        height: Rows that come out.
        width: Columns that come out.
        nodes: Attributes `strides` and `pads` of an ONNX node.
    """

    height: int
    width: int
    nodes: dict[str, Any]


def window_of(
    plane: Plane, size: Sequence[int], strides: Sequence[int], padding: str, dilation: Sequence[int] = (1, 1)
) -> Window:
    """Return the window of a layer.

    Keras' padding `same` gives ceil(size / stride) and puts the odd pixel of padding after the image. It is written
    out in numbers here, since it depends on the size of the image where the stride is not one.

    Args:
        plane: What the window slides over.
        size: Rows and columns of the window.
        strides: Steps down and across.
        padding: `same` or `valid`.
        dilation: Steps between the window's own rows and columns.
    """
    lengths: list[int] = []
    begins: list[int] = []
    ends: list[int] = []
    for length, side, stride, rate in zip((plane.height, plane.width), size, strides, dilation, strict=True):
        reach = (side - 1) * rate + 1
        steps = -(-length // stride) if padding == "same" else (length - reach) // stride + 1
        missing = max((steps - 1) * stride + reach - length, 0) if padding == "same" else 0
        lengths.append(steps)
        begins.append(missing // 2)
        ends.append(missing - missing // 2)
    return Window(lengths[0], lengths[1], {"strides": list(strides), "pads": begins + ends})
