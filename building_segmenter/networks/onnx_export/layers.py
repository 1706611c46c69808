"""Each kind of Keras layer as ONNX nodes. Keras' layers have channels last here, the nodes channels first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import activations, layers
from numpy.typing import NDArray

from building_segmenter.errors import ModelError
from building_segmenter.networks.onnx_export import activation
from building_segmenter.networks.onnx_export.graph import Graph, Plane
from building_segmenter.networks.onnx_export.windows import window_of

_LAST_AXES = (-1, 3)


def add_layer(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
    """Add what a layer computes to a graph.

    Raises:
        ModelError: There is no way to write this layer, or one of its settings; the message names both.
    """
    write = _WRITERS.get(type(layer))
    if write is None:
        raise cannot_write(layer, "this kind of layer")
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise cannot_write(layer, "channels first")
    return write(graph, layer, inputs)


def cannot_write(layer: Any, what: str) -> ModelError:
    """Return the error for a layer that cannot be written."""
    return ModelError(
        f"The network's layer {layer.name} ({type(layer).__name__}) cannot be written as ONNX: {what} is not known.",
        f"Export models of Train model. Known layers: {', '.join(sorted(kind.__name__ for kind in _WRITERS))}.",
    )


def _convolution(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
    kernel = _numbers(layer.kernel).transpose(3, 2, 0, 1)
    convolved = _convolved(graph, layer, inputs[0], kernel, layer.groups, layer.bias)
    return _activated(graph, layer, convolved)


def _depthwise(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
    kernel = _numbers(layer.kernel)
    convolved = _convolved(graph, layer, inputs[0], _by_channel(kernel), kernel.shape[2], layer.bias)
    return _activated(graph, layer, convolved)


def _separable(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
    depthwise = _numbers(layer.depthwise_kernel)
    spread = _convolved(graph, layer, inputs[0], _by_channel(depthwise), depthwise.shape[2], None)
    pointwise = graph.weight(_numbers(layer.pointwise_kernel).transpose(3, 2, 0, 1))
    bias = [graph.weight(_numbers(layer.bias))] if layer.use_bias else []
    return _activated(graph, layer, spread.moved(graph.add("Conv", spread.name, pointwise, *bias)))


def _by_channel(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a depthwise kernel (height, width, channels, multiplier) as one kernel an output channel."""
    return kernel.transpose(2, 3, 0, 1).reshape(-1, 1, *kernel.shape[:2])


def _convolved(
    graph: Graph, layer: Any, image: Plane, kernel: NDArray[np.float32], groups: int, bias: Any | None
) -> Plane:
    window = window_of(image, kernel.shape[2:], layer.strides, layer.padding, layer.dilation_rate)
    weights = [graph.weight(kernel), *([graph.weight(_numbers(bias))] if bias is not None else [])]
    name = graph.add("Conv", image.name, *weights, group=groups, dilations=list(layer.dilation_rate), **window.nodes)
    return Plane(name, window.height, window.width)


