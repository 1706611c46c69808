"""Keras networks as OpenVINO models."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import openvino

from building_segmenter.errors import ModelError
from building_segmenter.networks.folding import for_prediction

_BACKEND = "openvino"
_CHILD = f"""
import sys
sys.modules["openvino_telemetry"] = None  # as engine.run does
from {__name__} import convert_saved
convert_saved(*sys.argv[1:])
"""


def as_openvino(core: openvino.Core, model: keras.Model, *shape: int) -> Any:
    """Return a network of one input as an OpenVINO model.

    Args:
        core: Reads the model.
        model: The network.
        shape: Of its input, such as 1, height, width, bands of one tile; of pixel values.

    Raises:
        ModelError: Keras computes on another backend in this process, and in a process of its own the network could
            not be converted.
    """
    with tempfile.TemporaryDirectory(prefix="building-segmenter-") as folder:
        path = Path(folder) / "model.xml"
        if keras.backend.backend() == _BACKEND:
            _convert(model, shape, path)
        else:
            _convert_apart(model, shape, path)
        # Models of Keras are cycles of references; the copies of their weights would be there while this is compiled.
        gc.collect()
        # Read without mapping the file, which goes away with its folder.
        return core.read_model(str(path), config={"ENABLE_MMAP": "NO"})


def _convert(model: keras.Model, shape: Sequence[int], path: Path) -> None:
    signature = [keras.InputSpec(shape=tuple(shape), dtype="float32")]
    for_prediction(model).export(str(path), format="openvino", input_signature=signature, verbose=False)


def _convert_apart(model: keras.Model, shape: Sequence[int], path: Path) -> None:
    """Convert a network in a process where Keras computes on OpenVINO.

    A process that has trained computes on TensorFlow to its end, where networks in the form for prediction come out
    wrong (`networks.folding`), without an error.
    """
    saved = path.with_name("network.keras")
    model.save(saved)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(saved), str(path), *map(str, shape)],
        env=os.environ | {"KERAS_BACKEND": _BACKEND, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise ModelError(
            f"The network could not be converted to OpenVINO: {said[-1] if said else f'exit code {done.returncode}'}",
            "Run the prediction in a process of its own, not in one that has trained or imported TensorFlow.",
        )


def convert_saved(saved: str, path: str, *shape: str) -> None:
    """Convert a saved network to a file of OpenVINO, in a process that does nothing else."""
    _convert(keras.saving.load_model(saved, compile=False), [*map(int, shape)], Path(path))
