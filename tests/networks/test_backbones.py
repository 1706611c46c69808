"""Backbones: strides made dense without changing what weights see, and pretrained weights that arrive."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from building_segmenter.errors import ModelError
from building_segmenter.networks import backbones
from building_segmenter.networks.deeplabv3plus import build_deeplabv3plus, with_logits
from building_segmenter.networks.model_file import load_model
from building_segmenter.networks.precision import with_precision
from building_segmenter.networks.shipped import default_model_path

HERE = Path(__file__).parent
XCEPTION = Path(__file__).parents[3] / "shared/weights/xception_imagenet_notop.fp16.npz"
SMALL = ("mobilenetv2", "xception", "resnet50")
EVERY = [*SMALL, pytest.param("resnet101", marks=pytest.mark.slow)]
TOGETHER = (("mobilenetv2", "xception"), ("resnet50", "resnet101"))
RUN = ["mobilenetv2", "xception", *(pytest.param(name, marks=pytest.mark.slow) for name in TOGETHER[1])]


def small(name, bands=3, output_stride=16, channels=1):
    scale, offset = [1 / 127.5] * bands, [-1.0] * bands
    sizes = {"aspp_filters": 8, "decoder_filters": 8}
    return build_deeplabv3plus(bands, channels, scale, offset, backbone=name, output_stride=output_stride, **sizes)


def run(backend, script, *arguments):
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, cwd=HERE.parents[1])
    assert done.returncode == 0, done.stderr.decode()[-3000:]


def arrays_of(path):
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What TensorFlow makes of backbones, and OpenVINO of the same networks: several in one go."""
    pytest.importorskip("tensorflow")
    folder, results = tmp_path_factory.mktemp("backbones"), {}

    def run_of(name):
        if name not in results:
            names = next(names for names in TOGETHER if name in names)
            imagenet = [f"xception={XCEPTION}"] if "xception" in names and XCEPTION.is_file() else []
            run("tensorflow", "backbone_runs.py", folder, *names, *imagenet)
            run("openvino", "exported_runs.py", folder, *names)
            for one in names:
                answers = {"exported": arrays_of(folder / f"{one}-exported.npz")}
                results[one] = arrays_of(folder / f"{one}.npz") | answers
            if imagenet:
                results["xception-imagenet"] = arrays_of(folder / "xception-imagenet.npz")
        return results[name]

    return run_of


def assert_alike(found, expected):
    assert found.shape == expected.shape
    assert expected.std() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


# Where the features of the strided original lie among the dense ones. A kernel with a stride of MobileNetV2 has its
# middle on the second of the two pixels that it makes one of.
EVERY_SECOND, EVERY_FOURTH = slice(None, None, 2), slice(None, None, 4)
KEPT = {
    ("mobilenetv2", 16): slice(None),
    ("mobilenetv2", 8): slice(1, None, 2),
    ("xception", 16): EVERY_SECOND,
    ("xception", 8): EVERY_SECOND,
    ("resnet50", 16): EVERY_SECOND,
    ("resnet50", 8): EVERY_FOURTH,
    ("resnet101", 16): EVERY_SECOND,
    ("resnet101", 8): EVERY_FOURTH,
}


@pytest.mark.parametrize("name", RUN)
@pytest.mark.parametrize("output_stride", [16, 8])
def test_dense_features_hold_those_of_keras_own_model_on_the_same_image(runs, name, output_stride):
    kept, found = KEPT[name, output_stride], runs(name)[f"found{output_stride}"]
    assert_alike(found[:, kept, kept], runs(name)[f"expected{output_stride}"])


def test_padding_of_xceptions_first_kernels_changes_nothing_within_the_image(runs):
    assert_alike(runs("xception")["found_begin"], runs("xception")["expected_begin"])


def test_imagenet_weights_make_the_features_of_keras_own_model(runs):
    if not XCEPTION.is_file():
        pytest.skip(f"no pretrained weights at {XCEPTION}")
    runs("xception")
    features = runs("xception-imagenet")
    assert_alike(features["found_begin"], features["expected_begin"])
    assert_alike(features["found16"][:, EVERY_SECOND, EVERY_SECOND], features["expected16"])


