"""A model of before the pyramid was narrowed."""

import keras
import numpy as np
import pytest
from keras import layers

from building_segmenter.networks import deeplabv3plus
from building_segmenter.networks.facts import BandFacts, ModelFacts
from building_segmenter.networks.model_file import save_model


def earlier_pyramid(features, filters, out_filters, output_stride):
    """The pyramid as it was: wide rates, and the mean of the whole tile, projected by itself and added."""
    names = [f"aspp_rate{rate}" for rate in (6, 12, 18)]
    branches = [deeplabv3plus._conv(features, filters, "aspp_1x1")]
    branches += [deeplabv3plus._separable(features, filters, name, int(name[9:])) for name in names]
    joined = layers.Concatenate()(branches)
    local = layers.Conv2D(out_filters, 1, use_bias=False, name="aspp_project")(joined)
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(features)
    pooled = layers.Conv2D(filters, 1, activation="relu", name="aspp_pool_conv")(pooled)
    pooled = layers.Conv2D(out_filters, 1, use_bias=False, name="aspp_pool_project")(pooled)
    return deeplabv3plus._norm_relu(layers.Add()([local, pooled]), "aspp_project")


@pytest.fixture
def earlier(monkeypatch):
    """An earlier network with weights drawn at random, also those that begin as zeros and ones."""
    monkeypatch.setattr(deeplabv3plus, "_atrous_pyramid", earlier_pyramid)
    keras.utils.set_random_seed(0)
    network = deeplabv3plus.build_deeplabv3plus(3, 2, [1 / 127.5] * 3, [-1.0] * 3)
    monkeypatch.undo()
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return network


@pytest.fixture
def save_earlier(tmp_path):
    """Write a network as a model for tiles of 64 px; returns its path."""

    def save(network):
        bands = tuple(BandFacts(str(number), 0.0, 255.0, 100.0, 50.0) for number in range(3))
        facts = ModelFacts(
            name="earlier",
            architecture="DeepLabV3+",
            bands=bands,
            dtype="uint8",
            scale=(1 / 127.5,) * 3,
            offset=(-1.0,) * 3,
            gsd=0.15,
            tile_size=64,
            channels=("building", "contact"),
            classes=({"value": 1, "name": "building"},),
            threshold=0.5,
            created="2026-01-01T00:00:00Z",
        )
        path = tmp_path / "earlier.keras"
        save_model(network, facts, path)
        return path

    return save
