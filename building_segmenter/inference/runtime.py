"""Running a network on OpenVINO: compiled once for one tile size, with requests in parallel."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from building_segmenter.errors import ModelError
from building_segmenter.inference.compiling import compiled_model
from building_segmenter.inference.devices import chosen_device, chosen_precision
from building_segmenter.inference.model_cache import ModelCache, cache_folder
from building_segmenter.inference.network import Network, giving_planes
from building_segmenter.inference.turns import TURNS, mean_over_turns


class TilePredictor:
    """A network compiled for tiles of one size.

    The shape of a request is fixed for a run, so that how the work is split cannot change a result's bytes.

    Args:
        network: What to run; it is built only if no earlier run left it compiled (`model_cache`).
        precision: auto (bf16 on a processor that has it), f32, bf16 or f16.
        threads: Processor threads, 0 for all. They mean nothing to a graphics card.
        device: cpu, gpu or auto (`devices.chosen_device`).
        augment: none; flips or turns: the mean over 4 or 8 turned copies of a tile, at 4 or 8 times the cost.
        log: Told when the cache of compiled models is of no use.

    Attributes:
        precision: f32, bf16 or f16, as chosen.
        device: Name of the processor or card.
        runtime: Name and version of what runs the network.
        requests: How many tiles are predicted side by side.

    Raises:
        InvalidParameterError: There is no such device, or it does not have the arithmetic of `precision`.
        ModelError: The network cannot be built or compiled.
    """

    def __init__(
        self,
        network: Network,
        precision: str = "auto",
        threads: int = 0,
        device: str = "cpu",
        augment: str = "none",
        log: Callable[[str], None] = lambda message: None,
    ) -> None:
        core = openvino.Core()
        chosen = chosen_device(core, device)
        self.precision = chosen_precision(chosen, precision)
        self.device = chosen.full_name
        self.runtime = f"OpenVINO {openvino.__version__.split('-')[0]}"
        self._turns = TURNS[augment]
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": self.precision,
        }
        if threads and chosen.is_processor:
            settings["INFERENCE_NUM_THREADS"] = threads
        compiled = compiled_model(core, giving_planes(network), chosen, settings, ModelCache(cache_folder(), log), log)
        self.requests = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._given = tuple(compiled.output(0).shape)
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.requests):
            self._idle.put(compiled.create_infer_request())

    def predict(self, tile: NDArray[Any]) -> NDArray[np.float32]:
        """Return the probabilities (height, width, channels) of a tile (height, width, bands).

        In memory they lie channel by channel.

        To be called from several threads at a time, by which the processor is kept busy: as many tiles as there are
        `requests` are predicted side by side, and further callers wait.

        Raises:
            ModelError: The network failed on this tile.
        """
        return mean_over_turns(self._predict_once, tile, self._turns)

    def _predict_once(self, tile: NDArray[Any]) -> NDArray[np.float32]:
        request = self._idle.get()
        # The request reads and writes here, so these have to live until it has ended.
        batch = np.ascontiguousarray(tile[np.newaxis])
        planes = np.empty(self._given, np.float32)
        try:
            request.set_input_tensor(openvino.Tensor(batch, shared_memory=True))
            request.set_output_tensor(openvino.Tensor(planes, shared_memory=True))
            request.start_async()
            request.wait()
            probability: NDArray[np.float32] = planes[0].transpose(1, 2, 0)
            return probability
        except RuntimeError as error:
            raise ModelError(
                f"The network failed while it was predicting: {error}",
                "Check that there is enough memory for it, or use INFERENCE_PRECISION f32 or fewer THREADS.",
            ) from error
        finally:
            self._idle.put(request)
