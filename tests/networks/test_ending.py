import keras
import numpy as np
import pytest
from keras import layers

from building_segmenter.networks.deeplabv3plus import build_deeplabv3plus
from building_segmenter.networks.ending import before_upsampling


@pytest.mark.parametrize(("activation", "channels"), [("sigmoid", 2), ("softmax", 3)])
def test_deeplabv3plus_ends_with_logits_of_four_pixels(activation, channels):
    model = build_deeplabv3plus(3, channels, (1 / 127.5,) * 3, (-1.0,) * 3, activation=activation)
    coarse = before_upsampling(model)
    image = np.random.default_rng(0).integers(0, 255, (1, 64, 96, 3)).astype(np.float32)
    logits = coarse.predict(image, verbose=0)
    assert logits.shape == (1, 16, 24, channels)
    large = layers.UpSampling2D(4, interpolation="bilinear")(logits)
    np.testing.assert_allclose(getattr(keras.ops, activation)(large), model.predict(image, verbose=0), atol=1e-6)


def ending(**changed):
    """Return a network that ends as DeepLabV3+ does, but for what is changed."""
    upsampling = {"size": 4, "interpolation": "bilinear"} | changed
    activation = upsampling.pop("activation", "sigmoid")
    inputs = keras.Input((None, None, 3))
    logits = layers.Conv2D(1, 4, strides=4, name="logits")(inputs)
    return keras.Model(inputs, layers.Activation(activation)(layers.UpSampling2D(**upsampling)(logits)))


def test_a_network_that_ends_with_a_bilinear_upsampling_is_cut_before_it():
    model = ending()
    assert before_upsampling(model).output is model.get_layer("logits").output


@pytest.mark.parametrize("changed", [{"interpolation": "nearest"}, {"size": (4, 2)}, {"activation": "tanh"}])
def test_a_network_that_ends_otherwise_is_left_as_it_is(changed):
    model = ending(**changed)
    assert before_upsampling(model) is model


def test_a_network_without_upsampling_is_left_as_it_is():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layers.Activation("sigmoid")(layers.Conv2D(1, 1)(inputs)))
    assert before_upsampling(model) is model


def test_an_upsampling_of_two_calls_is_no_ending():
    inputs = keras.Input((None, None, 3))
    twice = layers.UpSampling2D(2, interpolation="bilinear")
    model = keras.Model(inputs, layers.Activation("sigmoid")(twice(twice(layers.Conv2D(1, 4, strides=4)(inputs)))))
    assert before_upsampling(model) is model
