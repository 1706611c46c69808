"""Computes targets and losses of Mask R-CNN where Keras' backend is TensorFlow.

Run by test_mask_rcnn_training in a process of its own. Usage: mask_rcnn_training_runs.py INPUTS.npz OUTPUTS.npz
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from building_segmenter.networks.mask_rcnn import losses
from building_segmenter.networks.mask_rcnn.targets import RoiRule, detection_targets, normalise_boxes, pairwise_iou


def main(inputs, outputs):
    with np.load(inputs) as arrays:
        given = dict(arrays)
    results = losses_of(given) | penalties() | targets_of_drawn(given)
    if "oracle_proposals" in given:
        results |= targets_of_oracle(given)
    np.savez(outputs, **results)


def losses_of(given):
    matches, class_ids = given["matches"], given["class_ids"]
    values = {
        "rpn_class": losses.rpn_class_loss(matches, given["rpn_logits"]),
        "rpn_bbox": losses.rpn_bbox_loss(matches, given["rpn_targets"], given["rpn_deltas"]),
        "class": losses.mrcnn_class_loss(class_ids, given["logits"], given["active"]),
        "bbox": losses.mrcnn_bbox_loss(given["bbox_targets"], class_ids, given["deltas"]),
        "mask": losses.mrcnn_mask_loss(given["mask_targets"], class_ids[:, :3], given["masks"]),
        "rpn_bbox_none": losses.rpn_bbox_loss(-abs(matches), given["rpn_targets"], given["rpn_deltas"]),
        "mask_none": losses.mrcnn_mask_loss(given["mask_targets"], 0 * class_ids[:, :3], given["masks"]),
        "class_none": losses.mrcnn_class_loss(class_ids, given["logits"], 0 * given["active"]),
    }
    return {f"loss_{name}": np.array(value) for name, value in values.items()}


def penalties():
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])
    network.layers[0].set_weights([np.full((4, 3), 2.0), np.full(3, 3.0)])
    return {"penalty": np.array(losses.weight_penalty(network.trainable_weights))}


def targets_of_drawn(given):
    results = {"overlaps": np.array(pairwise_iou(given["proposals"], given["boxes"]))}
    rules = {
        "first": RoiRule(rois=12, shuffle=False),
        "filled": RoiRule(rois=12, shuffle=False, fill=True),
        "drawn": RoiRule(rois=12),
        "whole_masks": RoiRule(rois=12, shuffle=False, mini_masks=False),
        "larger_than_proposals": RoiRule(rois=90, shuffle=False),
    }
    for name, rule in rules.items():
        masks = given["whole_masks"] if name == "whole_masks" else given["mini_masks"]
        traced = tf.function(lambda *truth, rule=rule: detection_targets(*truth, rule=rule, seed=5))
        truth = given["proposals"], given["true_ids"], given["boxes"], masks
        targets = traced(*(tf.convert_to_tensor(array) for array in truth))
        results |= {f"{name}_{part}": np.array(value) for part, value in targets._asdict().items()}
    for passing in (False, True):
        results[f"gradient_{passing}"] = gradient(given, RoiRule(rois=12, shuffle=False, pass_gradients=passing))
    return results


def gradient(given, rule):
    proposals = tf.convert_to_tensor(given["proposals"])
    with tf.GradientTape() as tape:
        tape.watch(proposals)
        targets = detection_targets(proposals, given["true_ids"], given["boxes"], given["mini_masks"], rule)
        total = tf.reduce_sum(tf.abs(targets.deltas)) + tf.reduce_sum(targets.masks)
    found = tape.gradient(total, proposals)
    return np.zeros(given["proposals"].shape) if found is None else np.array(tf.convert_to_tensor(found))


def targets_of_oracle(given):
    boxes = np.array(normalise_boxes(given["oracle_boxes"], 256, 256))
    boxes[~given["oracle_boxes"].any(axis=1)] = 0
    truth = given["oracle_class_ids"][None], boxes[None], given["oracle_masks"][None]
    targets = detection_targets(given["oracle_proposals"], *truth, RoiRule(rois=60, shuffle=False))
    return {f"oracle_{part}": np.array(value) for part, value in targets._asdict().items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
