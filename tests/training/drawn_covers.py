"""Trains on drawn land covers; run by test_train_classes in a process of its own, where Keras' backend is TensorFlow.

Usage: drawn_covers.py CHIPS FOLDER. Leaves model.keras and runs.json in FOLDER.
"""

import json
import shutil
import sys
from pathlib import Path

from building_segmenter import tasks
from building_segmenter.errors import BuildingSegmenterError
from building_segmenter.progress import Progress
from building_segmenter.training.train import train_model

RECIPE = {
    "backbone_weights": "none",
    "augmentation": "none",
    "epochs": 6,
    "batch_size": 4,
    "crop": 64,
    "learning_rate": 0.004,
    "resume": False,
}


def main(chips: Path, folder: Path):
    model = str(folder / "model.keras")
    progress = Progress()
    result = train_model(
        tasks.TrainModel(dataset=str(chips), output=model, classes="separate", **RECIPE),
        progress,
    )
    told = {"result": result, "logs": progress.sink.logs, "warnings": progress.sink.warnings}
    other = renamed(chips, folder / "anders benannt")
    told["failures"] = {
        "merged from several": failure(folder, dataset=str(chips), initial_model=model),
        "other names": failure(folder, dataset=[str(chips), other], classes="separate"),
        "not in the model": failure(folder, dataset=other, classes="separate", initial_model=model),
    }
    (folder / "runs.json").write_text(json.dumps(told), encoding="utf-8")


def renamed(chips: Path, copy: Path) -> str:
    """Copy a dataset and give its classes other names."""
    shutil.copytree(chips, copy)
    manifest = json.loads((copy / "dataset.json").read_text(encoding="utf-8"))
    for one, name in zip(manifest["classes"], ("Dach", "Bäume", "Wasser"), strict=True):
        one["name"] = name
    (copy / "dataset.json").write_text(json.dumps(manifest), encoding="utf-8")
    return str(copy)


def failure(folder: Path, **options):
    try:
        train_model(tasks.TrainModel(output=str(folder / "no.keras"), **RECIPE, **options), Progress())
    except BuildingSegmenterError as error:
        left = sorted(path.name for path in folder.glob("no*"))
        return {"code": error.code, "message": error.message, "hint": error.hint, "left": left}
    return {"code": "it did not fail"}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
