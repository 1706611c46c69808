"""Trains on small drawn chips; run by test_train_model in a process of its own, where Keras' backend is TensorFlow.

Usage: drawn_runs.py FOLDER. Leaves runs.json there, and the outputs of the runs.
"""

import importlib.util
import json
import sys
import threading
from pathlib import Path

import keras
import numpy as np
from drawn_houses import SIZE, draw_dataset

from building_segmenter import tasks
from building_segmenter.errors import BuildingSegmenterError, CancelledError
from building_segmenter.progress import Progress, SilentSink
from building_segmenter.training import run as training
from building_segmenter.training.train import train_model


def main(folder: Path):
    houses = draw_dataset(folder / "häuser")
    other = draw_dataset(folder / "other", bands=4, dtype="uint16", contacts=False)
    finer = draw_dataset(folder / "finer", gsd=0.14, seed=2)
    backbone = folder / "backbone.weights.h5"
    keras.utils.set_random_seed(3)
    random_backbone().save_weights(backbone)
    # Only the heads learn, on the features of a backbone that stays as it was drawn: enough for bright houses.
    recipe = {"dataset": houses, "backbone_weights": str(backbone), "epochs": 3, "head_epochs": 3}
    recipe |= {"batch_size": 4, "crop": 64, "learning_rate": 0.003}
    short = {"backbone_weights": str(backbone), "epochs": 1, "batch_size": 1, "crop": 64}
    (folder / "reports").mkdir()
    results = {
        "first": run(folder / "first.keras", **recipe),
        "again": run(folder / "again.keras", **recipe),
        "cancelled": cancelled_run(folder / "cancelled.keras", **recipe),
        "sixteen": run(
            folder / "sixteen.keras",
            dataset=other,
            augmentation="none",
            report=str(folder / "reports" / "other.html"),
            **short | {"epochs": 2, "head_epochs": 1},
        ),
        "curve": run(
            folder / "curve.keras",
            dataset=[houses, *every_format(folder)],
            limit=10,
            learning_curve=2,
            log_dir=str(folder / "logs"),
            **short,
        ),
        "tuned": run(folder / "tuned.keras", dataset=finer, initial_model=str(folder / "first.keras"), **short),
    }
    tune = short | {"initial_model": str(folder / "first.keras")}
    results["failures"] = {
        "no folder for the output": failure(folder / "none" / "m.keras", **recipe),
        "no folder for the report": failure(folder / "m.keras", **recipe, report=str(folder / "none" / "r.html")),
        "no dataset": failure(folder / "m.keras", **recipe | {"dataset": str(folder / "nowhere")}),
        "no weights": failure(folder / "m.keras", **recipe | {"backbone_weights": str(folder / "no.weights.h5")}),
        "other bands": failure(folder / "m.keras", **recipe | {"dataset": [houses, other]}),
        "other bands than the model": failure(folder / "m.keras", **tune, dataset=other),
        "ground pixel far from the model's": failure(
            folder / "m.keras", **tune, dataset=draw_dataset(folder / "far", gsd=0.5)
        ),
        "another ground pixel than the model's": failure(folder / "m.keras", **tune, dataset=houses, gsd=0.15),
        "no memory": failure(folder / "m.keras", **recipe | {"batch_size": 1024}, memory=2_000_000_000),
    }
    (folder / "runs.json").write_text(json.dumps(results), encoding="utf-8")


def every_format(folder):
    """Datasets with the same drawn chips in all formats that have the class of each pixel, or masks."""
    place = Path(__file__).parent.parent / "chips" / "drawn_chips.py"
    spec = importlib.util.spec_from_file_location("drawn_chips", place)
    drawn = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawn)
    chips = drawn.some_chips()
    return [str(drawn.export(folder / name, name, chips)) for name in ("hdf5", "coco", "yolo", "rcnn-masks")]


def random_backbone():
    """A backbone that has learned nothing, but whose batch norms know what comes to them."""
    backbone = keras.applications.MobileNetV2(input_shape=(SIZE, SIZE, 3), include_top=False, weights=None)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    backbone(np.random.default_rng(2).uniform(-1, 1, (4, SIZE, SIZE, 3)), training=True)
    return backbone


def run(output, **options):
    reports = []

    class Sink(SilentSink):
        def progress(self, fraction, stage, eta_s):
            reports.append((fraction, stage))

    sink = Sink()
    result = train_model(tasks.TrainModel(output=str(output), **options), Progress(sink))
    return {"result": result, "progress": reports, "logs": sink.logs, "warnings": sink.warnings}


def failure(output, *, memory=None, **options):
    if memory is not None:
        training.available_bytes = lambda: memory
    try:
        train_model(tasks.TrainModel(output=str(output), **options), Progress())
    except BuildingSegmenterError as error:
        return {"code": error.code, "hint": error.hint, "left": sorted(path.name for path in output.parent.glob("m.*"))}
    return {"code": "it did not fail"}


def cancelled_run(output, **options):
    stop, stages = threading.Event(), []

    class Sink(SilentSink):
        def progress(self, fraction, stage, eta_s):
            stages.append(stage)
            if "batch 2/" in stage:
                stop.set()

    try:
        train_model(tasks.TrainModel(output=str(output), **options), Progress(Sink(), stop))
    except CancelledError:
        return {"stages": stages, "left": sorted(path.name for path in output.parent.iterdir())}
    return {"stages": stages, "left": ["it was not cancelled"]}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
