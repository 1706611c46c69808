"""A model whose pyramid of atrous convolutions reached across its tile, as one whose pyramid does not.

Models that were trained before had the rates 6, 12 and 18 and the mean of all features of the tile. All their weights
fit the narrower pyramid: rates become 2, 4 and 6, the mean becomes that of the surroundings, and the two projections of
the branches, whose results were added, become one of all branches. What comes out has to be trained further.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from building_segmenter.networks.deeplabv3plus import build_deeplabv3plus
from building_segmenter.networks.facts import ModelFacts
from building_segmenter.networks.model_file import load_model

_EARLIER_RATES = {2: 6, 4: 12, 6: 18}


def narrowed(path: Path) -> tuple[keras.Model, ModelFacts]:
    """Return a network with the present pyramid and the weights of an earlier model, and that model's facts.

    Args:
        path: A MobileNetV2 DeepLabV3+ of output stride 16 with the earlier pyramid.

    Raises:
        ValueError: It has another network.
    """
    earlier, facts = load_model(path)
    network = build_deeplabv3plus(len(facts.bands), len(facts.channels), facts.scale, facts.offset)
    for layer in network.layers:
        if layer.weights:
            layer.set_weights(_weights(earlier, layer.name))
    return network, facts


def _weights(earlier: keras.Model, name: str) -> list[Any]:
    """Return the weights of an earlier model for one of the present network's layers."""
    if name == "aspp_project":
        parts = (earlier.get_layer(part).get_weights()[0] for part in ("aspp_project", "aspp_pool_project"))
        return [np.concatenate(list(parts), axis=2)]
    for rate, before in _EARLIER_RATES.items():
        if name.startswith(f"aspp_rate{rate}_"):
            return earlier.get_layer(name.replace(str(rate), str(before), 1)).get_weights()
    return earlier.get_layer(name).get_weights()
