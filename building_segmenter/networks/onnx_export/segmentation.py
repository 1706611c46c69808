"""A segmentation model as one ONNX file that Deepness and GeoDeep run as it is."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import onnx

from building_segmenter.errors import InvalidParameterError
from building_segmenter.networks.facts import FACTS_KEY, ModelFacts
from building_segmenter.networks.onnx_export.deepness import deepness_metadata, score_names, value_range
from building_segmenter.networks.onnx_export.graph import Graph, Plane
from building_segmenter.networks.onnx_export.network import add_network

_PRODUCER = "building_segmenter"


def as_onnx(network: keras.Model, facts: ModelFacts, threshold: float, item: dict[str, Any]) -> Any:
    """Return a segmentation model as an ONNX model.

    It takes `image` (1, bands, size, size) float32 of pixel values divided by 255 (the range of their type), and gives
    `scores` (1, channels, size, size) float32. For buildings, channel 1 is their probability p, and channel 0,
    the background, has the score `sigmoid(2 logit(t) - logit(p))`: the threshold t where p is t, lower above it and
    higher below it, and 1 - p where t is a half. So the higher of the two is right at any threshold, with and without
    setting scores below t to zero. Contact of buildings is left out. Classes that exclude each other are given as they
    are.

    Args:
        network: The network, from (batch, H, W, bands) in pixel values.
        facts: The model's facts.
        threshold: Probability from which a pixel is a building; above 0, below 1.
        item: The facts as they are to travel in the file.

    Raises:
        ModelError: The network has a layer that cannot be written as ONNX, or was trained on floating-point values.
        InvalidParameterError: The threshold decides nothing.
    """
    if not facts.is_multiclass and not 0.0 < threshold < 1.0:
        raise InvalidParameterError(
            f"THRESHOLD is {threshold}, which calls everything a building or nothing.", "Give one above 0 and below 1."
        )
    graph = Graph()
    given = Plane("image", facts.tile_size, facts.tile_size)
    pixels = given.moved(graph.add("Mul", given.name, graph.weight(value_range(facts.dtype))))
    probabilities = add_network(graph, network, pixels)
    scores = probabilities if facts.is_multiclass else _building_scores(graph, probabilities, threshold)
    producer = (_PRODUCER, facts.engine_version)
    model = graph.model(given, len(facts.bands), scores, len(score_names(facts)), producer)
    # Among classes that exclude each other the highest wins, however low it is.
    metadata = deepness_metadata(facts, 0.0 if facts.is_multiclass else threshold)
    onnx.helper.set_model_props(model, {**metadata, FACTS_KEY: json.dumps(item, allow_nan=False)})
    return model


def _building_scores(graph: Graph, probabilities: Plane, threshold: float) -> Plane:
    """Add scores of background and building to what the network says of building and, perhaps, contact."""
    first, second, axis = (graph.weight([number], np.int64) for number in (0, 1, 1))
    building = graph.add("Slice", probabilities.name, first, second, axis)
    # With odds p / (1 - p), the sigmoid of the docstring is (1 - p) / (1 - p + p k), k = ((1 - t) / t)^2.
    ground = graph.add("Sub", graph.weight(1.0), building)
    weighed = graph.add("Mul", building, graph.weight(((1.0 - threshold) / threshold) ** 2))
    background = graph.add("Div", ground, graph.add("Add", ground, weighed))
    return probabilities.moved(graph.add("Concat", background, building, axis=1))
