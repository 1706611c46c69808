"""Networks before they run anywhere."""

import numpy as np

from building_segmenter.inference.ending import OfLogits, Run
from building_segmenter.inference.network import coarse_network, fed_bytes, keras_network
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


def test_the_coarse_network_ends_as_the_whole_one_does():
    path = default_model_path()
    facts = read_facts(path)
    tile = np.random.default_rng(4).integers(0, 256, (facts.tile_size, facts.tile_size, 3)).astype(np.float32)
    whole, coarse = (TilePredictor(kind(path, facts), "f32", 1) for kind in (keras_network, coarse_network))
    assert (whole.factor, coarse.factor) == (1, 4)
    # A tile by itself goes on beyond its edges as it is there.
    cells = np.pad(np.moveaxis(coarse.predict(tile), 2, 0), ((0, 0), (1, 1), (1, 1)), mode="edge")
    run, valid = Run(4, facts.tile_size), np.ones(tile.shape[:2], bool)
    stored = OfLogits(4, 0, shared=False).stored(cells, run, run, valid)
    expected = np.moveaxis(whole.predict(tile), 2, 0) * 254
    assert np.abs(stored - expected).max() < 0.51
    assert stored.std() > 0
