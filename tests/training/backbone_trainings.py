"""Trains one backbone for a few steps; run by test_train_backbones in processes whose Keras backend is TensorFlow.

Usage: backbone_trainings.py FOLDER OPTIONS, the latter in JSON. Leaves m.keras and m.csv in FOLDER.
"""

import json
import sys
from pathlib import Path

from drawn_houses import draw_dataset

from building_segmenter import tasks
from building_segmenter.progress import Progress, SilentSink
from building_segmenter.training.train import train_model

if __name__ == "__main__":
    folder, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    recipe = {"dataset": draw_dataset(folder / "chips"), "output": str(folder / "m.keras"), "crop": 64} | options
    train_model(tasks.build_task("train", recipe), Progress(SilentSink()))
