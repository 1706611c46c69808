"""Run by tests in a process with TensorFlow as backend: `reference H5 NPZ OUT` or `drawn OUT`."""

import sys
from pathlib import Path

import numpy as np

from building_segmenter.networks.mask_rcnn import MaskRCNN, tensors
from building_segmenter.networks.mask_rcnn.boxes import anchor_boxes, normalised_boxes
from building_segmenter.networks.mask_rcnn.checkpoints import HEADS
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.molding import mold_image

REFERENCE = {
    "BACKBONE": "resnet50",
    "NUM_CLASSES": 3,
    "IMAGES_PER_GPU": 1,
    "IMAGE_MIN_DIM": 256,
    "IMAGE_MAX_DIM": 256,
    "RPN_ANCHOR_SCALES": (16, 32, 64, 128, 256),
    "POST_NMS_ROIS_INFERENCE": 300,
    "DETECTION_MIN_CONFIDENCE": 0.5,
    "DETECTION_MAX_INSTANCES": 40,
}
SMALL = {"BACKBONE": "mobilenetv2", "IMAGE_MIN_DIM": 64, "IMAGE_MAX_DIM": 128, "TOP_DOWN_PYRAMID_SIZE": 8}
SMALL |= {"FPN_CLASSIF_FC_LAYERS_SIZE": 16, "POST_NMS_ROIS_INFERENCE": 50}
SMALL |= {"DETECTION_MIN_CONFIDENCE": 0.0}


def reference(h5_path, oracle_path, out):
    oracle = np.load(oracle_path)
    model = MaskRCNN.from_matterport(h5_path, **REFERENCE)
    config, networks = model.config, model.networks
    molded = mold_image(oracle["image"], config).image
    levels_and_rpn = networks.trunk.predict_on_batch(molded[None])
    levels = levels_and_rpn[:4]
    results = dict(zip(("fpn_p2", "fpn_p3", "fpn_p4", "fpn_p5"), levels, strict=True))
    results |= dict(zip(("rpn_class_logits", "rpn_class", "rpn_bbox"), levels_and_rpn[4:], strict=True))
    pooled = tensors.roi_align(levels, oracle["ROI"], 7, (256, 256), "matterport")
    results["roi_align_classifier"] = pooled
    heads = networks.box_head.predict_on_batch(np.asarray(pooled)[0])
    results |= dict(zip(("mrcnn_class_logits", "mrcnn_class", "mrcnn_bbox"), heads, strict=True))
    boxes = oracle["mrcnn_detection"][..., :4]
    pooled = tensors.roi_align(levels, boxes, 14, (256, 256), "matterport")
    results["roi_align_mask"] = pooled
    results["mrcnn_mask"] = networks.mask_head.predict_on_batch(np.asarray(pooled)[0, :12])
    anchors = normalised_boxes(anchor_boxes(config, 256, 256), 256, 256)
    results["ROI"] = tensors.propose(oracle["rpn_class"], oracle["rpn_bbox"], anchors, config, 300)
    results |= {f"detected_{key}": value for key, value in model.detect([oracle["image"]])[0].items()}
    saved = Path(out).with_name("written.h5")
    model.save_matterport(saved)
    again = MaskRCNN.from_matterport(saved, exclude=HEADS, **(REFERENCE | {"NUM_CLASSES": 2}))
    same = again.networks.trunk.predict_on_batch(molded[None])
    results["rpn_bbox_of_written"] = same[6]
    np.savez(out, **{name: np.asarray(value) for name, value in results.items()})


def drawn(out):
    import tensorflow as tf

    random = np.random.default_rng(3)
    config = Config(**SMALL)
    model = MaskRCNN(config)
    images = [random.integers(0, 256, shape, dtype=np.uint8) for shape in ((64, 96, 3), (128, 128, 3))]
    results = {}
    for number, found in enumerate(model.detect(images)):
        results |= {f"{key}_{number}": value for key, value in found.items()}
    levels = [random.normal(size=(2, 128 // s, 128 // s, 8)).astype(np.float32) for s in (4, 8, 16, 32)]
    corners = random.uniform(0, 1, (2, 20, 2, 2)).astype(np.float32)
    rois = np.concatenate([corners.min(axis=2), corners.max(axis=2)], axis=-1)
    rois[:, 0], rois[:, 1] = (0, 0, 1, 1), 0
    results |= {"rois": rois} | {f"level_{number}": level for number, level in enumerate(levels)}
    for variant in ("exact", "matterport"):
        variables = [tf.Variable(level) for level in levels]
        with tf.GradientTape() as tape:
            pooled = tensors.roi_align(variables, rois, 7, (128, 128), variant)
            total = tf.reduce_sum(pooled)
        gradients = tape.gradient(total, variables)
        results[f"pooled_{variant}"] = pooled.numpy()
        results[f"gradient_{variant}"] = np.array([float(tf.reduce_sum(one)) for one in gradients])
    anchors = normalised_boxes(anchor_boxes(config, 128, 128), 128, 128)
    scores = random.uniform(size=(2, len(anchors))).astype(np.float32)
    probabilities = np.stack([1 - scores, scores], axis=-1)
    deltas = tf.Variable(random.normal(size=(2, len(anchors), 4)).astype(np.float32))
    with tf.GradientTape() as tape:
        proposed = tensors.propose(probabilities, deltas, anchors, config, 50)
    results |= {"anchors": anchors, "probabilities": probabilities, "deltas": deltas.numpy(), "proposed": proposed}
    results["deltas_learn"] = np.abs(tape.gradient(proposed, deltas)).max()
    np.savez(out, **{name: np.asarray(value) for name, value in results.items()})


if __name__ == "__main__":
    {"reference": reference, "drawn": drawn}[sys.argv[1]](*sys.argv[2:])
