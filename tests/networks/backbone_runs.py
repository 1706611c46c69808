"""Compares backbones with those of keras.applications and saves networks, where Keras' backend is TensorFlow.

Run by test_backbones in a process of its own. Usage: backbone_runs.py FOLDER NAME[=WEIGHTS]... Leaves in FOLDER, for
each backbone, NAME.npz with the arrays of the functions below, and the network NAME.keras; with WEIGHTS, a file of
pretrained ones, only NAME-imagenet.npz with the features that these make.
"""

import importlib
import sys
from pathlib import Path

import keras
import numpy as np

from building_segmenter.networks import backbones
from building_segmenter.networks.deeplabv3plus import build_deeplabv3plus, with_logits
from building_segmenter.networks.precision import with_precision

MODULES = {"mobilenetv2": "mobilenet_v2", "xception": "xception", "resnet50": "resnet", "resnet101": "resnet"}


def main(folder, names):
    for name in names:
        keras.utils.set_random_seed(3)
        if "=" in name:
            name, _, weights = name.partition("=")
            reference = backbones.BACKBONES[name].build(weights=None, input_shape=(None, None, 3))
            with np.load(weights) as arrays:
                reference.set_weights([arrays[f"w{index:03d}"].astype("float32") for index in range(len(arrays))])
            np.savez(folder / f"{name}-imagenet.npz", **compared(name, reference, weights, [16]))
            continue
        reference = with_statistics(backbones.BACKBONES[name].build(weights=None, input_shape=(None, None, 3)))
        weights = str(folder / f"{name}-weights.npz")
        np.savez(weights, **{f"w{index:03d}": weight for index, weight in enumerate(reference.get_weights())})
        features = compared(name, reference, weights, [16, 8])
        network = with_statistics(small(name, 16))
        network.save(folder / f"{name}.keras")
        answers = answers_of(network) | ({} if name.startswith("resnet") else answers_in_sixteen_bits(network))
        np.savez(folder / f"{name}.npz", **features, **answers)


def compared(name, reference, weights, output_strides):
    features = {}
    for output_stride in output_strides:
        network = small(name, output_stride)
        backbones.load_backbone_weights(network, weights)
        compare = features_of_xception if name == "xception" else features_of
        features |= compare(network, reference, output_stride)
    return features


def small(name, output_stride):
    sizes = {"aspp_filters": 16, "decoder_filters": 16}
    return build_deeplabv3plus(3, 2, [1 / 127.5] * 3, [-1.0] * 3, backbone=name, output_stride=output_stride, **sizes)


def with_statistics(model):
    """Give batch norms other statistics than none, so that a wrong one would show."""
    rng = np.random.default_rng(4)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


def image_of(side):
    return np.random.default_rng(7).integers(0, 256, (1, side, side, 3)).astype("float32")


def result(model, first, last, values):
    """Return what comes out of a layer when values go into the model, or come out of its layer `first`."""
    begin = model.get_layer(first).output if first else model.input
    return keras.Model(begin, model.get_layer(last).output).predict(values, verbose=0)


def features_of(network, reference, output_stride):
    """Both on the same image: from raw pixel values here, prepared by keras.applications there."""
    backbone = backbones.backbone_of(network)
    prepare = importlib.import_module(f"keras.applications.{MODULES[backbone.name]}").preprocess_input
    image = image_of(128)
    return {
        f"expected{output_stride}": result(reference, None, backbone.last, prepare(image.copy())),
        f"found{output_stride}": result(network, None, backbone.last, image),
    }


def features_of_xception(network, reference, output_stride):
    """Xception's first two kernels are padded in the network: the rest is compared from behind them."""
    image = image_of(136)
    begin = result(reference, None, "block1_conv2_act", image / 127.5 - 1.0)
    last = {16: "block14_sepconv2_act", 8: "block13_sepconv2_bn"}[output_stride]
    return {
        "expected_begin": begin,
        # Of the network's 68 pixels the reference has those whose kernels lie in the image.
        "found_begin": result(network, None, "block1_conv2_act", image)[:, 1:66, 1:66],
        f"expected{output_stride}": result(reference, "block1_conv2_act", last, begin),
        f"found{output_stride}": result(network, "block1_conv2_act", last, begin),
    }


def answers_of(network):
    image = image_of(64)
    return {"image": image, "answer": network.predict(image, verbose=0)}


def answers_in_sixteen_bits(network):
    sixteen = with_precision(network, "mixed_bfloat16")
    logits = with_logits(sixteen)(image_of(64))
    return {"answer_of_sixteen_bits": sixteen.predict(image_of(64), verbose=0), "logits_type": str(logits.dtype.name)}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
