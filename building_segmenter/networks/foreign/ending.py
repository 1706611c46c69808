"""What a network gives, told by how its graph ends; values are never looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

Ending = Literal["sigmoid", "softmax", "log-softmax", "logits"]
"""What the last operation that changes values is: one that gives probabilities, or a sum without bounds."""

_UNCHANGED = ("Convert", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Result")
_SUMS = (
    "Convolution",
    "GroupConvolution",
    "ConvolutionBackpropData",
    "GroupConvolutionBackpropData",
    "MatMul",
    "BatchNormInference",
)
_FULL_RANK = 4


def ending_of(node: Any, axis: int | None) -> Ending | None:
    """Return how a graph of OpenVINO ends.

    Args:
        node: The operation whose first output is the network's.
        axis: Of channels in that output; None if it has none.

    Returns:
        What it ends in, or None if that tells nothing: another operation comes last, or a softmax over another axis
        than that of channels, or behind a change of shape that hides which axis it is.
    """
    kind = str(node.get_type_name())
    if kind in _SUMS:
        return "logits"
    look = _LOOKS.get(kind)
    return look(node, axis) if look else None


def _sigmoid(node: Any, axis: int | None) -> Ending | None:
    return "sigmoid"


def _softmax(node: Any, axis: int | None) -> Ending | None:
    over = int(node.get_attributes()["axis"]) % len(node.get_output_partial_shape(0))
    if over != axis:
        return None
    return "log-softmax" if node.get_type_name() == "LogSoftmax" else "softmax"


def _unchanged(node: Any, axis: int | None) -> Ending | None:
    same = len(_shape(node.output(0))) == len(_shape(node.input_value(0)))
    same = same and _shape(node.output(0)) == _shape(node.input_value(0))
    return ending_of(_before(node), axis if same else None)


def _transposed(node: Any, axis: int | None) -> Ending | None:
    order = node.input_value(1).get_node()
    known = axis is not None and order.get_type_name() == "Constant"
    return ending_of(_before(node), int(order.get_data()[axis]) if known else None)


def _interpolated(node: Any, axis: int | None) -> Ending | None:
    # Means of probabilities are probabilities; a cubic curve may leave their range.
    smooth = node.get_attributes().get("mode") in ("nearest", "linear", "linear_onnx")
    return ending_of(_before(node), axis) if smooth else None


def _shifted(node: Any, axis: int | None) -> Ending | None:
    """Look at sums and products: with constants they leave logits what they are, but not probabilities."""
    parts = [node.input_value(place).get_node() for place in (0, 1)]
    rest = [part for part in parts if not _is_constant(part)]
    if len(rest) == 2 and node.get_type_name() == "Multiply":
        return None
    return "logits" if rest and all(ending_of(part, axis) == "logits" for part in rest) else None


def _is_constant(node: Any) -> bool:
    if node.get_type_name() == "Constant":
        return True
    return node.get_type_name() in ("Convert", "Reshape", "Unsqueeze") and _is_constant(_before(node))


def _before(node: Any) -> Any:
    return node.input_value(0).get_node()


def _shape(output: Any) -> str:
    return str(output.get_partial_shape())


_LOOKS: dict[str, Callable[[Any, int | None], Ending | None]] = {
    "Sigmoid": _sigmoid,
    "Softmax": _softmax,
    "SoftMax": _softmax,
    "LogSoftmax": _softmax,
    **{kind: _unchanged for kind in _UNCHANGED},
    "Transpose": _transposed,
    "Interpolate": _interpolated,
    "Add": _shifted,
    "Subtract": _shifted,
    "Multiply": _shifted,
}
