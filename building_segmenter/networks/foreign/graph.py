"""A foreign network between pixel values and probabilities, as one graph of OpenVINO."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino
import openvino.opset13 as ops

from building_segmenter.errors import ModelError
from building_segmenter.networks.foreign.classes import Activation, Selection
from building_segmenter.networks.foreign.planes import ImagePlane
from building_segmenter.networks.foreign.scaling import Scaling

_FLOATS = ("f32", "f16", "bf16", "f64")
_BYTE = "u8"


def read_graph(data: bytes, source: str) -> Any:
    """Return an ONNX file, already checked, as an `openvino.Model`.

    Raises:
        ModelError: It cannot be read, has several inputs or outputs, or takes no values of pixels.
    """
    try:
        graph = openvino.Core().read_model(data)
    except RuntimeError as error:
        raise ModelError(
            f"The model {source} cannot be read: {words_of(error)}",
            "OpenVINO, which runs it, does not know all of its operators: export it with those of ONNX only.",
        ) from error
    check_one_plane(len(graph.inputs), len(graph.outputs), source)
    kind = element_type(graph.inputs[0])
    if kind not in (*_FLOATS, _BYTE):
        raise ModelError(
            f"The model {source} takes values of the type {kind}.", "Export it with an input of floats or bytes."
        )
    return graph


def check_one_plane(inputs: int, outputs: int, source: str) -> None:
    """Check how many inputs and outputs a network has.

    Raises:
        ModelError: Not one of each.
    """
    if (inputs, outputs) != (1, 1):
        raise ModelError(
            f"The model {source} has {inputs} inputs and {outputs} outputs, not one of each.",
            "Export it with the image as the only input, and what is told of each pixel as the only output.",
        )


def element_type(port: Any) -> str:
    """Return the type of an input or output in OpenVINO's short form, such as f32."""
    return str(port.get_element_type().get_type_name())


def takes_bytes(graph: Any) -> bool:
    """Tell whether a network takes values of pixels as bytes, which no scaling can come before."""
    return element_type(graph.inputs[0]) == _BYTE


def shape_of(port: Any) -> list[int | None]:
    """Return the shape of an input or output; None is free. One of free length is empty."""
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        return []
    return [size.get_length() if size.is_static else None for size in shape]


def for_one_tile(graph: Any, plane: ImagePlane, tile_size: int, source: str) -> None:
    """Give a graph the fixed shape of one tile.

    Raises:
        ModelError: It cannot have that.
    """
    try:
        graph.reshape({graph.inputs[0]: plane.shape(tile_size)})
    except RuntimeError as error:
        raise ModelError(
            f"The model {source} cannot take tiles of {tile_size} px: {words_of(error)}",
            "Give another MODEL_TILE_SIZE: one that it was trained with, or a multiple of 32.",
        ) from error


def with_pixels(
    graph: Any, plane: ImagePlane, scaling: Scaling, axis: int | None, activation: Activation, selection: Selection
) -> Any:
    """Return a graph from pixel values (1, tile, tile, bands) to probabilities (1, tile, tile, channels), float32.

    Args:
        graph: The network for one tile.
        plane: How it takes the image.
        scaling: What it takes pixel values as.
        axis: Of channels in its output; None if it has none.
        activation: What makes probabilities of its values.
        selection: The channels that are wanted.
    """
    _put_before(graph, plane, scaling)
    value = ops.convert(graph.outputs[0].get_node().input_value(0), "f32")
    if axis is None:
        value = ops.unsqueeze(value, np.array(3))
    elif axis == 1:
        value = ops.transpose(value, np.array([0, 2, 3, 1]))
    if activation.function == "softmax":
        value = ops.softmax(value, 3)
    elif activation.function == "sigmoid":
        value = ops.sigmoid(value)
    value = ops.gather(value, np.array(selection.channels), np.array(3))
    if selection.no_background:
        value = ops.pad(value, np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]), "constant", np.float32(0.0))
    return openvino.Model([ops.result(value)], graph.get_parameters(), graph.get_friendly_name())


def _put_before(graph: Any, plane: ImagePlane, scaling: Scaling) -> None:
    """Let a graph take pixel values, channels last."""
    steps = openvino.preprocess.PrePostProcessor(graph)
    given = steps.input()
    given.tensor().set_element_type(openvino.Type.f32).set_layout(openvino.Layout("NHWC"))
    given.model().set_layout(openvino.Layout("NCHW" if plane.channels_first else "NHWC"))
    if takes_bytes(graph):
        # A conversion would cut off what resampling left behind the point.
        given.preprocess().custom(lambda value: ops.clamp(ops.round(value, "half_to_even"), 0.0, 255.0).output(0))
    else:
        given.preprocess().custom(lambda value: _scaled(value, scaling))
    steps.build()


def _scaled(value: Any, scaling: Scaling) -> Any:
    if any(one != 1.0 for one in scaling.scale):
        value = ops.multiply(value, np.array(scaling.scale, np.float32))
    if any(one != 0.0 for one in scaling.offset):
        value = ops.add(value, np.array(scaling.offset, np.float32))
    return value if isinstance(value, openvino.Output) else value.output(0)


def words_of(error: Exception) -> str:
    """Return what an error of OpenVINO says, without the places in its sources that it begins with."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    summary = [line.removeprefix("-- ") for line in lines if line.startswith("-- ")]
    return "; ".join(summary) or (lines[-1] if lines else type(error).__name__)