@pytest.mark.parametrize("name", RUN)
def test_folded_network_says_the_same_on_openvino(runs, name):
    exported = runs(name)["exported"]
    np.testing.assert_allclose(exported["answer"], runs(name)["answer"], atol=1e-4)
    assert np.ptp(exported["answer"]) > 0.02
    # Every norm has a convolution before it.
    assert exported["norms"] == 0
    # The image, the result and what is enlarged.
    assert exported["transposed"] < 10


@pytest.mark.parametrize("name", ["mobilenetv2", "xception"])
def test_sixteen_bits_say_nearly_the_same_and_leave_float32(runs, name):
    difference = np.abs(runs(name)["answer_of_sixteen_bits"] - runs(name)["answer"]).max()
    assert 0 < difference < 0.02
    assert runs(name)["logits_type"] == "float32"


def side_at(network, name, side=128):
    return keras.Model(network.input, network.get_layer(name).output).compute_output_shape((1, side, side, 3))[1]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("output_stride", [16, 8])
def test_features_lie_at_their_strides_and_the_result_at_every_pixel(name, output_stride):
    network = small(name, output_stride=output_stride)
    assert side_at(network, backbones.BACKBONES[name].low_level) == 128 // 4
    assert side_at(network, "aspp_concat") == 128 // output_stride
    assert side_at(network, "decoder_concat") == 128 // 4
    assert network.compute_output_shape((1, 48, 80, 3)) == (1, 48, 80, 1)


@pytest.mark.parametrize(("name", "bands"), [("mobilenetv2", 4), ("xception", 1), ("resnet50", 5)])
def test_takes_any_number_of_bands(name, bands):
    network = small(name, bands)
    assert network.input_shape == (None, None, None, bands)
    assert network.get_layer(backbones.BACKBONES[name].first_convolution).kernel.shape[2] == bands


def test_resnets_get_bytes_less_the_mean_of_each_colour():
    network = small("resnet50")
    ranged = keras.Model(network.input, network.get_layer("pixel_range").output)
    mean = np.array([123.68, 116.779, 103.939], np.float32)
    values = keras.ops.convert_to_numpy(ranged(np.broadcast_to(mean, (1, 16, 16, 3))))
    np.testing.assert_allclose(values, 0.0, atol=1e-4)
    wider = small("resnet50", bands=4).get_layer("pixel_range")
    np.testing.assert_allclose(wider.offset, 127.5 - np.array([*mean, mean.mean()]), rtol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_names_do_not_depend_on_other_networks_and_layers_are_keras_own(name):
    first, second = small(name), small(name)
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert all(type(layer).__module__.startswith("keras.") for layer in first.layers)
    assert backbones.backbone_of(first).name == name


def test_default_network_is_laid_out_like_the_shipped_one():
    shipped, facts = load_model(default_model_path())
    fresh = build_deeplabv3plus(len(facts.bands), len(facts.channels), facts.scale, facts.offset)
    assert fresh.name == shipped.name
    for mine, theirs in zip(fresh.layers, shipped.layers, strict=True):
        # Training froze some.
        assert mine.get_config() | {"trainable": True} == theirs.get_config() | {"trainable": True}
    shapes = [[weight.shape for weight in network.weights] for network in (fresh, shipped)]
    assert shapes[0] == shapes[1]
    fresh.set_weights(shipped.get_weights())
    image = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3)).astype("float32")
    answers = [keras.ops.convert_to_numpy(network(image)) for network in (fresh, shipped)]
    np.testing.assert_array_equal(answers[0], answers[1])


@pytest.mark.parametrize("name", SMALL)
def test_backbone_is_all_before_the_heads_and_its_batch_norms_freeze_and_quicken(name):
    network = small(name)
    trunk = backbones.backbone_layers(network)
    heads = [layer for layer in network.layers if layer not in trunk]
    words = ("image", "scaling", "pixel_range", "aspp", "decoder", "logits", "upsampled", "probabilities")
    assert all(layer.name.startswith(words) for layer in heads)
    assert not any(layer.name.startswith(words) for layer in trunk)
    backbones.quicken_batch_norms(network)
    backbones.freeze_batch_norms(network)
    norms = [layer for layer in trunk if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) > 30
    assert all(not layer.trainable_weights and layer.momentum == 0.9 for layer in norms)
    assert all(layer.trainable for layer in network.layers if layer not in norms)


