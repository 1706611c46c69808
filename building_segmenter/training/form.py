"""The form of a network in which it is trained: the same function of the same weights, in fewer passes over memory.

Keras calculates a batch norm in several operations, each of which reads and writes a whole plane of features. On a
processor they take nearly half of a step.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from building_segmenter.networks.folding import convolution_before


def training_form(model: keras.Model) -> keras.Model:
    """Return a network that does in training what a model does, faster.

    A batch norm that is frozen becomes a factor of the kernel before it, in each step anew, so that the kernel learns
    as it would; one that learns becomes TensorFlow's fused operation.

    Args:
        model: A functional network of the layers of `build_deeplabv3plus`. It is to be called with `training=True`.

    Returns:
        A network with the layers and variables of the model, and none of its own. It must not be saved.
    """
    norms = [layer for layer in model.layers if type(layer) is layers.BatchNormalization]
    frozen = {norm.name: before for norm in norms if not norm.trainable and (before := convolution_before(norm))}
    norm_of = {convolution.name: model.get_layer(name) for name, convolution in frozen.items()}

    def formed(layer: Any) -> Any:
        if layer.name in frozen:
            return layers.Identity(name=layer.name)
        if layer.name in norm_of:
            return _NormedConvolution(layer, norm_of[layer.name])
        return _FusedNorm(layer) if layer in norms and layer.trainable else layer

    def called(layer: Any, *inputs: Any, **options: Any) -> Any:
        # A batch norm is called with a mask and a mode that mean nothing to what takes its place.
        replaced = isinstance(layer, layers.Identity | _NormedConvolution | _FusedNorm)
        return layer(*inputs) if replaced else layer(*inputs, **options)

    return keras.models.clone_model(model, clone_function=formed, call_function=called)


class _NormedConvolution(layers.Layer):  # type: ignore[misc]
    """A convolution without activation, and the frozen batch norm after it.

    Args:
        convolution: Conv2D, DepthwiseConv2D or SeparableConv2D.
        norm: Its batch norm.
    """

    def __init__(self, convolution: Any, norm: Any) -> None:
        # Factors are calculated in float32 whatever the convolution calculates in.
        super().__init__(name=convolution.name, dtype=convolution.dtype_policy, autocast=False)
        self._convolution, self._norm, self.built = convolution, norm, True

    def call(self, inputs: Any) -> Any:
        convolution, norm = self._convolution, self._norm
        factor = ops.rsqrt(norm.moving_variance + norm.epsilon)
        factor = factor if norm.gamma is None else factor * norm.gamma
        shift = (convolution.bias if convolution.use_bias else 0.0) - norm.moving_mean
        shift = shift * factor if norm.beta is None else shift * factor + norm.beta
        features = _convolved(convolution, ops.cast(inputs, self.compute_dtype), factor)
        return tf.nn.bias_add(features, ops.cast(shift, self.compute_dtype))


class _FusedNorm(layers.Layer):  # type: ignore[misc]
    """A batch norm that learns.

    Args:
        norm: With scale and offset, over the last axis.
    """

    def __init__(self, norm: Any) -> None:
        super().__init__(name=norm.name, dtype=norm.dtype_policy, autocast=False)
        self._norm, self.built = norm, True

    def call(self, inputs: Any) -> Any:
        norm, nothing = self._norm, tf.zeros((0,))
        normed, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=ops.cast(inputs, self.compute_dtype),
            scale=norm.gamma.value,
            offset=norm.beta.value,
            mean=nothing,
            variance=nothing,
            epsilon=norm.epsilon,
            is_training=True,
        )
        # TensorFlow gives the variance of all images, guessed from these; Keras remembers that of these.
        count = tf.cast(tf.size(inputs) / inputs.shape[-1], tf.float32)
        _remember(norm.moving_mean, mean, norm.momentum)
        _remember(norm.moving_variance, variance * (count - 1.0) / count, norm.momentum)
        return normed


def _remember(moving: Any, seen: Any, momentum: float) -> None:
    moving.assign(moving * momentum + seen * (1.0 - momentum))


def _convolved(convolution: Any, inputs: Any, factor: Any) -> Any:
    options = {name: getattr(convolution, name) for name in ("strides", "padding", "dilation_rate")}

    def cast(kernel: Any) -> Any:
        return ops.cast(kernel, inputs.dtype)

    if isinstance(convolution, layers.SeparableConv2D):
        spread = ops.depthwise_conv(inputs, cast(convolution.depthwise_kernel), **options)
        return ops.conv(spread, cast(convolution.pointwise_kernel * factor))
    if isinstance(convolution, layers.DepthwiseConv2D):
        # A depthwise kernel is (height, width, channels, multiplier), its outputs run over both.
        kernel = convolution.kernel * ops.reshape(factor, convolution.kernel.shape[2:])
        return ops.depthwise_conv(inputs, cast(kernel), **options)
    return ops.conv(inputs, cast(convolution.kernel * factor), **options)
