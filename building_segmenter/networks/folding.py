"""Networks made faster for prediction without changing what they compute."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

_CHANNELS_FIRST, _CHANNELS_LAST = (3, 1, 2), (2, 3, 1)
_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
_WITH_FORMAT = (
    *_CONVOLUTIONS,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.ZeroPadding2D,
    layers.UpSampling2D,
    layers.GlobalAveragePooling2D,
    layers.Conv2DTranspose,
)
_WITH_AXIS = (layers.BatchNormalization, layers.Concatenate)
_WITHOUT_FORMAT = (layers.ReLU, layers.Add, layers.Dropout)
_ELEMENTWISE = (keras.activations.sigmoid, keras.activations.relu, keras.activations.linear)


def for_prediction(model: keras.Model) -> keras.Model:
    """Return a network that predicts the same, in the form that OpenVINO runs fastest.

    Its batch norms are folded into the convolutions before them, and it works with channels first inside. Keras'
    export wraps every convolution of a network with channels last, and every batch norm, into transposes. OpenVINO
    takes few of them out again, and they then take most of the time.

    Args:
        model: A functional network from images (batch, H, W, bands), of one input and any outputs.

    Returns:
        A network with the same inputs and outputs, which must not be trained. It computes on the OpenVINO backend
        only: TensorFlow's takes the biases of channels for those of columns where there are as many columns as
        channels (`add` in Keras 3.15), and so computes, and exports, something else. Of a network with layers that
        are not known to work with channels first, only the batch norms are folded; a `Sequential`, or one with
        several inputs, is returned as it is.
    """
    if isinstance(model, keras.Sequential) or len(model.inputs) != 1:
        return model
    convertible = all(map(_knows_channels_first, model.layers)) and _image_goes_alone(model)
    return _Rewriter(model, channels_first=convertible).rewritten()


class _Rewriter:
    """Rebuilds a network layer by layer."""

    def __init__(self, model: keras.Model, channels_first: bool) -> None:
        self._model, self._channels_first = model, channels_first
        self._folded = {norm.name: before for norm in model.layers if (before := convolution_before(norm))}
        self._with_bias = {convolution.name for convolution in self._folded.values()}
        self._first = _layers_after(model)

    def rewritten(self) -> keras.Model:
        """Return the new network with the weights of the old one."""
        model = self._model
        twin = keras.models.clone_model(model, clone_function=self._layer, call_function=self._call)
        for layer in model.layers:
            if layer.weights and layer.name not in self._folded and layer.name not in self._with_bias:
                twin.get_layer(layer.name).set_weights(layer.get_weights())
        for name, convolution in self._folded.items():
            twin.get_layer(convolution.name).set_weights(_folded_weights(convolution, model.get_layer(name)))
        return self._channels_last(twin) if self._channels_first else twin

    def _layer(self, layer: Any) -> Any:
        if layer.name in self._folded:
            return layers.Identity(name=layer.name)
        if self._channels_first and _is_softmax(layer):
            return layers.Softmax(axis=1, name=layer.name)
        config = layer.get_config() | ({"use_bias": True} if layer.name in self._with_bias else {})
        if isinstance(layer, layers.Rescaling):
            config |= {key: _one_number(config[key]) for key in ("scale", "offset")}
        if self._channels_first and isinstance(layer, _WITH_FORMAT):
            config["data_format"] = "channels_first"
        if self._channels_first and isinstance(layer, _WITH_AXIS):
            config["axis"] = 1
        return type(layer).from_config(config)

    def _call(self, layer: Any, *inputs: Any, **options: Any) -> Any:
        if self._channels_first and layer.name in self._first:
            inputs = tuple(layers.Permute(_CHANNELS_FIRST)(one) for one in inputs)
        # A batch norm is called with a mask and a mode that mean nothing to an identity.
        return layer(*inputs) if layer.name in self._folded else layer(*inputs, **options)

    def _channels_last(self, twin: keras.Model) -> keras.Model:
        """Return a network with its channels moved back in what it gives; an output may be used inside, too."""
        outputs = [layers.Permute(_CHANNELS_LAST)(output) for output in twin.outputs]
        single = not isinstance(self._model.output, list | tuple)
        return keras.Model(twin.inputs, outputs[0] if single else outputs, name=self._model.name)


def _one_number(of_bands: Any) -> Any:
    """Return one number where all bands have the same: OpenVINO takes a fifth of the time for it."""
    numbers = np.unique(of_bands)
    return float(numbers[0]) if len(numbers) == 1 else of_bands


def _knows_channels_first(layer: Any) -> bool:
    if isinstance(layer, layers.InputLayer | layers.Rescaling):
        return True
    if type(layer) is layers.Activation:
        return layer.activation in _ELEMENTWISE or _is_softmax(layer)
    if type(layer) in _WITH_AXIS:
        return layer.axis in (-1, 3)
    if type(layer) in _WITH_FORMAT:
        # A softmax within a convolution would run over the last axis wherever the channels are.
        elementwise = getattr(layer, "activation", keras.activations.linear) in _ELEMENTWISE
        return layer.data_format == "channels_last" and getattr(layer, "keepdims", True) and elementwise
    return type(layer) in _WITHOUT_FORMAT


def _is_softmax(layer: Any) -> bool:
    """Tell whether a layer is a softmax over the channels, which lie last."""
    return type(layer) is layers.Activation and layer.activation is keras.activations.softmax


def _image_goes_alone(model: keras.Model) -> bool:
    """Tell whether no layer takes the image together with something else."""
    firsts = _layers_after(model)
    nodes = [node for layer in model.layers if layer.name in firsts for node in layer._inbound_nodes]
    return all(len(node.parent_nodes) == 1 for node in nodes)


def _layers_after(model: keras.Model) -> set[str]:
    """Return the layers that take the image, or the image as it was rescaled: there the channels are moved."""
    image = {layer.name for layer in model.layers if isinstance(layer, layers.InputLayer | layers.Rescaling)}
    return {
        layer.name
        for layer in model.layers
        if layer.name not in image
        for node in layer._inbound_nodes
        if any(parent.operation.name in image for parent in node.parent_nodes)
    }


def convolution_before(norm: Any) -> Any | None:
    """Return the convolution whose only use is this batch norm, or None."""
    if not isinstance(norm, layers.BatchNormalization) or len(norm._inbound_nodes) != 1:
        return None
    parents = norm._inbound_nodes[0].parent_nodes
    before: Any = parents[0].operation if len(parents) == 1 else None
    if type(before) not in _CONVOLUTIONS or before.data_format != "channels_last":
        return None
    alone = len(before._outbound_nodes) == 1 and len(before._inbound_nodes) == 1
    # An activation between the two does not let the factor through.
    return before if alone and before.activation is keras.activations.linear and norm.axis in (-1, 3) else None


def _folded_weights(convolution: Any, norm: Any) -> list[Any]:
    mean, variance = (keras.ops.convert_to_numpy(part) for part in (norm.moving_mean, norm.moving_variance))
    scale = 1.0 / np.sqrt(variance.astype(np.float64) + norm.epsilon)
    if norm.gamma is not None:
        scale = scale * keras.ops.convert_to_numpy(norm.gamma)
    # A separable convolution has two kernels; its outputs are those of the second.
    weights = convolution.get_weights()
    bias = weights.pop() if convolution.use_bias else 0.0
    *before, kernel = weights
    shift = (bias - mean) * scale
    if norm.beta is not None:
        shift = shift + keras.ops.convert_to_numpy(norm.beta)
    # A depthwise kernel is (height, width, channels, multiplier), its outputs run over both.
    factor = scale.reshape(kernel.shape[2:]) if isinstance(convolution, layers.DepthwiseConv2D) else scale
    return [*before, (kernel * factor).astype(kernel.dtype), shift.astype(kernel.dtype)]
