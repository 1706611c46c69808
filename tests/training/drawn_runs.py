"""Trains on small drawn chips; run by test_train_model in a process of its own, where Keras' backend is TensorFlow.

Usage: drawn_runs.py FOLDER. Leaves runs.json there, and the outputs of the runs.
"""

import json
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import rasterio

from building_segmenter import tasks
from building_segmenter.chips.manifest import write_manifest
from building_segmenter.errors import BuildingSegmenterError, CancelledError
from building_segmenter.progress import Progress, SilentSink
from building_segmenter.training.train import train_model

SIZE = 64


def main(folder: Path):
    houses = draw_dataset(folder / "häuser", bands=3, dtype="uint8", contacts=True)
    other = draw_dataset(folder / "other", bands=4, dtype="uint16", contacts=False)
    backbone = folder / "backbone.weights.h5"
    random_backbone().save_weights(backbone)
    # Only the heads learn, on the features of a backbone that stays as it was drawn: enough for bright houses.
    recipe = {"dataset": houses, "backbone_weights": str(backbone), "epochs": 10, "head_epochs": 10}
    recipe |= {"batch_size": 4, "crop": 64, "learning_rate": 0.003}
    results = {
        "first": run(folder / "first.keras", **recipe),
        "again": run(folder / "again.keras", **recipe),
        "cancelled": cancelled_run(folder / "cancelled.keras", **recipe),
        "sixteen": run(
            folder / "sixteen.keras",
            dataset=other,
            backbone_weights=str(backbone),
            epochs=2,
            head_epochs=1,
            batch_size=4,
            crop=64,
            augmentation="none",
            report=str(folder / "reports" / "other.html"),
        ),
    }
    results["failures"] = {
        "no folder for the output": failure(folder / "none" / "m.keras", **recipe),
        "no folder for the report": failure(folder / "m.keras", **recipe, report=str(folder / "none" / "r.html")),
        "no dataset": failure(folder / "m.keras", **recipe | {"dataset": str(folder / "nowhere")}),
        "no weights": failure(folder / "m.keras", **recipe | {"backbone_weights": str(folder / "no.weights.h5")}),
        "other bands": failure(folder / "m.keras", **recipe | {"dataset": [houses, other]}),
    }
    (folder / "runs.json").write_text(json.dumps(results), encoding="utf-8")


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
    if "report" in options:
        Path(options["report"]).parent.mkdir()
    result = train_model(tasks.TrainModel(output=str(output), **options), Progress(sink))
    return {"result": result, "progress": reports, "logs": sink.logs, "warnings": sink.warnings}


def failure(output, **options):
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


def draw_dataset(folder, *, bands, dtype, contacts):
    rng = np.random.default_rng(1)
    names = [f"{index:09d}" for index in range(20)]
    images = [draw_chip(rng, bands, dtype) for _ in names]
    for part in ("images", "labels", *(["contacts"] if contacts else [])):
        (folder / part).mkdir(parents=True)
    for name, (image, label) in zip(names, images, strict=True):
        write(folder / "images" / f"{name}.tif", np.moveaxis(image, -1, 0))
        write(folder / "labels" / f"{name}.tif", label[np.newaxis])
        if contacts:
            write(folder / "contacts" / f"{name}.tif", np.zeros((1, SIZE, SIZE), np.uint8))
    pixels = np.stack([image for image, _ in images]).reshape(-1, bands).astype(float)
    statistics = [{"min": band.min(), "max": band.max(), "mean": band.mean(), "std": band.std()} for band in pixels.T]
    chips = [{"name": name, "split": "validation" if i % 5 == 0 else "train"} for i, name in enumerate(names)]
    classes = [{"value": 1, "name": "building"}]
    facts = {"gsd": [0.2, 0.2], "tile_size": SIZE, "dtype": dtype, "statistics": statistics, "classes": classes}
    write_manifest(folder, facts | {"chips": chips})
    return str(folder)


def draw_chip(rng, bands, dtype):
    """A bright house on dark, noisy ground, and a strip that nobody has labelled."""
    unit = 1 if dtype == "uint8" else 20
    image = rng.integers(20 * unit, 90 * unit, (SIZE, SIZE, bands)).astype(dtype)
    label = np.zeros((SIZE, SIZE), np.uint8)
    y, x = rng.integers(2, 30, 2)
    height, width = rng.integers(16, 32, 2)
    image[y : y + height, x : x + width] += np.array(120 * unit, dtype)
    label[y : y + height, x : x + width] = 1
    label[:, 60:] = 255
    return image, label


def write(path, array):
    profile = {"width": SIZE, "height": SIZE, "count": array.shape[0], "dtype": array.dtype, "driver": "GTiff"}
    with rasterio.open(path, "w", **profile) as target:
        target.write(array)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
