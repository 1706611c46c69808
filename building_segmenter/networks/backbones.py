"""The feature extractors of the networks, and the weights they start from."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from building_segmenter.errors import InputNotFoundError, ModelError
from building_segmenter.networks import safety

_FIRST_CONVOLUTION = "Conv1"
_LOW_LEVEL, _LAST = "block_3_expand_relu", "block_13_expand_relu"
_PROBE_SIZE = 64


def mobilenetv2(scaled: Any) -> tuple[Any, Any]:
    """Grow MobileNetV2 on an image tensor up to output stride 16.

    Sandler et al., "MobileNetV2", CVPR 2018, https://arxiv.org/abs/1801.04381, as in keras.applications.

    Args:
        scaled: `(batch, height, width, bands)`, values about -1..1; any number of bands.

    Returns:
        Features at stride 4 (144 channels) and at stride 16 (576 channels).
    """
    trunk = keras.applications.MobileNetV2(input_tensor=scaled, include_top=False, weights=None)
    return trunk.get_layer(_LOW_LEVEL).output, trunk.get_layer(_LAST).output


def backbone_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a network that belong to its backbone."""
    names = _backbone_layer_names()
    return [layer for layer in model.layers if layer.name in names]


def load_backbone_weights(model: keras.Model, weights: str) -> None:
    """Put pretrained weights into the backbone of a network.

    The first convolution was learned on red, green and blue. For another number of bands the first three keep
    their kernels, each further band gets the mean of the three, one or two bands get the mean too, and all are
    multiplied by 3 / bands, so that the responses keep their size.

    Args:
        model: A network whose backbone is `mobilenetv2`.
        weights: `imagenet`, which Keras downloads, or the path of a `.weights.h5` file of MobileNetV2 without top.

    Raises:
        InputNotFoundError: The file does not exist.
        ModelError: The file does not fit the backbone, or the download failed.
    """
    source = _pretrained(weights)
    for layer in backbone_layers(model):
        values = source.get_layer(layer.name).get_weights()
        if layer.name == _FIRST_CONVOLUTION:
            values = [_adapted_kernel(values[0], layer.kernel.shape[2])]
        layer.set_weights(values)


def freeze_batch_norms(model: keras.Model) -> None:
    """Keep the backbone's batch norms at their pretrained statistics.

    Their momentum of 0.999 is made for long training: in a short fine-tuning the moving statistics would never
    arrive at the new images and prediction would fail while the training loss looks fine.
    """
    for layer in _batch_norms(model):
        layer.trainable = False


def quicken_batch_norms(model: keras.Model, momentum: float = 0.9) -> None:
    """Let the batch norms of a backbone that starts at random follow the images within a short training."""
    for layer in _batch_norms(model):
        layer.momentum = momentum


@functools.cache
def _backbone_layer_names() -> frozenset[str]:
    size = (_PROBE_SIZE, _PROBE_SIZE, 3)
    reference = keras.applications.MobileNetV2(input_shape=size, include_top=False, weights=None)
    return frozenset(layer.name for layer in reference.layers if not isinstance(layer, layers.InputLayer))


def _batch_norms(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in backbone_layers(model) if isinstance(layer, layers.BatchNormalization)]


def _pretrained(weights: str) -> keras.Model:
    return _downloaded_or_told() if weights == "imagenet" else _from_file(Path(weights))


def _downloaded_or_told() -> keras.Model:
    try:
        return _downloaded()
    except Exception as error:
        raise ModelError(
            f"Keras could not download the ImageNet weights: {error}",
            "Connect to the network once, or give BACKBONE_WEIGHTS the path of a file of weights, or none.",
        ) from error


def _downloaded() -> keras.Model:
    return keras.applications.MobileNetV2(input_shape=(224, 224, 3), include_top=False, weights="imagenet")


def _from_file(path: Path) -> keras.Model:
    if not path.is_file():
        raise InputNotFoundError(
            f"The file of backbone weights {path} does not exist.",
            "Check the path, or give imagenet (Keras downloads them) or none (start at random).",
        )
    safety.check_weights(path, str(path))
    model = keras.applications.MobileNetV2(input_shape=(None, None, 3), include_top=False, weights=None)
    try:
        with safety.no_weights_left_out():
            model.load_weights(path)
    except Exception as error:
        raise ModelError(
            f"The file {path} does not hold the weights of MobileNetV2 without its top: {error}",
            "Give a .weights.h5 file that Keras wrote for this backbone, or imagenet, or none.",
        ) from error
    return model


def _adapted_kernel(kernel: NDArray[np.float32], bands: int) -> NDArray[np.float32]:
    if bands == kernel.shape[2]:
        return kernel
    mean = kernel.mean(axis=2, keepdims=True)
    own = kernel if bands > 3 else kernel[:, :, :0]
    further = np.repeat(mean, bands - own.shape[2], axis=2)
    adapted: NDArray[np.float32] = (np.concatenate([own, further], axis=2) * (3.0 / bands)).astype(np.float32)
    return adapted
