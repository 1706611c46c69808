"""Computes the same with Matterport's Mask R-CNN and with ours, each in a process of its own.

Run by test_mask_rcnn_original. Usage: mask_rcnn_original_runs.py (weights | original | ours) FOLDER, where FOLDER has
`given.json`. The first writes weights and a picture there, the others `original.npz` and `ours.npz`.
"""

import json
import sys
from pathlib import Path

import numpy as np

from benchmarks import mask_rcnn_original as matterport

LEVELS = ("fpn_p2", "fpn_p3", "fpn_p4", "fpn_p5")
OBJECTS, LEAST_SIDE = 8, 12
LOSSES = ("rpn_class_loss", "rpn_bbox_loss", "mrcnn_class_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss")


def read(folder):
    """Return the settings of both, the seed, and the picture."""
    given = json.loads((folder / "given.json").read_text())
    picture = matterport.draw_picture(*given["shape"], given["seed"])
    return matterport.as_settings(json.dumps(given["settings"])), given["seed"], picture


def objects(folder, picture):
    """Return masks (height, width, n) and classes of objects: boxes, and ellipses in such."""
    boxes = np.load(folder / "objects.npy")
    masks = np.zeros((*picture.shape[:2], len(boxes)), bool)
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    for place, (top, left, bottom, right) in enumerate(boxes):
        down = (2 * rows + 1 - top - bottom) / (bottom - top)
        over = (2 * columns + 1 - left - right) / (right - left)
        masks[..., place] = down**2 + over**2 <= 1 if place % 2 else np.maximum(abs(down), abs(over)) <= 1
    return masks, np.resize([1, 2], len(boxes)).astype(np.int32)


def weights(folder):
    from building_segmenter.networks.mask_rcnn import MaskRCNN
    from building_segmenter.networks.mask_rcnn.boxes import anchor_boxes, normalised_boxes, pixel_boxes
    from building_segmenter.networks.mask_rcnn.config import Config
    from building_segmenter.networks.mask_rcnn.molding import mold_image
    from building_segmenter.networks.mask_rcnn.proposals import propose

    settings, seed, picture = read(folder)
    config = Config(**settings, ROI_ALIGN="matterport")
    model = MaskRCNN(config)
    molded, (top, left, bottom, right) = mold_image(picture, config)
    matterport.draw_weights(model.networks, config, molded, seed)
    model.save_matterport(folder / "weights.h5")
    # Objects lie where some proposals do, so that the heads have something to learn.
    *_, probabilities, deltas = model.networks.trunk.predict_on_batch(molded[None])
    shape = molded.shape[:2]
    anchors = normalised_boxes(anchor_boxes(config, *shape), *shape)
    proposed = pixel_boxes(propose(probabilities[0], deltas[0], anchors, config), *shape)
    boxes = np.clip(proposed - [top, left, top, left], 0, np.tile([bottom - top, right - left], 2))
    large = boxes[((boxes[:, 2:] - boxes[:, :2]) >= LEAST_SIDE).all(axis=1)]
    np.save(folder / "objects.npy", np.random.default_rng(seed).choice(large, OBJECTS, replace=False))


def original(folder):
    settings, seed, picture = read(folder)
    modellib = matterport.load_original()
    import tf_keras.backend as backend

    model, _ = matterport.original_model(modellib, "inference", settings, folder)
    results = {"table": np.array(loaded(model, folder / "weights.h5"))}
    molded, metas, windows = model.mold_inputs([picture])
    anchors = model.get_anchors(molded[0].shape)[None]
    names = [*LEVELS, "rpn_class", "rpn_bbox", "ROI", "mrcnn_class", "mrcnn_bbox", "mrcnn_detection", "mrcnn_mask"]
    network = model.keras_model
    compute = backend.function(network.inputs, [network.get_layer(name).output for name in names])
    results |= dict(zip(names, compute([molded, metas, anchors]), strict=True))
    results |= {"molded": molded, "window": windows[0], "anchors": anchors[0]}
    results |= {f"detected_{key}": value for key, value in model.detect([picture])[0].items()}
    backend.clear_session()
    results |= learned(modellib, backend, settings, folder, seed, picture)
    np.savez(folder / "original.npz", **results)


def loaded(model, path):
    """Load weights, check that each of the original's arrays is the file's, and return their names and shapes."""
    import h5py

    model.load_weights(str(path), by_name=True)
    rows = []
    with h5py.File(path, "r") as file:
        for group in model.keras_model.layers:
            for weight, value in zip(group.weights, group.get_weights(), strict=True):
                stored = file[group.name][weight.name]
                assert np.array_equal(stored[()], value), weight.name
                rows.append(f"{group.name}/{weight.name} {value.shape}")
    return rows


