"""Running a network on OpenVINO: compiled once for one tile size, with requests in parallel."""

from __future__ import annotations

import queue
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import openvino
from numpy.typing import NDArray

from building_segmenter.errors import InvalidParameterError, ModelError
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

    Attributes:
        precision: f32 or bf16, as chosen.
        device: Name of the processor.
        runtime: Name and version of what runs the network.
        requests: How many tiles are predicted side by side.

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
        self.requests = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.requests):
            self._idle.put(compiled.create_infer_request())

    def predict(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities (height, width, channels) of a tile (height, width, bands).

        To be called from several threads at a time, by which the processor is kept busy: as many tiles as there are
        `requests` are predicted side by side, and further callers wait.

        Raises:
            ModelError: The network failed on this tile.
        """
        request = self._idle.get()
        # The request reads it from here, so it has to live until the request has ended.
        batch = np.ascontiguousarray(tile[np.newaxis])
        try:
            request.set_input_tensor(openvino.Tensor(batch, shared_memory=True))
            request.start_async()
            request.wait()
            # The request's memory is used again for the next tile, so the result is copied.
            return np.array(request.get_output_tensor(0).data[0], np.float32)
        except RuntimeError as error:
            raise ModelError(
                f"The network failed while it was predicting: {error}",
                "Check that there is enough memory for it, or use INFERENCE_PRECISION f32 or fewer THREADS.",
            ) from error
        finally:
            self._idle.put(request)


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
