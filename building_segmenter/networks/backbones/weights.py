"""Pretrained weights of backbones: from Keras' downloads or from files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from building_segmenter.errors import InputNotFoundError, ModelError
from building_segmenter.networks import safety
from building_segmenter.networks.backbones.kinds import BACKBONES, Backbone
from building_segmenter.networks.backbones.parts import backbone_layers, backbone_of, own_names

_LARGEST_ITEM, _HEADER = 8, 4096
"""Bytes of a number, and of all else in an array's file, at most."""


def load_backbone_weights(model: keras.Model, weights: str) -> None:
    """Put pretrained weights into the backbone of a network.

    The first convolution was learned on red, green and blue. For another number of bands the first three keep
    their kernels, each further band gets the mean of the three, one or two bands get the mean too, and all are
    multiplied by 3 / bands, so that the responses keep their size. Where it was learned on blue, green and red, its
    kernels are turned round first: images have red in front.

    Args:
        model: A network with a backbone of `build_backbone`.
        weights: `imagenet`, which Keras downloads, or the path of a file of the same backbone without its top: a
            `.weights.h5` or `.h5` that Keras wrote, or a `.npz` with the arrays of `get_weights()` of the model in
            keras.applications under the names `w000`, `w001` and so on, of any type of floating point.

    Raises:
        InputNotFoundError: The file does not exist.
        ModelError: The file does not fit the backbone, or the download failed.
        UnsafeModelError: The file reaches outside itself.
    """
    backbone = backbone_of(model)
    source = _downloaded_or_told(backbone) if weights == "imagenet" else _from_file(Path(weights), backbone)
    names = {mine: theirs for theirs, mine in own_names(source).items()}
    for layer in backbone_layers(model):
        values = source.get_layer(names[layer.name]).get_weights()
        if layer.name == backbone.first_convolution:
            kernel = values[0][:, :, ::-1] if backbone.centre else values[0]
            values[0] = _adapted_kernel(kernel, layer.kernel.shape[2])
        layer.set_weights(values)


def _downloaded_or_told(backbone: Backbone) -> keras.Model:
    try:
        return _downloaded(backbone)
    except Exception as error:
        raise ModelError(
            f"Keras could not download the ImageNet weights: {error}",
            "Connect to the network once, or give BACKBONE_WEIGHTS the path of a file of weights, or none.",
        ) from error


def _downloaded(backbone: Backbone) -> keras.Model:
    return backbone.build(input_shape=(224, 224, 3), weights="imagenet")


def _from_file(path: Path, backbone: Backbone) -> keras.Model:
    if not path.is_file():
        raise InputNotFoundError(
            f"The file of backbone weights {path} does not exist.",
            "Check the path, or give imagenet (Keras downloads them) or none (start at random).",
        )
    model = backbone.build(input_shape=(None, None, 3), weights=None)
    if path.suffix == ".npz":
        model.set_weights(_from_archive(path, backbone, [weight.shape for weight in model.weights]))
        return model
    safety.check_weights(path, str(path))
    try:
        with safety.no_weights_left_out():
            model.load_weights(path)
    except Exception as error:
        raise _misfit(path, backbone, str(error), _arrays_in(path)) from error
    return model


def _from_archive(path: Path, backbone: Backbone, shapes: list[tuple[int, ...]]) -> list[NDArray[np.float32]]:
    try:
        _check_archive(path, backbone, shapes)
        with np.load(path, allow_pickle=False) as archive:
            values = [archive[f"w{index:03d}"] for index in range(len(shapes))]
    except (zipfile.BadZipFile, OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"The file of backbone weights {path} is damaged or no .npz: {error}", "Copy it again."
        ) from error
    for index, (value, shape) in enumerate(zip(values, shapes, strict=True)):
        if value.shape != shape or value.dtype.kind != "f":
            told = f"its array w{index:03d} is {value.shape} of {value.dtype}, not {tuple(shape)} of floating point"
            raise _misfit(path, backbone, told, 0)
    return [value.astype(np.float32) for value in values]


def _check_archive(path: Path, backbone: Backbone, shapes: list[tuple[int, ...]]) -> None:
    """Check number and sizes of the arrays before any is unpacked."""
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    if sorted(sizes) != [f"w{index:03d}.npy" for index in range(len(shapes))]:
        told = f"it has {len(sizes)} arrays, not w000 to w{len(shapes) - 1:03d}"
        raise _misfit(path, backbone, told, len(sizes))
    for index, shape in enumerate(shapes):
        if sizes[f"w{index:03d}.npy"] > int(np.prod(shape)) * _LARGEST_ITEM + _HEADER:
            raise _misfit(path, backbone, f"its array w{index:03d} has more than {tuple(shape)} numbers", 0)


def _arrays_in(path: Path) -> int:
    arrays: list[str] = []
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: arrays.append(name) if isinstance(item, h5py.Dataset) else None)
    return len(arrays)


def _misfit(path: Path, backbone: Backbone, told: str, arrays: int) -> ModelError:
    others = [one for one in BACKBONES.values() if one.arrays == arrays and one is not backbone]
    hint = (
        f"It seems to be of {others[0].title}: give BACKBONE {others[0].name}, or a file of {backbone.title}."
        if others
        else "Give a .weights.h5 or .npz file of this backbone, or imagenet, or none."
    )
    return ModelError(f"The file {path} does not hold the weights of {backbone.title} without its top: {told}.", hint)


def _adapted_kernel(kernel: NDArray[np.float32], bands: int) -> NDArray[np.float32]:
    if bands == kernel.shape[2]:
        return kernel
    mean = kernel.mean(axis=2, keepdims=True)
    own = kernel if bands > 3 else kernel[:, :, :0]
    further = np.repeat(mean, bands - own.shape[2], axis=2)
    adapted: NDArray[np.float32] = (np.concatenate([own, further], axis=2) * (3.0 / bands)).astype(np.float32)
    return adapted
