"""Running a network on OpenVINO: compiled once for one tile size, requests in parallel, results in order."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import openvino
from numpy.typing import NDArray

from building_segmenter.errors import InvalidParameterError
from building_segmenter.networks.folding import for_prediction


class TilePredictor:
    """A network compiled for tiles of one size.

    The shape of a request is fixed for a run, so that how the work is split cannot change a result's bytes.

    Args:
        model: The network; Keras must run on its OpenVINO backend.
        tile_size: Side of a tile in pixels.
        bands: Bands of a tile.
        precision: auto (bf16 where the processor has it), f32 or bf16.
        threads: Processor threads, 0 for all.

    Raises:
        InvalidParameterError: The processor has no bf16 arithmetic and `precision` asks for it.
    """

    def __init__(self, model: keras.Model, tile_size: int, bands: int, precision: str, threads: int) -> None:
        core = openvino.Core()
        self.precision = _chosen_precision(core, precision)
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": self.precision,
        }
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        compiled = core.compile_model(as_openvino(core, model, tile_size, bands), "CPU", settings)
        self.device = str(core.get_property("CPU", "FULL_DEVICE_NAME")).strip()
        self.runtime = f"OpenVINO {openvino.__version__.split('-')[0]}"
        self._queue = openvino.AsyncInferQueue(compiled)
        self._queue.set_callback(self._take)
        self._results: dict[int, NDArray[np.float32]] = {}

    def __enter__(self) -> TilePredictor:
        """Begin a run."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for tiles under way: their threads call back into Python, which must not have ended by then."""
        self._queue.wait_all()

    def submit(self, number: int, tile: NDArray[np.float32]) -> None:
        """Start a tile (height, width, bands); waits while all requests are busy."""
        self._queue.start_async([tile[np.newaxis]], number)

    def collect(self) -> dict[int, NDArray[np.float32]]:
        """Wait for all started tiles and return their probabilities (height, width, channels) by number."""
        self._queue.wait_all()
        results, self._results = self._results, {}
        return results

    def _take(self, request: Any, number: int) -> None:
        # The request's memory is used again for the next tile, so the result is copied.
        self._results[number] = np.array(request.get_output_tensor(0).data[0], np.float32)


def as_openvino(core: openvino.Core, model: keras.Model, tile_size: int, bands: int) -> Any:
    """Return a network as an OpenVINO model of one tile (1, tile size, tile size, bands) in pixel values."""
    signature = [keras.InputSpec(shape=(1, tile_size, tile_size, bands), dtype="float32")]
    with tempfile.TemporaryDirectory(prefix="building-segmenter-") as folder:
        path = Path(folder) / "model.xml"
        for_prediction(model).export(str(path), format="openvino", input_signature=signature, verbose=False)
        # Read without mapping the file, which goes away with its folder.
        return core.read_model(str(path), config={"ENABLE_MMAP": "NO"})


def _chosen_precision(core: openvino.Core, wanted: str) -> str:
    has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if wanted == "auto":
        return "bf16" if has_bf16 else "f32"
    if wanted == "bf16" and not has_bf16:
        raise InvalidParameterError(
            "INFERENCE_PRECISION is bf16, but this processor has no bf16 arithmetic.", "Choose auto or f32."
        )
    return wanted
