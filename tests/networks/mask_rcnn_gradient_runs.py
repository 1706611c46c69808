"""Computes losses and gradients of Mask R-CNN where Keras' backend is TensorFlow.

Run by test_mask_rcnn_training in a process of its own. Usage: mask_rcnn_gradient_runs.py FOLDER OUTPUT.npz:
the folder has `recipe.py`, which makes weights and an image of names.
"""

import sys

import numpy as np

from building_segmenter.networks.mask_rcnn import losses
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.learning import (
    Example,
    five_losses,
    loss_gradients,
    make_example,
    roi_rule,
    trainable_weights,
)
from building_segmenter.networks.mask_rcnn.network import build_networks


def main(folder, output):
    sys.path.insert(0, folder)
    import recipe

    config = Config(
        BACKBONE="resnet50",
        NUM_CLASSES=3,
        IMAGE_MIN_DIM=256,
        IMAGE_MAX_DIM=256,
        RPN_ANCHOR_SCALES=(16, 32, 64, 128, 256),
        TRAIN_ROIS_PER_IMAGE=60,
        MAX_GT_INSTANCES=10,
        ROI_ALIGN="matterport",
    )
    networks = build_networks(config)
    for layer in networks.layers:
        for weight in layer.weights:
            weight.assign(recipe.weight(layer.name, weight.name, tuple(weight.shape)))
    image, (masks, class_ids) = recipe.image(), recipe.truth()
    molded = np.pad(image, ((32, 32), (0, 0), (0, 0))) - np.array(config.MEAN_PIXEL)
    whole = np.pad(masks.transpose(2, 0, 1), ((0, 0), (32, 32), (0, 0)))
    example = make_example(molded, whole, class_ids, config, np.random.RandomState(0))
    rule = roi_rule(config, shuffle=False, pass_gradients=True)
    batch = Example(*(part[None] for part in example))
    found, gradients = loss_gradients(networks, config, batch, rule, decay=0)
    weights = trainable_weights(networks)
    _, targets = five_losses(networks, config, batch, rule)
    twice, _ = five_losses(networks, config, Example(*(np.stack([part, part]) for part in example)), rule)
    np.savez(
        output,
        image=molded[None, ::8, ::8],
        losses=np.array(list(found.values())),
        losses_of_two=np.array(list(twice.values())),
        names=np.array([weight.path for weight in weights]),
        norms=np.array([np.linalg.norm(np.array(gradient)) for gradient in gradients]),
        penalty=np.array(losses.weight_penalty(weights)),
        rois=np.array(targets.rois),
        class_ids=np.array(targets.class_ids),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
