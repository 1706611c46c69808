"""Matterport's own Mask R-CNN, the package `mrcnn` 0.2 from PyPI with its files as they are, to compare ours with.

It is put into `build/original` (`make test-full` does it; see `tests/requirements-original.txt`), apart from all else,
and runs through `../shared/matterport/shim.py` on TensorFlow and `tf_keras`, in a process that has no Keras 3: so this
module imports nothing of ours at first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / "build" / "original"
SHIM = ROOT.parent / "shared" / "matterport" / "shim.py"
INSTALL = f"pip install --no-deps --target {PACKAGES.relative_to(ROOT)} -r tests/requirements-original.txt"


def missing() -> str:
    """Return what is not there to run the original, and how to get it; nothing if all is."""
    if not SHIM.is_file():
        return f"{SHIM}, which runs Matterport's mrcnn on today's TensorFlow, is absent"
    if not (PACKAGES / "mrcnn" / "model.py").is_file() or not (PACKAGES / "tf_keras").is_dir():
        return f"Matterport's mrcnn is not in {PACKAGES}: {INSTALL}"
    return ""


def load_original():
    """Return the original's module `model`; for this process `keras` is `tf_keras` from now on."""
    sys.path[:0] = [str(PACKAGES), str(SHIM.parent)]
    import shim

    return shim.load(str(PACKAGES))


def original_model(modellib, mode, settings, folder):
    """Return the original in a mode (inference or training) and its configuration.

    Args:
        modellib: Of `load_original`.
        mode: inference or training.
        settings: Values of its configuration by their names.
        folder: Where it may write its logs.
    """
    from mrcnn.config import Config

    config = type("Settings", (Config,), {"NAME": "comparison", **settings})()
    return modellib.MaskRCNN(mode, config, str(folder)), config


def draw_weights(networks, config, picture, seed):
    """Give networks of ours weights drawn at random with which they find objects on a picture.

    Kernels are as large as keeps the spread of values, each batch norm has statistics of its own, and the last layers
    are scaled so that scores and boxes differ from place to place: else all regions or none are objects.

    Args:
        networks: With a ResNet.
        config: Theirs.
        picture: (height, width, bands) as the trunk takes it.
        seed: Of the draw.
    """
    from building_segmenter.networks.mask_rcnn.boxes import anchor_boxes, normalised_boxes
    from building_segmenter.networks.mask_rcnn.proposals import propose
    from building_segmenter.networks.mask_rcnn.roi_align import roi_align

    random = np.random.default_rng(seed)
    for layer in networks.layers:
        for weight in layer.weights:
            weight.assign(_drawn(layer.name, weight.name, tuple(weight.shape), random))
    shape = picture.shape[:2]
    *_, logits, _, deltas = _outputs(networks.trunk, picture[None])
    _spread(networks.trunk.get_layer("rpn_class_raw"), logits, 2.0)
    _spread(networks.trunk.get_layer("rpn_bbox_pred"), deltas, 0.5)
    *levels, _, probabilities, deltas = (output[0] for output in _outputs(networks.trunk, picture[None]))
    anchors = normalised_boxes(anchor_boxes(config, *shape), *shape)
    rois = propose(probabilities, deltas, anchors, config, 100)
    logits, _, deltas = _outputs(networks.box_head, roi_align(levels, rois, config.POOL_SIZE, shape, "matterport"))
    _spread(networks.box_head.get_layer("mrcnn_class_logits"), logits, 1.5)
    _spread(networks.box_head.get_layer("mrcnn_bbox_fc"), deltas.reshape(len(rois), -1), 0.5)
    (masks,) = _outputs(networks.mask_head, roi_align(levels, rois, config.MASK_POOL_SIZE, shape, "matterport"))
    masks = masks.astype(np.float64)
    _spread(networks.mask_head.get_layer("mrcnn_mask"), np.log(masks / (1 - masks)), 2.0)


def draw_picture(height, width, seed):
    """Return a picture of blocks in random colours, (height, width, 3) uint8."""
    blocks = np.random.default_rng(seed).integers(0, 256, (-(-height // 16), -(-width // 16), 3), np.uint8)
    return np.repeat(np.repeat(blocks, 16, 0), 16, 1)[:height, :width]


def _drawn(layer, role, shape, random):
    normal = random.standard_normal(shape).astype(np.float32)
    if role == "kernel":
        # A transposed convolution has its inputs last, and each output sees one place of them.
        inputs = shape[-1] if layer == "mrcnn_mask_deconv" else int(np.prod(shape[:-1]))
        # Pixel values spread by some 64. Masks come as probabilities, which must not be 0 or 1 to be spread anew.
        return normal * np.sqrt(2 / inputs) / (64 if layer in ("conv1", "mrcnn_mask") else 1)
    if role == "moving_variance":
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    if role == "gamma":
        # What a block adds is small beside what it passes on, so that a hundred layers do not multiply.
        return (1 + 0.1 * normal) * (0.2 if layer.endswith("branch2c") else 1)
    return 0.1 * normal


def _outputs(model, given):
    found = model.predict_on_batch(given)
    return [np.asarray(one) for one in (found if isinstance(found, list | tuple) else [found])]


def _spread(layer, output, deviation):
    """Scale and move a last layer so that each of its channels has the mean 0, and all a deviation."""
    kernel, bias = layer.get_weights()
    channels = output.reshape(-1, output.shape[-1])
    factor = deviation / channels.std(axis=0).mean()
    means = np.tile(channels.mean(axis=0), len(bias) // channels.shape[1])
    layer.set_weights([kernel * factor, (bias - means) * factor])


def as_settings(text):
    """Return settings of a configuration from JSON, which has no tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(text).items()}
