"""Networks before they run anywhere."""

import numpy as np

from building_segmenter.inference.network import fed_bytes, keras_network
from building_segmenter.inference.runtime import TilePredictor
from building_segmenter.networks.model_file import read_facts
from building_segmenter.networks.shipped import default_model_path


def test_bytes_give_the_same_probabilities_as_the_numbers_that_they_are():
    network = keras_network(default_model_path(), facts := read_facts(default_model_path()))
    tile = np.random.default_rng(3).integers(0, 256, (facts.tile_size, facts.tile_size, 3), np.uint8)
    given = TilePredictor(network, threads=1).predict(tile.astype(np.float32))
    assert fed_bytes(network).content != network.content
    assert np.array_equal(TilePredictor(fed_bytes(network), threads=1).predict(tile), given)
    assert given.std() > 0
