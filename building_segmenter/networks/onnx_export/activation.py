"""Activations as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import activations

from building_segmenter.networks.onnx_export.graph import Graph, Plane

_SIMPLE: dict[Callable[..., Any], str] = {
    activations.relu: "Relu",
    activations.sigmoid: "Sigmoid",
    activations.tanh: "Tanh",
}

KNOWN = (*_SIMPLE, activations.linear, activations.relu6, activations.silu, activations.softmax)
"""The activations that can be written."""


def activated(graph: Graph, function: Callable[..., Any], plane: Plane) -> Plane:
    """Add one of the known activations; a softmax runs over the channels."""
    if function is activations.linear:
        return plane
    if function is activations.relu6:
        return clipped(graph, plane, 6.0)
    if function is activations.softmax:
        return plane.moved(graph.add("Softmax", plane.name, axis=1))
    if function is activations.silu:
        return plane.moved(graph.add("Mul", plane.name, graph.add("Sigmoid", plane.name)))
    return plane.moved(graph.add(_SIMPLE[function], plane.name))


def clipped(graph: Graph, plane: Plane, maximum: float | None) -> Plane:
    """Add a rectifier, which may have a ceiling."""
    if maximum is None:
        return plane.moved(graph.add("Relu", plane.name))
    return plane.moved(graph.add("Clip", plane.name, graph.weight(0.0), graph.weight(maximum)))
