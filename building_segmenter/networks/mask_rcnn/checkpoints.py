"""Matterport's `.h5` files of weights, read and written by layer name.

A file has a group for each layer of the original with its arrays in it, as Keras 2 wrote them; the three layers of the
region proposal network share the group `rpn_model`. Names of arrays may end in a number (`rpn_conv_shared_3`), which
only counts how often the network was built in that process.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from keras import ops
from numpy.typing import NDArray

from building_segmenter import scratch
from building_segmenter.errors import InputNotFoundError, InvalidParameterError, ModelError
from building_segmenter.networks import safety
from building_segmenter.networks.mask_rcnn.network import Networks

HEADS = ("mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_bbox", "mrcnn_mask")
"""Layers whose shapes hang on the number of classes: exclude them to begin with weights of other classes (COCO's)."""

_RPN_GROUP = "rpn_model"
_COUNTER = re.compile(r"_\d+$")
_TOLD = 8

Shapes = dict[tuple[str, str], tuple[int, ...]]


def load_matterport(networks: Networks, path: str | os.PathLike[str], exclude: Collection[str] = ()) -> None:
    """Read weights from a file of Matterport's layout into networks; nothing changes unless all of it fits.

    Args:
        networks: Of `build_networks`, with a ResNet.
        path: The file.
        exclude: Names of layers that stay as they are, whatever the file has for them, such as `HEADS`.

    Raises:
        InputNotFoundError: The file does not exist.
        InvalidParameterError: A layer to exclude is none of the network's.
        ModelError: The file lacks layers, has layers of another shape or such that the network has not, or is damaged.
        UnsafeModelError: The file reaches outside itself.
    """
    _check_excluded(networks, exclude)
    if not Path(path).is_file():
        raise InputNotFoundError(f"The file of weights {path} does not exist.", "Check the path.")
    safety.check_weights(path, str(path))
    wanted = {key: shape for key, shape in _shapes(networks).items() if key[0] not in exclude}
    with h5py.File(path, "r") as file:
        stored = {key: array for key, array in _arrays(file, str(path)).items() if key[0] not in exclude}
        _check(wanted, {key: array.shape for key, array in stored.items()}, str(path))
        values = {key: np.asarray(array, np.float32) for key, array in stored.items()}
    for key, variable in _variables(networks).items():
        if key in values:
            variable.assign(values[key].reshape(variable.shape))


def save_matterport(networks: Networks, path: str | os.PathLike[str]) -> None:
    """Write the weights of networks as Matterport's implementation reads them with `by_name=True`.

    Raises:
        OutputNotWritableError: The file cannot be written there.
        DiskFullError: The disk has no room for it.
    """
    shapes = _shapes(networks)
    groups: dict[str, list[tuple[str, NDArray[np.float32]]]] = {}
    for (layer, role), variable in _variables(networks).items():
        group = _RPN_GROUP if layer.startswith("rpn_") else layer
        array = ops.convert_to_numpy(variable).astype(np.float32).reshape(shapes[layer, role])
        groups.setdefault(group, []).append((f"{layer}/{role}:0", array))
    with scratch.new_output(path) as unfinished, h5py.File(unfinished, "w") as file:
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.0.8"
        file.attrs["layer_names"] = [group.encode() for group in groups]
        for group, arrays in groups.items():
            created = file.create_group(group)
            created.attrs["weight_names"] = [name.encode() for name, _ in arrays]
            for name, array in arrays:
                created.create_dataset(name, data=array)


def _variables(networks: Networks) -> dict[tuple[str, str], Any]:
    """Return all weights by layer and role."""
    return {(layer.name, weight.name): weight for layer in networks.layers for weight in layer.weights}


def _shapes(networks: Networks) -> Shapes:
    """Return the shapes that weights have in a file: there the box head's dense layers are convolutions."""
    shapes = {key: tuple(weight.shape) for key, weight in _variables(networks).items()}
    side, channels = networks.box_head.input_shape[2:]
    size = shapes["mrcnn_class_conv1", "kernel"][-1]
    shapes["mrcnn_class_conv1", "kernel"] = (side, side, channels, size)
    shapes["mrcnn_class_conv2", "kernel"] = (1, 1, size, size)
    return shapes


def _arrays(file: h5py.File, source: str) -> dict[tuple[str, str], h5py.Dataset]:
    """Return the arrays of a file by layer and role."""
    found: dict[tuple[str, str], h5py.Dataset] = {}
    weights = file["model_weights"] if "model_weights" in file else file

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        parts = name.split("/")
        in_rpn = parts[0].startswith(_RPN_GROUP) and len(parts) > 2
        layer = _COUNTER.sub("", parts[-2]) if in_rpn else parts[0]
        key = layer, _COUNTER.sub("", parts[-1].split(":")[0])
        if key in found:
            raise ModelError(f"The file {source} has two arrays {'/'.join(key)}.", "Save the weights again.")
        found[key] = item

    weights.visititems(visit)
    return found


def _check(wanted: Mapping[tuple[str, str], Any], stored: Mapping[tuple[str, str], Any], source: str) -> None:
    missing = ["/".join(key) for key in wanted if key not in stored]
    unused = ["/".join(key) for key in stored if key not in wanted]
    mismatched = [
        f"{'/'.join(key)} is {stored[key]}, not {shape}"
        for key, shape in wanted.items()
        if key in stored and stored[key] != shape
    ]
    lists = (("missing", missing), ("of another shape", mismatched), ("unknown", unused))
    told = "; ".join(f"{what}: {_listed(names)}" for what, names in lists if names)
    if told:
        raise ModelError(
            f"The weights in {source} do not fit the network: {told}.",
            "Check BACKBONE and NUM_CLASSES; layers that shall not be read from the file can be excluded by name "
            f"(for weights of other classes: {', '.join(HEADS)}).",
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more


def _check_excluded(networks: Networks, exclude: Collection[str]) -> None:
    known = {layer.name for layer in networks.layers}
    unknown = sorted(set(exclude) - known)
    if isinstance(exclude, str) or unknown:
        raise InvalidParameterError(
            f"Layers to exclude that the network does not have: {exclude if isinstance(exclude, str) else unknown}.",
            f"Give names of layers, such as {', '.join(HEADS)}.",
        )