def test_foreign_network_has_no_backbone_of_ours():
    image = keras.layers.Input((None, None, 3))
    with pytest.raises(ValueError, match="none of the backbones"):
        backbones.backbone_layers(keras.Model(image, keras.layers.Conv2D(1, 1)(image), name="mine_vgg"))


def test_float32_is_the_network_itself_and_sixteen_bits_leave_no_policy_behind():
    network = small("mobilenetv2")
    backbones.freeze_batch_norms(network)
    assert with_precision(network, "float32") is network
    sixteen = with_precision(network, "mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    assert sixteen.get_layer("Conv1").compute_dtype == "bfloat16"
    assert {weight.dtype for weight in sixteen.weights} == {"float32"}
    assert len(sixteen.trainable_weights) == len(network.trainable_weights)
    assert with_logits(sixteen).output.dtype == "float32"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Random weights of Xception as .npz, in 16 bits; returns them by name, and the path."""
    model = backbones.BACKBONES["xception"].build(weights=None, input_shape=(None, None, 3))
    weights = {f"w{index:03d}": weight.astype("float16") for index, weight in enumerate(model.get_weights())}
    path = tmp_path_factory.mktemp("weights") / "xception.npz"
    np.savez(path, **weights)
    return weights, path


@pytest.mark.parametrize("bands", [3, 4])
def test_arrays_arrive_in_their_layers(archive, bands):
    weights, path = archive
    network = small("xception", bands)
    backbones.load_backbone_weights(network, str(path))
    kernel = network.get_layer("block1_conv1").get_weights()[0]
    np.testing.assert_allclose(kernel[:, :, :3] * bands / 3, weights["w000"].astype("float32"), rtol=1e-6)
    last = [layer for layer in backbones.backbone_layers(network) if layer.weights][-1]
    np.testing.assert_array_equal(last.get_weights()[-1], weights["w233"].astype("float32"))


def test_archive_of_another_backbone_is_named(archive):
    with pytest.raises(ModelError, match="weights of ResNet-50 without its top: it has 234 arrays") as caught:
        backbones.load_backbone_weights(small("resnet50"), str(archive[1]))
    assert "seems to be of Xception: give BACKBONE xception" in caught.value.hint


def test_keras_file_of_another_backbone_is_named(tmp_path):
    path = tmp_path / "m.weights.h5"
    backbones.BACKBONES["mobilenetv2"].build(weights=None, input_shape=(64, 64, 3)).save_weights(path)
    with pytest.raises(ModelError, match="weights of Xception without its top") as caught:
        backbones.load_backbone_weights(small("xception"), str(path))
    assert "seems to be of MobileNetV2" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"w233": np.zeros(7, "float32")}, r"w233 is \(7,\)"),
        ({"w233": np.zeros(2048, "int32")}, "w233 is .* of int32"),
        ({"w000": np.zeros((300, 300), "float32")}, "w000 has more than"),
        ({"extra": np.zeros(1)}, "it has 235 arrays, not w000 to w233"),
        ({"w233": np.array([object()] * 2048)}, "damaged"),
    ],
)
def test_archive_that_does_not_fit_is_refused(archive, tmp_path, changes, message):
    path = tmp_path / "x.npz"
    np.savez(path, **archive[0] | changes)
    with pytest.raises(ModelError, match=message):
        backbones.load_backbone_weights(small("xception"), str(path))


def test_damaged_archive_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(b"PK no zip")
    with pytest.raises(ModelError, match=r"damaged or no \.npz"):
        backbones.load_backbone_weights(small("mobilenetv2"), str(path))


@pytest.mark.parametrize("name", EVERY)
def test_number_of_arrays_is_known(name):
    backbone = backbones.BACKBONES[name]
    assert len(backbone.build(weights=None, input_shape=(96, 96, 3)).weights) == backbone.arrays
