"""Runs small networks on Keras with TensorFlow and, converted, on ONNX Runtime, and writes how far they differ.

A program of its own, because the backend of Keras is chosen once a process: `python onnx_cases.py RESULT.json`.
"""

import json
import os
import sys

SIZE = 38
CASES = {}


def case(build):
    CASES[build.__name__] = build
    return build


@case
def convolutions(image):
    x = layers.Conv2D(6, 3, 2, "same", activation="relu", bias_initializer="normal")(image)
    x = layers.Conv2D(8, (5, 3), padding="same", dilation_rate=2, use_bias=False)(x)
    x = layers.Conv2D(4, 2, (2, 3), "same", groups=2, activation="silu")(x)
    return layers.Conv2D(5, 3, activation="tanh")(x)


@case
def even_strides(image):
    return layers.Conv2D(5, 4, 3, "same")(layers.Conv2D(4, 2, 2, "same")(image))


@case
def depthwise(image):
    x = layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=2, bias_initializer="normal")(image)
    return layers.DepthwiseConv2D(3, padding="same", dilation_rate=3, use_bias=False, activation="relu6")(x)


@case
def separable(image):
    x = layers.SeparableConv2D(7, 3, padding="same", dilation_rate=2, use_bias=False)(image)
    return layers.SeparableConv2D(4, 3, 2, "same", depth_multiplier=3, activation="relu", bias_initializer="normal")(x)


@case
def batch_norms(image):
    x = layers.BatchNormalization(epsilon=0.01)(image)
    return layers.BatchNormalization(scale=False, center=False)(layers.ReLU()(x))


@case
def activations(image):
    x = layers.Conv2D(4, 1)(image)
    kinds = ("relu", "relu6", "sigmoid", "tanh", "silu", "softmax", "linear")
    parts = [layers.Activation(kind)(x) for kind in kinds]
    return layers.Concatenate()([*parts, layers.ReLU(max_value=0.5)(x), layers.Softmax()(x)])


@case
def poolings(image):
    x = layers.MaxPooling2D(3, 2, "same")(image)
    x = layers.AveragePooling2D(2, 3, "same")(x)
    return layers.MaxPooling2D(2)(x)


@case
def means_of_surroundings(image):
    x = layers.AveragePooling2D((15, 1), 1, "same")(image)
    return layers.AveragePooling2D((1, 99), 1, "same")(x)


@case
def pooled_features(image):
    x = layers.Conv2D(4, 1)(image)
    weights = layers.Activation("sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return layers.Add()([layers.Multiply()([x, weights]), weights, x])


@case
def paddings(image):
    return layers.Conv2D(4, 3, 2)(layers.ZeroPadding2D(((0, 1), (2, 3)))(image))


@case
def upsamplings(image):
    x = layers.UpSampling2D((2, 3), interpolation="nearest")(layers.Conv2D(2, 1)(image))
    return layers.UpSampling2D(4, interpolation="bilinear")(x)


@case
def scalings(image):
    x = layers.Rescaling([0.5, 2.0, 0.1], [-1.0, 0.0, 3.0])(image)
    return layers.Dropout(0.5)(layers.Identity()(layers.Rescaling(3.0, 0.25)(x)))


@case
def sequential(image):
    inner = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 3, padding="same"), layers.ReLU()])
    twice = keras.Input((None, None, 4))
    nested = keras.Model(twice, layers.Add()([layers.Conv2D(4, 1)(twice), twice]))
    return nested(nested(inner(image)))


@case
def shared_layer(image):
    shared = layers.Conv2D(3, 3, padding="same")
    return layers.Concatenate()([shared(image), shared(shared(image))])


def deeplab(image, backbone, output_stride, activation="sigmoid"):
    from building_segmenter.networks.deeplabv3plus import build_deeplabv3plus

    padded = layers.ZeroPadding2D(((0, 64 - SIZE), (0, 64 - SIZE)))(image)
    choices = {"backbone": backbone, "output_stride": output_stride, "activation": activation}
    return build_deeplabv3plus(3, 3, [1.0] * 3, [0.0] * 3, aspp_filters=16, decoder_filters=16, **choices)(padded)


@case
def deeplab_mobilenetv2(image):
    return deeplab(image, "mobilenetv2", 8, "softmax")


@case
def deeplab_resnet50(image):
    return deeplab(image, "resnet50", 16)


@case
def deeplab_xception(image):
    return deeplab(image, "xception", 8)


def difference(build):
    """Return the largest difference, as a share of the largest value."""
    keras.utils.set_random_seed(1)
    image = keras.Input((SIZE, SIZE, 3))
    network = keras.Model(image, build(image))
    random = np.random.default_rng(2)
    for variable in network.variables:
        if any(word in variable.path for word in ("moving", "gamma", "beta")):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    pixels = random.uniform(-1, 1, (1, SIZE, SIZE, 3)).astype("float32")
    expected = network(pixels, training=False).numpy()
    assert expected.std() > 0.005 * np.abs(expected).max(), "a flat answer proves nothing"
    return float(np.abs(converted(network, pixels) - expected).max() / np.abs(expected).max())


def converted(network, pixels):
    graph, image = Graph(), Plane("image", SIZE, SIZE)
    result = add_network(graph, network, image)
    model = graph.model(image, 3, result, network.output_shape[-1], ("tests", "1"))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"image": pixels.transpose(0, 3, 1, 2)})[0].transpose(0, 2, 3, 1)


def shipped_difference():
    """Return the largest difference of the shipped model's building probability, and the lowest and highest one."""
    network, facts = load_model(default_model_path())
    side, random = facts.tile_size, np.random.default_rng(3)
    pixels = np.kron(random.integers(0, 256, (side // 32, side // 32, 3)), np.ones((32, 32, 1)))
    pixels = np.clip(pixels + random.normal(0, 9, pixels.shape), 0, 255).round().astype("float32")[None]
    expected = network(pixels, training=False).numpy()[..., 0]
    session = onnxruntime.InferenceSession(as_onnx(network, facts, facts.threshold, {}).SerializeToString())
    got = session.run(None, {"image": (pixels / np.float32(255)).transpose(0, 3, 1, 2)})[0][:, 1]
    return [float(np.abs(got - expected).max()), float(expected.min()), float(expected.max())]


if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import numpy as np
    import onnxruntime
    from keras import layers

    from building_segmenter.networks.model_file import load_model
    from building_segmenter.networks.onnx_export.graph import Graph, Plane
    from building_segmenter.networks.onnx_export.network import add_network
    from building_segmenter.networks.onnx_export.segmentation import as_onnx
    from building_segmenter.networks.shipped import default_model_path

    results = {name: difference(build) for name, build in CASES.items()}
    results["shipped"] = shipped_difference()
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(results, file)
