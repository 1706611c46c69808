"""DeepLabV3+: shapes, free sizes, any number of bands, and the weights that a backbone starts from."""

from pathlib import Path

import keras
import numpy as np
import pytest

from building_segmenter.errors import InputNotFoundError, ModelError
from building_segmenter.networks import backbones
from building_segmenter.networks.deeplabv3plus import build_deeplabv3plus

PRETRAINED = Path(__file__).parents[3] / "shared/weights/mobilenetv2_1.0_160_notop.weights.h5"


def small(bands=3, channels=2, **options):
    scaling = [1 / 127.5] * bands, [-1.0] * bands
    return build_deeplabv3plus(bands, channels, *scaling, aspp_filters=8, decoder_filters=8, **options)


def answer(network, values):
    return keras.ops.convert_to_numpy(network(values))[0]


@pytest.fixture(scope="module")
def network():
    return small()


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    source = keras.applications.MobileNetV2(input_shape=(64, 64, 3), include_top=False, weights=None)
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    source.save_weights(path)
    return source, path


@pytest.mark.parametrize("bands", [1, 2, 3, 5])
@pytest.mark.parametrize("channels", [1, 2])
def test_takes_any_number_of_bands_and_keeps_the_size(bands, channels):
    network = small(bands, channels)
    assert network.input_shape == (None, None, None, bands)
    for height, width in ((64, 96), (512, 512)):
        assert network.compute_output_shape((1, height, width, bands)) == (1, height, width, channels)


def test_is_made_of_keras_own_layers_only(network):
    assert all(type(layer).__module__.startswith("keras.") for layer in network.layers)
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in network.layers)


def test_pyramid_lies_at_stride_16_and_the_decoder_at_stride_4(network):
    def side_at(name):
        part = keras.Model(network.input, network.get_layer(name).output)
        return part.compute_output_shape((1, 256, 256, 3))[1]

    assert side_at("aspp_concat") == 256 // 16
    assert side_at("logits") == 256 // 4


@pytest.mark.parametrize(("output_stride", "reach"), [(16, 11), (8, 22)])
def test_a_pixel_of_the_pyramid_knows_its_surroundings_and_nothing_beyond(output_stride, reach):
    network = small(output_stride=output_stride)
    features = network.get_layer("aspp_1x1").input
    pyramid = keras.Model(features, network.get_layer("aspp_project_relu").output)
    before = np.random.default_rng(0).normal(size=(1, 60, 60, features.shape[-1])).astype("float32")
    after = before.copy()
    after[0, 30, 30] += 100.0
    changed = np.abs(answer(pyramid, after) - answer(pyramid, before)).max(axis=-1) > 1e-4
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30 - reach, 30 + reach) * 2


def test_surroundings_are_the_mean_of_what_lies_inside_the_image(network):
    features = network.get_layer("aspp_1x1").input
    pooled = keras.Model(features, network.get_layer("aspp_pool_columns").output)
    values = np.random.default_rng(0).normal(size=(1, 30, 13, features.shape[-1])).astype("float32")
    found = answer(pooled, values)
    for row, column in ((0, 0), (3, 12), (15, 6), (29, 0)):
        inside = values[0, max(row - 11, 0) : row + 12, max(column - 11, 0) : column + 12]
        np.testing.assert_allclose(found[row, column], inside.mean(axis=(0, 1)), atol=1e-5)


def test_softmax_makes_the_channels_share_one():
    network = build_deeplabv3plus(3, 4, [1.0] * 3, [0.0] * 3, activation="softmax", aspp_filters=8, decoder_filters=8)
    head = keras.Model(network.get_layer("logits").output, network.output)
    shares = keras.ops.convert_to_numpy(head(np.random.default_rng(0).normal(0, 3, (1, 8, 8, 4)).astype("float32")))
    np.testing.assert_allclose(shares.sum(axis=-1), 1.0, rtol=1e-5)
    assert np.ptp(shares) > 0.5


