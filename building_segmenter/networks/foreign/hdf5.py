"""Checks of Keras models in HDF5 (`.h5`), as Keras 2 wrote them, before Keras sees them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import h5py

from building_segmenter.errors import ModelError
from building_segmenter.networks import safety

SUFFIXES = (".h5", ".hdf5")
NOT_ELSEWHERE = "Choose a model of Train model (.keras), or a .keras, .h5 or .onnx file."

_NETWORKS = ("Functional", "Model", "Sequential")
_MODULES = ("layers", "initializers", "regularizers", "constraints")


def check_hdf5(path: str | os.PathLike[str]) -> None:
    """Check that a file holds a network of Keras' own classes and its weights, and nothing else.

    Raises:
        InputNotFoundError: The file does not exist.
        ModelError: It is damaged, or holds weights only.
        UnsafeModelError: It holds code or foreign classes, or reaches outside itself.
    """
    safety.check_config(_with_modules(read_config(path)), str(path))


def read_config(path: str | os.PathLike[str]) -> Any:
    """Return the configuration of the network in an HDF5 file whose arrays were checked.

    Raises:
        InputNotFoundError: The file does not exist.
        ModelError: It is damaged, or holds weights only.
        UnsafeModelError: It reaches outside itself.
    """
    file = safety.existing(path)
    safety.check_weights(file, str(file))
    with h5py.File(file, "r") as archive:
        stated = archive.attrs.get("model_config")
    if stated is None:
        raise ModelError(f"The file {file} holds weights only, without the network that they belong to.", NOT_ELSEWHERE)
    try:
        return json.loads(stated)
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(
            f"The configuration in {file} is damaged: {error!r}", "Copy the file again, or save the model as .keras."
        ) from error


def _with_modules(config: Any) -> Any:
    """Return a configuration with the modules that Keras 2 left out, where Keras has such a class.

    Keras looks for classes without a module among its own of that name.
    """
    if isinstance(config, list):
        return [_with_modules(one) for one in config]
    if not isinstance(config, Mapping):
        return config
    filled = {key: _with_modules(value) for key, value in config.items()}
    name = config.get("class_name")
    if isinstance(name, str) and config.get("module") is None:
        filled["module"] = _module_of(name)
        filled.pop("registered_name", None)
    return filled


def _module_of(name: str) -> str | None:
    import keras

    if name in _NETWORKS:
        return "keras.models"
    for module in _MODULES:
        if isinstance(getattr(getattr(keras, module), name, None), type):
            return f"keras.{module}"
    return None
