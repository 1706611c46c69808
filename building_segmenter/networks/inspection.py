"""What can be told of a model file: all of ours, and of files from elsewhere what they say themselves."""

from __future__ import annotations

import collections
import hashlib
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import onnx

from building_segmenter.errors import ModelError
from building_segmenter.networks import safety
from building_segmenter.networks.facts import FACTS_KEY, ModelFacts, facts_to_item
from building_segmenter.networks.foreign.hdf5 import NOT_ELSEWHERE, read_config
from building_segmenter.networks.foreign.onnx_file import metadata_of, own_facts, read_onnx
from building_segmenter.networks.model_file import has_facts, load_network, read_facts


@dataclass(frozen=True)
class ModelFile:
    """What a model file says of itself.

    Args:
        path: The file.
        format: Its format in words.
        size: Its size in bytes.
        sha256: Hash of its bytes, to tell it from others.
        inputs: `{"name", "shape", "type"}` of each input; None in a shape is free.
        outputs: The same of each output.
        parameters: Number of weights.
        layers: How many layers of each kind it has; empty for models of ours, whose architecture has a name.
        metadata: What else the file says, as texts.
        facts: Our facts; None if it has none.
    """

    path: str
    format: str
    size: int
    sha256: str
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    parameters: int
    layers: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    facts: ModelFacts | None = None


def inspect_model(path: str | os.PathLike[str]) -> ModelFile:
    """Read what a model file says of itself; nothing in it is run.

    Args:
        path: A model of ours, or a `.keras`, `.h5` or `.onnx` file from elsewhere.

    Raises:
        InputNotFoundError: The file does not exist.
        ModelError: It is of another kind, or damaged, or holds weights only.
        UnsafeModelError: It holds code, or reaches outside itself.
    """
    file = safety.existing(path)
    read = _READERS.get(file.suffix.lower())
    if read is None:
        raise ModelError(
            f"The file {file} has the ending {file.suffix or '(none)'}, not that of a model.", NOT_ELSEWHERE
        )
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return ModelFile(str(file), size=file.stat().st_size, sha256=digest, **read(file))


def _read_keras(file: Path) -> dict[str, Any]:
    if has_facts(file):
        facts = read_facts(file)
        properties = facts_to_item(facts)["properties"]
        given, got = properties["mlm:input"][0], properties["mlm:output"][0]
        return {
            "format": "Keras archive with facts",
            "inputs": [_plane(given["name"], given["input"])],
            "outputs": [_plane(got["name"], got["result"])],
            "parameters": facts.parameters,
            "facts": facts,
        }
    network = load_network(file)
    return {
        "format": "Keras archive",
        "inputs": [_tensor(one) for one in getattr(network, "inputs", None) or []],
        "outputs": [_tensor(one) for one in getattr(network, "outputs", None) or []],
        "parameters": int(network.count_params()) if network.built else 0,
        "layers": _counted(type(layer).__name__ for layer in network.layers),
    }


def _plane(name: str, stated: Mapping[str, Any]) -> dict[str, Any]:
    shape = [None if size == -1 else size for size in stated["shape"]]
    return {"name": name, "shape": shape, "type": stated["data_type"]}


def _tensor(tensor: Any) -> dict[str, Any]:
    return {"name": tensor.name, "shape": list(tensor.shape), "type": str(tensor.dtype)}


def _read_hdf5(file: Path) -> dict[str, Any]:
    config = read_config(file)
    with h5py.File(file, "r") as archive:
        version = str(archive.attrs.get("keras_version", ""))
        parameters = _weights_below(archive.get("model_weights", {}))
    try:
        layers, outputs = _hdf5_layers(config["config"])
        return {
            "format": f"Keras HDF5 (Keras {version})" if version else "Keras HDF5",
            "inputs": [_hdf5_plane(layer) for layer in layers if _batch_shape(layer)],
            "outputs": [_hdf5_plane(layer) for layer in outputs],
            "parameters": parameters,
            "layers": _counted(str(layer["class_name"]) for layer in layers),
        }
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ModelError(
            f"The configuration in {file} is damaged: {error!r}", "Copy the file again, or save the model as .keras."
        ) from error


def _weights_below(group: Any) -> int:
    # The file may hold the state of an optimizer too, beside this group.
    children = [group[name] for name in group]
    return sum(one.size if isinstance(one, h5py.Dataset) else _weights_below(one) for one in children)


def _hdf5_layers(config: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return all layers of a configuration, and those that give the outputs; old sequential ones are a mere list."""
    layers = config["layers"] if isinstance(config, Mapping) else config
    stated = config.get("output_layers", []) if isinstance(config, Mapping) else []
    # One output is stated without a list around it.
    calls = [stated] if stated and isinstance(stated[0], str) else stated
    named = {layer["config"]["name"]: layer for layer in layers}
    return layers, [named[call[0]] for call in calls] or layers[-1:]


def _batch_shape(layer: Mapping[str, Any]) -> list[int | None] | None:
    config = layer["config"]
    shape: list[int | None] | None = config.get("batch_input_shape") or config.get("batch_shape")
    return shape


def _hdf5_plane(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a layer's own name and, where its settings tell it, its shape: HDF5 files do not state outputs'."""
    config = layer["config"]
    channels = config.get("filters") or config.get("units")
    shape = _batch_shape(layer) or ([None, None, None, channels] if channels else [])
    return {"name": config["name"], "shape": list(shape), "type": str(config.get("dtype") or "float32")}


def _read_onnx(file: Path) -> dict[str, Any]:
    model, _ = read_onnx(file)
    metadata = metadata_of(model)
    facts = own_facts(metadata, str(file))
    metadata.pop(FACTS_KEY, None)
    weights = {one.name for one in model.graph.initializer}
    sizes = [math.prod(one.dims) for one in model.graph.initializer if one.data_type == onnx.TensorProto.FLOAT]
    opset = max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=0)
    return {
        "format": f"ONNX, operators {opset}" + (f", by {model.producer_name}" if model.producer_name else ""),
        "inputs": [_onnx_tensor(one) for one in model.graph.input if one.name not in weights],
        "outputs": [_onnx_tensor(one) for one in model.graph.output],
        # Constants are among the weights of a graph, so ours are counted by the model that they come from.
        "parameters": facts.parameters if facts else sum(sizes),
        "layers": _counted(node.op_type for node in model.graph.node),
        "metadata": metadata,
        "facts": facts,
    }


def _onnx_tensor(value: Any) -> dict[str, Any]:
    tensor = value.type.tensor_type
    shape = [size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim]
    return {"name": value.name, "shape": shape, "type": onnx.TensorProto.DataType.Name(tensor.elem_type).lower()}


def _counted(kinds: Iterable[str]) -> dict[str, int]:
    return dict(collections.Counter(kinds).most_common())


_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".keras": _read_keras,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".onnx": _read_onnx,
}
