"""From a Keras network to nodes of a graph: follows the calls of its layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from building_segmenter.errors import ModelError
from building_segmenter.networks.onnx_export.graph import Graph, Plane
from building_segmenter.networks.onnx_export.layers import add_layer


def add_network(graph: Graph, network: keras.Model, image: Plane) -> Plane:
    """Add a network's computation to a graph, channels first.

    Batch norms stay as they are: ONNX Runtime and OpenVINO fold them into the convolutions when they load the file.

    Args:
        graph: Takes the nodes.
        network: A functional or sequential network from one image to one output, channels last.
        image: The image as the network takes it, channels first.

    Returns:
        The network's output, channels first.

    Raises:
        ModelError: It has several inputs or outputs, or a layer that cannot be written as ONNX; the message names it.
    """
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ModelError(
            f"The network {network.name} has {len(network.inputs)} inputs and {len(network.outputs)} outputs.",
            "Export a network that turns one image into one plane of probabilities.",
        )
    # A sequential network keeps its calls in a functional one.
    functional: Any = network._functional if isinstance(network, keras.Sequential) else network
    known = {id(functional.inputs[0]): image}
    for call in _calls(functional):
        inputs = [known[id(tensor)] for tensor in call.input_tensors]
        known[id(call.outputs[0])] = _added(graph, call.operation, inputs)
    return known[id(functional.outputs[0])]


def _calls(functional: Any) -> Iterator[Any]:
    """Yield the calls of a network's layers, each after those it depends on."""
    for _, calls in sorted(functional._nodes_by_depth.items(), reverse=True):
        yield from (call for call in calls if not call.is_input)


def _added(graph: Graph, operation: Any, inputs: list[Plane]) -> Plane:
    if isinstance(operation, keras.Model):
        return add_network(graph, operation, inputs[0])
    return add_layer(graph, operation, inputs)
