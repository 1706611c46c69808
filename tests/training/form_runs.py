"""Takes steps with networks as they are and in their training form; run by test_form where the backend is TensorFlow.

Usage: form_runs.py FILE. Leaves in FILE, by NAME/as-is and NAME/formed, what each came to after two steps.
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from building_segmenter.networks import backbones
from building_segmenter.networks.deeplabv3plus import build_deeplabv3plus, with_logits
from building_segmenter.networks.precision import with_precision
from building_segmenter.training.form import training_form

SIDE, STEPS = 64, 2


def main(file):
    results = {}
    for name, frozen in (("mobilenetv2", True), ("mobilenetv2", False), ("xception", True)):
        network = drawn_network(name)
        if frozen:
            backbones.freeze_batch_norms(network)
        start = network.get_weights()
        for way, form in (("as-is", lambda model: model), ("formed", training_form)):
            network.set_weights(start)
            key = f"{name}-{'frozen' if frozen else 'learning'}/{way}"
            results |= {f"{key}/{part}": value for part, value in after_steps(network, form).items()}
    results |= convolutions()
    np.savez(file, **results)


def drawn_network(name):
    keras.utils.set_random_seed(3)
    sizes = {"aspp_filters": 16, "decoder_filters": 16, "dropout": 0.0}
    network = build_deeplabv3plus(3, 2, [1 / 127.5] * 3, [-1.0] * 3, backbone=name, **sizes)
    network = keras.models.clone_model(network, clone_function=smooth)
    give_statistics(network)
    return network


def smooth(layer):
    """Without the kinks of ReLU, on whose other side a feature may come to lie by the last digit."""
    if isinstance(layer, keras.layers.ReLU):
        return keras.layers.Activation("softplus", name=layer.name)
    config = layer.get_config()
    return type(layer).from_config(
        config | {"activation": "softplus"} if config.get("activation") == "relu" else config
    )


def give_statistics(network):
    """Statistics of what goes through: with others, norms would blow up the last digits, in which forms may differ."""
    images = np.random.default_rng(4).uniform(0, 255, (2, SIDE, SIDE, 3)).astype("float32")
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.2
    for _ in range(3):
        network(images, training=True)
    for layer in norms:
        layer.momentum = 0.8


def after_steps(network, form):
    """Return logits, gradients of the first step, and statistics of batch norms after the last."""
    rng = np.random.default_rng(7)
    images = rng.uniform(0, 255, (STEPS, 2, SIDE, SIDE, 3)).astype("float32")
    shape = form(with_logits(network))

    @tf.function
    def step(image):
        with tf.GradientTape() as tape:
            logits = shape(image, training=True)
            loss = tf.reduce_mean(tf.square(tf.cast(logits, tf.float32) - 1.0))
        return logits, tape.gradient(loss, network.trainable_weights)

    logits, gradients = step(images[0])
    for image in images[1:]:
        step(image)
    moved = [weight.numpy().ravel() for weight in network.non_trainable_weights]
    return {
        "logits": logits.numpy(),
        "gradients": np.concatenate([tf.convert_to_tensor(one).numpy().ravel() for one in gradients]),
        "statistics": np.concatenate(moved),
    }


def convolutions():
    """Kernels with bias, stride, dilation and several outputs of a channel; norms without scale, offset or kernel."""
    image = keras.layers.Input((None, None, 3))
    hidden = keras.layers.Conv2D(6, 3, strides=2, padding="same", bias_initializer="ones")(image)
    hidden = keras.layers.ReLU()(keras.layers.BatchNormalization()(hidden))
    hidden = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, dilation_rate=2, use_bias=False)(hidden)
    hidden = keras.layers.BatchNormalization(scale=False)(hidden)
    hidden = keras.layers.BatchNormalization(center=False)(keras.layers.ReLU()(hidden))
    network = keras.Model(image, keras.layers.Conv2D(1, 1, name="upsampled_logits")(hidden))
    give_statistics(network)
    for layer in network.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    sixteen = with_precision(network, "mixed_bfloat16")
    results = {}
    for name, one in (("convolutions", network), ("sixteen-bits", sixteen)):
        for way, form in (("as-is", lambda model: model), ("formed", training_form)):
            results |= {f"{name}/{way}/{part}": value for part, value in after_steps(one, form).items()}
    return results


if __name__ == "__main__":
    main(sys.argv[1])
