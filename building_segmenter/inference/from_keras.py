"""Keras networks as OpenVINO models."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path
from typing import Any

import keras
import openvino

from building_segmenter.networks.folding import for_prediction


def as_openvino(core: openvino.Core, model: keras.Model, *shape: int) -> Any:
    """Return a network of one input as an OpenVINO model.

    Args:
        core: Reads the model.
        model: The network.
        shape: Of its input, such as 1, height, width, bands of one tile; of pixel values.
    """
    signature = [keras.InputSpec(shape=shape, dtype="float32")]
    with tempfile.TemporaryDirectory(prefix="building-segmenter-") as folder:
        path = Path(folder) / "model.xml"
        for_prediction(model).export(str(path), format="openvino", input_signature=signature, verbose=False)
        # Models of Keras are cycles of references; the copies of their weights would be there while this is compiled.
        gc.collect()
        # Read without mapping the file, which goes away with its folder.
        return core.read_model(str(path), config={"ENABLE_MMAP": "NO"})
