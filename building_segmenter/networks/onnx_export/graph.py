"""The ONNX graph under construction: nodes and weights, named as they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 13, 7
"""Old enough for the ONNX Runtime of every QGIS plugin in use (1.8 and newer), new enough for all that is needed."""


@dataclass(frozen=True)
class Plane:
    """A tensor of the graph, (batch, channels, height, width).

    Args:
        name: Its name in the graph.
        height: Rows.
        width: Columns.
    """

    name: str
    height: int
    width: int

    def moved(self, name: str) -> Plane:
        """Return another tensor of the same size."""
        return Plane(name, self.height, self.width)


class Graph:
    """Collects nodes and weights in the order in which they compute."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def weight(self, values: ArrayLike, dtype: Any = np.float32) -> str:
        """Add an array of weights and return its name."""
        name = f"weight_{len(self._weights)}"
        array = np.ascontiguousarray(np.asarray(values, dtype))
        self._weights.append(numpy_helper.from_array(array, name))
        return name

    def per_channel(self, values: ArrayLike) -> str:
        """Add one number, or one a channel, in a form that spreads over planes."""
        array = np.asarray(values, np.float32)
        return self.weight(array.reshape(-1, 1, 1) if array.ndim else array)

    def model(self, image: Plane, bands: int, result: Plane, channels: int, producer: tuple[str, str]) -> Any:
        """Return the whole model, checked.

        Args:
            image: Its input.
            bands: Channels of the input.
            result: The tensor that is its output.
            channels: Channels of the output.
            producer: Name and version of the program that wrote it.
        """
        output = "scores"
        self._nodes.append(helper.make_node("Identity", [result.name], [output], output))
        shapes = {
            image.name: [1, bands, image.height, image.width],
            output: [1, channels, result.height, result.width],
        }
        given, got = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
        model = helper.make_model(
            helper.make_graph(self._nodes, "segmentation", [given], [got], self._weights),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name=producer[0],
            producer_version=producer[1],
        )
        # Infers every shape on its way and compares them with those that are stated.
        onnx.checker.check_model(model, full_check=True)
        return model
