"""Trains a small Mask R-CNN on drawn squares; run by test_train_instances where Keras' backend is TensorFlow.

Usage: instance_runs.py FOLDER whole|stopped. Leaves whole.json or stopped.json there, and the outputs of the runs. What
the second goes on from is the state of the first after its first epoch, as a kill would leave it.
"""

import dataclasses
import json
import shutil
import sys
import threading
from pathlib import Path

import keras
import numpy as np
from drawn_squares import draw_squares

from building_segmenter import tasks
from building_segmenter.errors import BuildingSegmenterError, CancelledError
from building_segmenter.progress import Progress, SilentSink
from building_segmenter.training.instances import run as training
from building_segmenter.training.train import train_model

SMALL = {
    "TOP_DOWN_PYRAMID_SIZE": 64,
    "FPN_CLASSIF_FC_LAYERS_SIZE": 32,
    "PRE_NMS_LIMIT": 200,
    "POST_NMS_ROIS_TRAINING": 50,
    "POST_NMS_ROIS_INFERENCE": 50,
    "TRAIN_ROIS_PER_IMAGE": 18,
}


def main(folder, which):
    config_of = training.config_of
    training.config_of = lambda *given: dataclasses.replace(config_of(*given), **SMALL)
    training._LEAST_STEPS = 6
    recipe = {"dataset": str(folder / "squares"), "backbone_weights": str(folder / "backbone.weights.h5")}
    recipe |= {"epochs": 2, "head_epochs": 1, "batch_size": 2, "crop": 64, "classes": "separate"}
    stopped = folder / "stopped.keras"
    if which == "whole":
        draw_squares(folder / "squares", size=64, sheds=True)
        save_backbone(folder / "backbone.weights.h5")
        boxes = draw_squares(folder / "boxes", "pascal-voc", size=64)
        results = {"whole": run(folder / "whole.keras", recipe, stopped)}
        run(folder / "part.keras", recipe | {"layers": "4+", "epochs": 1, "head_epochs": 0})
        results["part"] = learned(folder / "part.keras", folder / "backbone.weights.h5")
        results["no masks"] = failure(folder, recipe | {"dataset": boxes})
        np.savez(folder / "found.npz", **loaded(folder / "whole.keras"))
    else:
        results = {"cancelled": cancelled(stopped, recipe), "resumed": run(stopped, recipe)}
    (folder / f"{which}.json").write_text(json.dumps(results), encoding="utf-8")


def save_backbone(path):
    """Weights of a backbone that has learned nothing, but whose batch norms know what comes to them."""
    keras.utils.set_random_seed(3)
    backbone = keras.applications.MobileNetV2(input_shape=(64, 64, 3), include_top=False, weights=None)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    backbone(np.random.default_rng(2).uniform(-1, 1, (4, 64, 64, 3)), training=True)
    backbone.save_weights(path)


def run(output, recipe, copy=None):
    stages = []

    class Sink(SilentSink):
        def progress(self, fraction, stage, eta_s):
            stages.append(stage)
            if copy and stage.startswith("Epoch 2/2, batch 1/"):
                shutil.copytree(f"{output}.partial", f"{copy}.partial")

    sink = Sink()
    result = train_model(made(output, recipe), Progress(sink))
    return {"result": result, "stages": stages, "logs": sink.logs, "warnings": sink.warnings}


def cancelled(output, recipe):
    stop, stages = threading.Event(), []

    class Sink(SilentSink):
        def progress(self, fraction, stage, eta_s):
            stages.append(stage)
            if stage.startswith("Epoch 2/2, batch 2/"):
                stop.set()

    try:
        train_model(made(output, recipe), Progress(Sink(), stop))
    except CancelledError:
        return {"stages": stages, "left": sorted(path.name for path in output.parent.glob(f"{output.stem}*"))}
    return {"stages": stages, "left": ["it was not cancelled"]}


def failure(folder, recipe):
    try:
        train_model(made(folder / "m.keras", recipe), Progress())
    except BuildingSegmenterError as error:
        return {"code": error.code, "message": str(error), "hint": error.hint}
    return {"code": "it did not fail"}


def made(output, recipe):
    return tasks.build_task("train", recipe | {"architecture": "mask-rcnn", "output": str(output)})


def learned(path, weights):
    """Names of the backbone's layers with other kernels than it began with, and of those with the same."""
    from building_segmenter.networks.mask_rcnn.model_file import load_mask_rcnn

    before = keras.applications.MobileNetV2(input_shape=(64, 64, 3), include_top=False, weights=None)
    before.load_weights(weights)
    names = {"changed": [], "same": []}
    for layer in load_mask_rcnn(path)[0].trunk.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D) and layer.name.startswith("block_"):
            old = before.get_layer(layer.name).get_weights()[0]
            names["same" if np.array_equal(layer.get_weights()[0], old) else "changed"].append(layer.name)
    return names


def loaded(path):
    """Weights of a written model, read back."""
    from building_segmenter.networks.mask_rcnn.model_file import load_mask_rcnn

    networks, config, _ = load_mask_rcnn(path)
    return {"weights": sum(network.count_params() for network in networks), "classes": config.NUM_CLASSES}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