def test_full_network_is_small_enough_to_ship():
    assert build_deeplabv3plus(3, 2, [1.0] * 3, [0.0] * 3).count_params() < 2_000_000


def test_scaling_is_the_first_layer_and_works_by_band():
    network = build_deeplabv3plus(2, 1, [0.5, 2.0], [-1.0, 3.0], aspp_filters=8, decoder_filters=8)
    layer = network.get_layer("scaling")
    assert list(layer.scale) == [0.5, 2.0]
    assert list(layer.offset) == [-1.0, 3.0]
    assert layer.dtype_policy.compute_dtype == "float32"


def test_backbone_is_about_half_of_the_network(network):
    names = {layer.name for layer in backbones.backbone_layers(network)}
    assert {"Conv1", "block_3_expand_relu", "block_13_expand_relu"} <= names
    assert not names & {"image", "scaling", "aspp_1x1", "decoder_1_depthwise", "logits"}


def test_weights_of_a_file_arrive_in_every_layer_of_the_backbone(network, weights_file):
    source, path = weights_file
    backbones.load_backbone_weights(network, str(path))
    for layer in backbones.backbone_layers(network):
        for mine, theirs in zip(layer.get_weights(), source.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("bands", [1, 2, 4, 6])
def test_adapted_first_convolution_answers_grey_images_alike(weights_file, bands):
    source, path = weights_file
    network = small(bands)
    backbones.load_backbone_weights(network, str(path))
    kernel, adapted = source.get_layer("Conv1").get_weights()[0], network.get_layer("Conv1").get_weights()[0]
    # An image that has the same value in all bands gives the same sum of products.
    np.testing.assert_allclose(adapted.sum(axis=2), kernel.sum(axis=2), rtol=1e-4, atol=1e-5)
    if bands > 3:
        np.testing.assert_allclose(adapted[:, :, :3], kernel * 3 / bands, rtol=1e-6)


def test_frozen_batch_norms_do_not_learn_and_nothing_else_is_frozen():
    network = small()
    backbones.freeze_batch_norms(network)
    trunk = backbones.backbone_layers(network)
    norms = [layer for layer in trunk if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) > 30
    assert not any(layer.trainable_weights for layer in norms)
    assert all(layer.trainable for layer in network.layers if layer not in norms)


def test_quick_batch_norms_follow_in_some_ten_steps():
    network = small()
    backbones.quicken_batch_norms(network)
    assert network.get_layer("bn_Conv1").momentum == pytest.approx(0.9)


def test_missing_file_of_weights_is_named():
    with pytest.raises(InputNotFoundError, match=r"no/such\.weights\.h5"):
        backbones.load_backbone_weights(small(), "no/such.weights.h5")


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.weights.h5"
    keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)]).save_weights(path)
    with pytest.raises(ModelError, match="MobileNetV2"):
        backbones.load_backbone_weights(small(), str(path))


def test_file_that_is_no_hdf5_is_refused(tmp_path):
    path = tmp_path / "text.weights.h5"
    path.write_text("no weights")
    with pytest.raises(ModelError, match=r"text\.weights\.h5 are damaged"):
        backbones.load_backbone_weights(small(), str(path))


def test_failed_download_says_what_to_do_without_a_network(monkeypatch):
    def no_network(*args, **options):
        raise OSError("URL fetch failure: Name or service not known")

    network = small()
    monkeypatch.setattr(backbones.weights, "_downloaded", no_network)
    with pytest.raises(ModelError, match="could not download") as caught:
        backbones.load_backbone_weights(network, "imagenet")
    assert "BACKBONE_WEIGHTS" in caught.value.hint


def test_real_imagenet_weights_fit():
    if not PRETRAINED.is_file():
        pytest.skip(f"no pretrained weights at {PRETRAINED}")
    network = small()
    backbones.load_backbone_weights(network, str(PRETRAINED))
    # A trained first layer has seen edges: it is far from the even spread of a fresh one.
    assert np.abs(network.get_layer("Conv1").get_weights()[0]).max() > 1.0
