"""Reading ONNX files from anywhere: no code, and nothing from other files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from building_segmenter.errors import ModelError, UnsafeModelError
from building_segmenter.networks import safety
from building_segmenter.networks.facts import FACTS_KEY, ModelFacts, item_to_facts

_MAX_BYTES = 2 << 30
"""No ONNX file can be larger in one piece."""


def read_onnx(path: str | os.PathLike[str]) -> tuple[Any, bytes]:
    """Read an ONNX file.

    Returns:
        The `onnx.ModelProto`, and the bytes that it was read from: whoever runs them runs what was checked.

    Raises:
        InputNotFoundError: The file does not exist.
        ModelError: It is no ONNX file, or a damaged one.
        UnsafeModelError: It reaches for weights in other files.
    """
    file = safety.existing(path)
    if file.stat().st_size > _MAX_BYTES:
        raise ModelError(f"The model {file} is larger than 2 GB, which no ONNX file is.", "Copy it again.")
    try:
        data = file.read_bytes()
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, OSError) as error:
        raise ModelError(f"The model {file} is no ONNX file, or a damaged one: {error}", "Copy it again.") from error
    if not model.graph.output:
        raise ModelError(f"The model {file} is no ONNX file, or an empty one.", "Copy it again.")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(model)):
        raise UnsafeModelError(
            f"The model {file} was not loaded: it has weights in other files.",
            "Save it as one file, with onnx.save(onnx.load(PATH), NEW_PATH) for example.",
        )
    return model, data


def metadata_of(model: Any) -> dict[str, str]:
    """Return the metadata of an ONNX model."""
    return {one.key: one.value for one in model.metadata_props}


def own_facts(metadata: dict[str, str], source: str) -> ModelFacts | None:
    """Return the facts in a file that *Export model* wrote; None of others.

    Raises:
        ModelError: They are damaged.
    """
    stated = metadata.get(FACTS_KEY)
    if stated is None:
        return None
    try:
        item = json.loads(stated)
    except ValueError as error:
        raise ModelError(f"The facts in {source} are damaged: {error}", "Export the model again.") from error
    return item_to_facts(item, source)


def _tensors(message: Any) -> Iterator[Any]:
    """Yield all tensors of a model, wherever they are: in weights, constants, graphs in nodes, and functions."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if _is_several(field) else [value]:
                yield from _tensors(one)


def _is_several(field: Any) -> bool:
    repeated = getattr(field, "is_repeated", None)
    return bool(field.label == field.LABEL_REPEATED if repeated is None else repeated)
