"""Keras networks as OpenVINO models."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import openvino

from building_segmenter.networks.folding import for_prediction


def as_openvino(core: openvino.Core, model: keras.Model, tile_size: int, bands: int) -> Any:
    """Return a network as an OpenVINO model of one tile (1, tile size, tile size, bands) in pixel values."""
    signature = [keras.InputSpec(shape=(1, tile_size, tile_size, bands), dtype="float32")]
    with tempfile.TemporaryDirectory(prefix="building-segmenter-") as folder:
        path = Path(folder) / "model.xml"
        for_prediction(model).export(str(path), format="openvino", input_signature=signature, verbose=False)
        # Read without mapping the file, which goes away with its folder.
        return core.read_model(str(path), config={"ENABLE_MMAP": "NO"})
