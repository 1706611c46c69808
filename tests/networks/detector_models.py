"""Small Mask R-CNNs with weights drawn at random that find a few objects on any picture.

Run as a program, with TensorFlow, it writes one and what it finds: Keras on OpenVINO computes with 16 bits, and keeps
to the weights of a model's first call.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from building_segmenter.networks.facts import BandFacts, ModelFacts
from building_segmenter.networks.mask_rcnn.boxes import anchor_boxes, normalised_boxes
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.model_file import write_mask_rcnn
from building_segmenter.networks.mask_rcnn.network import build_networks
from building_segmenter.networks.mask_rcnn.proposals import propose
from building_segmenter.networks.mask_rcnn.roi_align import roi_align

TILE = 128
CONFIG = Config(
    BACKBONE="mobilenetv2",
    NUM_CLASSES=3,
    IMAGE_RESIZE_MODE="square",
    IMAGE_MIN_DIM=TILE,
    IMAGE_MAX_DIM=TILE,
    TOP_DOWN_PYRAMID_SIZE=32,
    FPN_CLASSIF_FC_LAYERS_SIZE=48,
    RPN_ANCHOR_SCALES=(16, 32, 64, 128, 256),
    POST_NMS_ROIS_INFERENCE=60,
    DETECTION_MIN_CONFIDENCE=0.4,
    DETECTION_MAX_INSTANCES=20,
)


def random_networks(config=CONFIG, seed=3):
    """Networks whose outputs differ from place to place, as those of untrained ones hardly do."""
    keras.utils.set_random_seed(seed)
    networks = build_networks(config)
    picture = random_picture(seed)
    *levels, logits, _, deltas = outputs_of(networks.trunk, picture[None].astype(np.float32))
    spread(networks.trunk, "rpn_class_raw", logits, 2.0)
    spread(networks.trunk, "rpn_bbox_pred", deltas, 0.5)
    *levels, _, probabilities, deltas = outputs_of(networks.trunk, picture[None].astype(np.float32))
    anchors = normalised_boxes(anchor_boxes(config, TILE, TILE), TILE, TILE)
    rois = propose(probabilities[0], deltas[0], anchors, config)
    levels = [level[0] for level in levels]
    logits, _, deltas = outputs_of(networks.box_head, roi_align(levels, rois, config.POOL_SIZE, (TILE, TILE)))
    spread(networks.box_head, "mrcnn_class_logits", logits, 2.0)
    spread(networks.box_head, "mrcnn_bbox_fc", deltas.reshape(len(rois), -1), 0.5)
    pooled = roi_align(levels, rois, config.MASK_POOL_SIZE, (TILE, TILE))
    masks = outputs_of(networks.mask_head, pooled)[0].astype(np.float64)
    spread(networks.mask_head, "mrcnn_mask", np.log(masks / (1 - masks)), 2.0)
    return networks


def random_picture(seed):
    """A picture of blocks of random colours."""
    blocks = np.random.default_rng(seed).integers(0, 256, (TILE // 8, TILE // 8, 3), np.uint8)
    return np.repeat(np.repeat(blocks, 8, 0), 8, 1)


def outputs_of(model, given):
    """All that a model gives, as arrays."""
    found = model.predict_on_batch(given)
    return [np.asarray(one) for one in (found if isinstance(found, list | tuple) else [found])]


def spread(model, name, output, deviation):
    """Scale and move the last layer before an output so that each channel has the mean 0 and a deviation."""
    kernel, bias = model.get_layer(name).get_weights()
    channels = output.reshape(-1, output.shape[-1])
    factor = deviation / channels.std()
    shift = channels.mean(axis=0) * factor
    repeats = len(bias) // len(shift)
    model.get_layer(name).set_weights([kernel * factor, bias * factor - np.tile(shift, repeats)])


def facts_of(config=CONFIG, gsd=0.5):
    return ModelFacts(
        name="random detector",
        architecture="Mask R-CNN",
        bands=tuple(BandFacts(str(k + 1), 0.0, 255.0, 110.0, 50.0) for k in range(config.IMAGE_CHANNEL_COUNT)),
        dtype="uint8",
        scale=(1 / 127.5,) * config.IMAGE_CHANNEL_COUNT,
        offset=(-1.0,) * config.IMAGE_CHANNEL_COUNT,
        gsd=gsd,
        tile_size=TILE,
        channels=("house", "shed"),
        classes=({"value": 1, "name": "house"}, {"value": 4, "name": "shed"}),
        threshold=config.DETECTION_MIN_CONFIDENCE,
        created="2026-01-02T03:04:05Z",
    )


def configuration(backbone):
    return replace(CONFIG, BACKBONE=backbone, MEAN_PIXEL=(100.0, 120.0, 90.0))


def detector(folder, backbone="mobilenetv2"):
    """Return the path of a detector, and what it finds on `random_picture(7)` (`rois`, `scores` and so on)."""
    path = folder / f"{backbone}.keras"
    environment = os.environ | {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run([sys.executable, __file__, str(path), backbone], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    with np.load(path.with_suffix(".npz")) as file:
        return path, {name: file[name] for name in file.files}


def main(path, backbone):
    from building_segmenter.networks.mask_rcnn import MaskRCNN

    config = configuration(backbone)
    networks = random_networks(config)
    write_mask_rcnn(networks, config, facts_of(config), path)
    np.savez(path.with_suffix(".npz"), **MaskRCNN(config, networks).detect([random_picture(7)])[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
