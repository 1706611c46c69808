"""Running networks on OpenVINO: compiled once for one shape, with requests in parallel."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from building_segmenter.errors import ModelError
from building_segmenter.inference.compiling import compiled_model, kept_weights
from building_segmenter.inference.devices import chosen_device, chosen_precision
from building_segmenter.inference.model_cache import ModelCache, cache_folder
from building_segmenter.inference.network import Network, Weights, giving_planes
from building_segmenter.inference.turns import TURNS, mean_over_turns

Log = Callable[[str], None]


def _silent(message: str) -> None:
    pass


class Runtime:
    """What runs the networks of a run: one device, in one arithmetic.

    Args:
        precision: auto (bf16 on a processor that has it), f32, bf16 or f16.
        threads: Processor threads, 0 for all. They mean nothing to a graphics card.
        device: cpu, gpu or auto (`devices.chosen_device`).
        log: Told when the cache of compiled models is of no use.

    Attributes:
        precision: f32, bf16 or f16, as chosen.
        device: Name of the processor or card.
        on_processor: Whether it is the machine's processor.
        threads: How many processor threads there are to work with.
        name: Name and version of what runs the networks.

    Raises:
        InvalidParameterError: There is no such device, or it does not have the arithmetic of `precision`.
    """

    def __init__(self, precision: str = "auto", threads: int = 0, device: str = "cpu", log: Log = _silent) -> None:
        self._core, self._log = openvino.Core(), log
        self._chosen = chosen_device(self._core, device)
        self.precision = chosen_precision(self._chosen, precision)
        self.device, self.on_processor = self._chosen.full_name, self._chosen.is_processor
        self.threads = threads or os.cpu_count() or 1
        self.name = f"OpenVINO {openvino.__version__.split('-')[0]}"
        self._settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": self.precision,
        }
        if threads and self._chosen.is_processor:
            self._settings["INFERENCE_NUM_THREADS"] = threads

    def compiled(self, network: Network) -> CompiledNetwork:
        """Return a network ready to run; it is built only if no earlier run left it compiled (`model_cache`).

        Raises:
            ModelError: The network cannot be built or compiled.
        """
        kept = self._kept()
        return CompiledNetwork(compiled_model(self._core, network, self._chosen, self._settings, kept, self._log))

    def weights(self, weights: Weights) -> dict[str, NDArray[np.float32]]:
        """Return weights that are used outside of a network; it is read only if no earlier run kept them.

        Raises:
            ModelError: As reading does.
        """
        return kept_weights(weights, self._kept())

    def _kept(self) -> ModelCache:
        return ModelCache(cache_folder(), self._log)


class CompiledNetwork:
    """A compiled network with one input, of which several requests run side by side.

    Attributes:
        requests: How many.
        taken: Shape of its input.
        given: Shapes of its outputs.
    """

    def __init__(self, compiled: Any) -> None:
        self.requests = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self.taken = tuple(compiled.input().shape)
        self.given = [tuple(output.shape) for output in compiled.outputs]
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.requests):
            self._idle.put(compiled.create_infer_request())

    def run(self, batch: NDArray[Any]) -> list[NDArray[np.float32]]:
        """Return all outputs for an input of the network's own shape.

        To be called from several threads at a time, by which the processor is kept busy: further callers wait.

        Raises:
            ModelError: The network failed.
        """
        request = self._idle.get()
        # The request reads and writes here, so these have to live until it has ended.
        batch = np.ascontiguousarray(batch)
        outputs = [np.empty(shape, np.float32) for shape in self.given]
        try:
            request.set_input_tensor(openvino.Tensor(batch, shared_memory=True))
            for number, output in enumerate(outputs):
                request.set_output_tensor(number, openvino.Tensor(output, shared_memory=True))
            request.start_async()
            request.wait()
            return outputs
        except RuntimeError as error:
            raise ModelError(
                f"The network failed while it was predicting: {error}",
                "Check that there is enough memory for it, or use INFERENCE_PRECISION f32 or fewer THREADS.",
            ) from error
        finally:
            self._idle.put(request)


class TilePredictor:
    """A network of segmentation compiled for tiles of one size.

    The shape of a request is fixed for a run, so that how the work is split cannot change a result's bytes.

    Args:
        network: What to run.
        precision: As of `Runtime`, like `threads`, `device` and `log`.
        threads: See there.
        device: See there.
        augment: none; flips or turns: the mean over 4 or 8 turned copies of a tile, at 4 or 8 times the cost.
        log: See there.

    Attributes:
        runtime: What runs it.
        requests: How many tiles are predicted side by side.
        factor: How many times as coarse as a tile is what the network gives for it.

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
        log: Log = _silent,
    ) -> None:
        self.runtime = Runtime(precision, threads, device, log)
        self._turns = TURNS[augment]
        self._network = self.runtime.compiled(giving_planes(network))
        self.requests = self._network.requests
        self.factor: int = self._network.taken[1] // self._network.given[0][2]

    def predict(self, tile: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the network gives (rows, columns, channels) for a tile (height, width, bands).

        Probabilities of its pixels, or logits of cells where `factor` is not 1. In memory they lie channel by channel.

        To be called from several threads at a time, by which the processor is kept busy: as many tiles as there are
        `requests` are predicted side by side, and further callers wait.

        Raises:
            ModelError: The network failed on this tile.
        """
        return mean_over_turns(self._predict_once, tile, self._turns)

    def _predict_once(self, tile: NDArray[Any]) -> NDArray[np.float32]:
        (planes,) = self._network.run(tile[np.newaxis])
        given: NDArray[np.float32] = planes[0].transpose(1, 2, 0)
        return given