def _batch_norm(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
    _check_axis(layer, layer.axis)
    mean, variance = _numbers(layer.moving_mean), _numbers(layer.moving_variance)
    gamma = np.ones_like(mean) if layer.gamma is None else _numbers(layer.gamma)
    beta = np.zeros_like(mean) if layer.beta is None else _numbers(layer.beta)
    weights = [graph.weight(one) for one in (gamma, beta, mean, variance)]
    return inputs[0].moved(graph.add("BatchNormalization", inputs[0].name, *weights, epsilon=float(layer.epsilon)))


def _relu(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
    if layer.negative_slope or layer.threshold:
        raise cannot_write(layer, "a slope or threshold")
    return activation.clipped(graph, inputs[0], layer.max_value)


def _activation(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
    return _activated(graph, layer, inputs[0])


def _softmax(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
    _check_axis(layer, layer.axis)
    return activation.activated(graph, activations.softmax, inputs[0])


def _activated(graph: Graph, layer: Any, plane: Plane) -> Plane:
    if layer.activation not in activation.KNOWN:
        raise cannot_write(layer, f"the activation {getattr(layer.activation, '__name__', layer.activation)}")
    return activation.activated(graph, layer.activation, plane)


def _pooling(kind: str, **attributes: int) -> Callable[[Graph, Any, list[Plane]], Plane]:
    def write(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
        window = window_of(inputs[0], layer.pool_size, layer.strides, layer.padding)
        sizes: Mapping[str, Any] = {"kernel_shape": list(layer.pool_size), **window.nodes, **attributes}
        return Plane(graph.add(kind, inputs[0].name, **sizes), window.height, window.width)

    return write


def _global_pooling(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
    if not layer.keepdims:
        raise cannot_write(layer, "an output without rows and columns")
    return Plane(graph.add("GlobalAveragePool", inputs[0].name), 1, 1)


def _padding(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
    (top, bottom), (left, right) = layer.padding
    pads = graph.weight([0, 0, top, left, 0, 0, bottom, right], np.int64)
    name = graph.add("Pad", inputs[0].name, pads)
    return Plane(name, inputs[0].height + top + bottom, inputs[0].width + left + right)


def _upsampling(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
    rows, columns = layer.size
    modes = {
        "bilinear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
        "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    }
    if layer.interpolation not in modes:
        raise cannot_write(layer, f"the interpolation {layer.interpolation}")
    scales = graph.weight([1.0, 1.0, rows, columns])
    name = graph.add("Resize", inputs[0].name, "", scales, **modes[layer.interpolation])
    return Plane(name, inputs[0].height * rows, inputs[0].width * columns)


def _rescaling(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
    scaled = graph.add("Mul", inputs[0].name, graph.per_channel(layer.scale))
    return inputs[0].moved(graph.add("Add", scaled, graph.per_channel(layer.offset)))


def _concatenation(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
    _check_axis(layer, layer.axis)
    return inputs[0].moved(graph.add("Concat", *(plane.name for plane in inputs), axis=1))


def _merged(kind: str) -> Callable[[Graph, Any, list[Plane]], Plane]:
    def write(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
        name = inputs[0].name
        for other in inputs[1:]:
            name = graph.add(kind, name, other.name)
        # What is spread over the others, as pooled features are, has one row and column.
        return Plane(name, max(plane.height for plane in inputs), max(plane.width for plane in inputs))

    return write


def _unchanged(graph: Graph, layer: Any, inputs: list[Plane]) -> Plane:
    return inputs[0]


def _check_axis(layer: Any, axis: Any) -> None:
    if axis not in _LAST_AXES:
        raise cannot_write(layer, f"the axis {axis}")


def _numbers(variable: Any) -> NDArray[np.float32]:
    values: NDArray[np.float32] = np.asarray(keras.ops.convert_to_numpy(variable), np.float32)
    return values


_WRITERS: dict[type, Callable[[Graph, Any, list[Plane]], Plane]] = {
    layers.Activation: _activation,
    layers.Add: _merged("Add"),
    layers.AveragePooling2D: _pooling("AveragePool", count_include_pad=0),
    layers.BatchNormalization: _batch_norm,
    layers.Concatenate: _concatenation,
    layers.Conv2D: _convolution,
    layers.DepthwiseConv2D: _depthwise,
    layers.Dropout: _unchanged,
    layers.GlobalAveragePooling2D: _global_pooling,
    layers.Identity: _unchanged,
    layers.MaxPooling2D: _pooling("MaxPool"),
    layers.Multiply: _merged("Mul"),
    layers.ReLU: _relu,
    layers.Rescaling: _rescaling,
    layers.SeparableConv2D: _separable,
    layers.Softmax: _softmax,
    layers.SpatialDropout2D: _unchanged,
    layers.UpSampling2D: _upsampling,
    layers.ZeroPadding2D: _padding,
}
