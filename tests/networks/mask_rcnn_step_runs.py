"""Takes steps of learning with a small Mask R-CNN where Keras' backend is TensorFlow.

Run by test_mask_rcnn_training_steps in a process of its own. Usage: mask_rcnn_step_runs.py OUTPUT.npz
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from building_segmenter.networks.mask_rcnn import learning
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.network import build_networks

CONFIG = Config(
    BACKBONE="mobilenetv2",
    IMAGE_MIN_DIM=64,
    IMAGE_MAX_DIM=64,
    RPN_ANCHOR_SCALES=(8, 16, 32, 48, 64),
    TOP_DOWN_PYRAMID_SIZE=64,
    FPN_CLASSIF_FC_LAYERS_SIZE=32,
    TRAIN_ROIS_PER_IMAGE=18,
    POST_NMS_ROIS_TRAINING=100,
    MAX_GT_INSTANCES=4,
)
STEPS = 16


def main(output):
    keras.utils.set_random_seed(1)
    networks = build_networks(CONFIG)
    frozen = {}
    for stage in learning.STAGES:
        learning.set_trainable(networks, stage)
        frozen[f"frozen_{stage}"] = np.array([layer.name for layer in networks.layers if not layer.trainable])
    learning.set_trainable(networks, "heads")
    before = [keras.ops.convert_to_numpy(weight) for network in networks for weight in network.weights]
    losses = steps(networks)
    after = [keras.ops.convert_to_numpy(weight) for network in networks for weight in network.weights]
    paths = [weight.path for network in networks for weight in network.weights]
    changed = [path for path, old, new in zip(paths, before, after, strict=True) if not np.array_equal(old, new)]
    np.savez(output, losses=losses, changed=np.array(changed), **frozen)


def examples():
    """A picture of two houses, and one of nothing."""
    random = np.random.default_rng(0)
    masks = np.zeros((2, 64, 64), bool)
    masks[0, 8:24, 8:40], masks[1, 36:56, 30:50] = True, True
    image = np.where(masks.any(axis=0)[..., None], 200, 40) * np.ones(3)
    made = [learning.make_example(image, masks, np.ones(2, int), CONFIG, random)]
    made.append(learning.make_example(np.full((64, 64, 3), 40), masks[:0], np.zeros(0, int), CONFIG, random))
    return learning.Example(*(np.stack(parts) for parts in zip(*made, strict=True)))


def steps(networks):
    optimizer = keras.optimizers.Adam(3e-3, global_clipnorm=5.0)
    weights = learning.trainable_weights(networks)
    optimizer.build(weights)
    rule, seed = learning.roi_rule(CONFIG, fill=True), keras.random.SeedGenerator(3)
    batch = learning.Example(*(tf.convert_to_tensor(part) for part in examples()))
    # Of any number of images, as the last batch of an epoch may be smaller.
    signature = learning.Example(*(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in batch))

    @tf.function(input_signature=[signature])
    def step(batch):
        found, gradients = learning.loss_gradients(networks, CONFIG, batch, rule, seed)
        optimizer.apply(gradients, weights)
        return tf.stack([found[name] for name in learning.LOSSES])

    return np.array([step(batch) for _ in range(STEPS)])


if __name__ == "__main__":
    main(*sys.argv[1:])
