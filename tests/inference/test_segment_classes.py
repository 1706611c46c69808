"""Rasters of models with several classes: a band for each class, none for the background."""

import keras
import numpy as np
import pytest
import rasterio

from building_segmenter import tasks
from building_segmenter.inference.segment import segment_raster
from building_segmenter.networks.facts import BandFacts, ModelFacts
from building_segmenter.networks.model_file import save_model
from building_segmenter.progress import Progress

GSD = 0.15


@pytest.fixture(scope="module", params=["layer of its own", "within the convolution"])
def primary_colours(request, tmp_path_factory):
    """A model of roofs (red), water (blue) and trees (green), with its softmax in either place; grey is background."""
    inputs = keras.Input((None, None, 3))
    if request.param == "layer of its own":
        outputs = keras.layers.Activation("softmax")(keras.layers.Conv2D(4, 1)(inputs))
    else:
        outputs = keras.layers.Conv2D(4, 1, activation="softmax")(inputs)
    model = keras.Model(inputs, outputs)
    kernel = np.zeros((1, 1, 3, 4), np.float32)
    kernel[0, 0, 0, 1] = kernel[0, 0, 2, 2] = kernel[0, 0, 1, 3] = 0.03
    model.set_weights([kernel, np.array([4.0, 0.0, 0.0, 0.0], np.float32)])
    facts = ModelFacts(
        name="Primary colours",
        architecture="one convolution",
        bands=(BandFacts("1", 0.0, 255.0, 100.0, 50.0),) * 3,
        dtype="uint8",
        scale=(1.0,) * 3,
        offset=(0.0,) * 3,
        gsd=GSD,
        tile_size=64,
        channels=("background", "roof", "water", "Bäume"),
        classes=({"value": 2, "name": "roof"}, {"value": 300, "name": "water"}, {"value": 301, "name": "Bäume"}),
        threshold=0.5,
        created="2026-01-01T00:00:00Z",
        activation="softmax",
    )
    path = tmp_path_factory.mktemp("model") / "colours.keras"
    save_model(model, facts, path)
    return str(path)


def expected(image):
    """The softmax of each class, as stored; without the background."""
    logits = np.concatenate([np.full((*image.shape[:2], 1), 4.0), 0.03 * image[..., [0, 2, 1]]], axis=-1)
    powers = np.exp(logits)
    return np.rint(254 * powers / powers.sum(axis=-1, keepdims=True))[..., 1:].astype(int)


def segmented(image_path, model, output):
    options = tasks.SegmentRaster(input=image_path, output=str(output), model=model, inference_precision="f32")
    return segment_raster(options, Progress())


def test_each_class_has_its_band_with_name_value_and_probability(primary_colours, write_image, tmp_path):
    image = np.random.default_rng(3).integers(0, 255, (90, 130, 3)).astype(np.uint8)
    image[:, :10] = 0
    output = tmp_path / "classes.tif"
    result = segmented(write_image(image, nodata=0), primary_colours, output)
    with rasterio.open(output) as dataset:
        stored = np.moveaxis(dataset.read(), 0, -1).astype(int)
        assert dataset.descriptions == ("roof", "water", "Bäume")
        assert [dataset.tags(band)["CLASS_VALUE"] for band in (1, 2, 3)] == ["2", "300", "301"]
        assert dataset.scales == (1 / 254,) * 3
    valid = image.any(axis=-1)
    assert (stored[~valid] == 255).all()
    assert np.abs(stored - expected(image))[valid].max() <= 1
    assert stored[valid].sum(axis=-1).max() <= 254 + 2
    assert "threshold" not in result
    assert [(one["value"], one["name"]) for one in result["classes"]] == [(2, "roof"), (300, "water"), (301, "Bäume")]


def test_a_model_of_buildings_has_a_threshold_and_no_class_values(bright_model, write_image, flat_scene, tmp_path):
    output = tmp_path / "probability.tif"
    result = segmented(write_image(flat_scene.image), bright_model, output)
    with rasterio.open(output) as dataset:
        assert dataset.descriptions == ("Probability of building",)
        assert "CLASS_VALUE" not in dataset.tags(1)
    assert result["threshold"] == 0.5
    assert "classes" not in result
