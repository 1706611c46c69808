"""Tiny ONNX networks from elsewhere, as the tests of them need."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper

STEEP, MIDDLE = 0.05, 140.0
"""Of the brightness that makes a building, in bytes: the logit is `STEEP * (brightness - MIDDLE)`."""


def onnx_network(
    tail=("Sigmoid",),
    bands=3,
    channels=1,
    side=64,
    batch=1,
    last=False,
    unit=1.0,
    kind=TensorProto.FLOAT,
    metadata=None,
    flat=False,
):
    """Return an ONNX model: the logit of brightness in the first channel, its double in the second, and so on.

    Args:
        tail: Operators after the convolution; a softmax runs over channels.
        bands: Of the image.
        channels: Of the output.
        side: Of the image; None is free.
        batch: Of the input's first axis; a text is free.
        last: Whether channels come last, in input and output.
        unit: What one grey level is in the values that it takes.
        kind: Of the input.
        metadata: Properties of the file, made JSON.
        flat: Leave out the axis of channels in the output.
    """
    sides = [side or "height", side or "width"]
    shape = [batch, *sides, bands] if last else [batch, bands, *sides]
    result = [batch, *sides] if flat else [batch, *sides, channels] if last else [batch, channels, *sides]
    factors = np.arange(1, channels + 1, dtype=np.float32)
    kernel = np.ones((channels, bands, 1, 1), np.float32) * factors[:, None, None, None] * (STEEP / bands / unit)
    weights = {"kernel": kernel, "bias": -STEEP * MIDDLE * factors, "axis": np.array([1])}
    nodes, name = [], "image"

    def add(operator, *inputs, **attributes):
        nonlocal name
        nodes.append(helper.make_node(operator, inputs, [f"{operator}{len(nodes)}"], **attributes))
        name = nodes[-1].output[0]

    if kind != TensorProto.FLOAT:
        add("Cast", name, to=TensorProto.FLOAT)
    if last:
        add("Transpose", name, perm=[0, 3, 1, 2])
    add("Conv", name, "kernel", "bias")
    for operator in tail:
        add(operator, name, **({"axis": 1} if "Softmax" in operator else {}))
    if last:
        add("Transpose", name, perm=[0, 2, 3, 1])
    if flat:
        add("Squeeze", name, "axis")
    nodes[-1].output[0] = "result"
    graph = helper.make_graph(
        nodes,
        "elsewhere",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, result)],
        [onnx.numpy_helper.from_array(value.astype(value.dtype), key) for key, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {key: json.dumps(value) for key, value in (metadata or {}).items()})
    return model


def logit(image):
    """Return what the first channel is of an image (height, width, bands) of bytes."""
    return STEEP * (np.asarray(image, np.float64).mean(axis=-1) - MIDDLE)