def learned(modellib, backend, settings, folder, seed, picture):
    """Return losses and norms of gradients of the original, and what they were computed of."""
    import tensorflow as tf
    from mrcnn import utils

    masks, class_ids = objects(folder, picture)

    class Drawn(utils.Dataset):
        def load_image(self, image_id):
            return picture

        def load_mask(self, image_id):
            return masks, class_ids

    dataset = Drawn()
    for number in (1, 2):
        dataset.add_class("drawn", number, str(number))
    dataset.add_image("drawn", 0, None)
    dataset.prepare()
    model, config = matterport.original_model(modellib, "training", settings, folder)
    model.load_weights(str(folder / "weights.h5"), by_name=True)
    np.random.seed(seed % 2**32)
    given, _ = next(modellib.data_generator(dataset, config, shuffle=False, batch_size=1))
    network = model.keras_model
    values = [network.get_layer(name).output for name in LOSSES]
    learning = network.trainable_weights
    gradients = tf.gradients(tf.add_n([tf.reduce_mean(value) for value in values]), learning)
    targets = list(network.get_layer("proposal_targets").output)
    found = backend.function(network.inputs, [*values, *targets, tf.stack([tf.norm(one) for one in gradients])])(given)
    names = ("image", "image_meta", "rpn_match", "rpn_bbox", "gt_class_ids", "gt_boxes", "gt_masks")
    results = {f"given_{name}": value for name, value in zip(names, given, strict=True)}
    results |= {"losses": np.array([float(np.ravel(value)[0]) for value in found[:5]]), "norms": found[-1]}
    results |= {"target_rois": found[5], "target_class_ids": found[6]}
    return results | {"names": np.array([weight.name.split(":")[0] for weight in learning])}


def ours(folder):
    from building_segmenter.networks.mask_rcnn import MaskRCNN, tensors
    from building_segmenter.networks.mask_rcnn.detections import select_detections
    from building_segmenter.networks.mask_rcnn.molding import mold_image
    from building_segmenter.networks.mask_rcnn.proposals import propose
    from building_segmenter.networks.mask_rcnn.roi_align import roi_align

    settings, seed, picture = read(folder)
    theirs = np.load(folder / "original.npz")
    model = MaskRCNN.from_matterport(folder / "weights.h5", **settings)
    config, networks = model.config, model.networks
    molded = mold_image(picture, config)
    shape = molded.image.shape[:2]
    outputs = networks.trunk.predict_on_batch(molded.image[None])
    results = {"molded": molded.image[None]} | dict(zip(LEVELS, outputs[:4], strict=True))
    results |= {"rpn_class": outputs[5], "rpn_bbox": outputs[6]}
    # Each stage is given what the original's stage before it found.
    levels, rois, anchors = [theirs[name] for name in LEVELS], theirs["ROI"], theirs["anchors"]
    count = config.POST_NMS_ROIS_INFERENCE
    results["ROI"] = propose(theirs["rpn_class"][0], theirs["rpn_bbox"][0], anchors, config)[None]
    results["ROI_of_tensors"] = tensors.propose(theirs["rpn_class"], theirs["rpn_bbox"], anchors, config, count)
    pooled = roi_align([level[0] for level in levels], rois[0], config.POOL_SIZE, shape, config.ROI_ALIGN)
    _, results["mrcnn_class"], results["mrcnn_bbox"] = networks.box_head.predict_on_batch(pooled)
    pooled = tensors.roi_align(levels, rois, config.POOL_SIZE, shape, config.ROI_ALIGN)
    results["mrcnn_class_of_tensors"] = networks.box_head.predict_on_batch(np.asarray(pooled)[0])[1]
    inside = theirs["mrcnn_class"][0], theirs["mrcnn_bbox"][0], (np.array(theirs["window"]) - (0, 0, 1, 1))
    window = (inside[2] / (np.tile(shape, 2) - 1)).astype(np.float32)
    found = select_detections(rois[0], *inside[:2], window, config)
    results["mrcnn_detection"] = np.column_stack([found.boxes, found.class_ids, found.scores])
    boxes = theirs["mrcnn_detection"][0, :, :4]
    pooled = roi_align([level[0] for level in levels], boxes, config.MASK_POOL_SIZE, shape, config.ROI_ALIGN)
    results["mrcnn_mask"] = networks.mask_head.predict_on_batch(pooled)
    results |= {f"detected_{key}": value for key, value in model.detect([picture])[0].items()}
    results |= our_learning(networks, config, molded, objects(folder, picture), seed)
    np.savez(folder / "ours.npz", **{name: np.asarray(value) for name, value in results.items()})


def our_learning(networks, config, molded, drawn, seed):
    from building_segmenter.networks.mask_rcnn.learning import (
        Example,
        five_losses,
        loss_gradients,
        make_example,
        roi_rule,
        trainable_weights,
    )

    masks, class_ids = drawn
    whole = np.zeros((len(class_ids), *molded.image.shape[:2]), bool)
    top, left, bottom, right = molded.window
    whole[:, top:bottom, left:right] = np.moveaxis(masks, -1, 0)
    example = make_example(molded.image, whole, class_ids, config, np.random.RandomState(seed % 2**32))
    batch, rule = Example(*(part[None] for part in example)), roi_rule(config, shuffle=False, pass_gradients=True)
    found, gradients = loss_gradients(networks, config, batch, rule, decay=0)
    _, targets = five_losses(networks, config, batch, rule)
    return {
        "losses": [float(found[name]) for name in LOSSES],
        "norms": [np.linalg.norm(np.array(one)) for one in gradients],
        "names": [weight.path for weight in trainable_weights(networks)],
        "target_rois": targets.rois,
        "target_class_ids": targets.class_ids,
        "given_gt_boxes": batch.boxes,
        "given_gt_masks": np.moveaxis(batch.masks, 1, -1),
        "given_rpn_match": batch.matches,
    }


if __name__ == "__main__":
    {"weights": weights, "original": original, "ours": ours}[sys.argv[1]](Path(sys.argv[2]))
