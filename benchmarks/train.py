"""How fast `train` is beside bare Keras `fit`: chips per second on the same network, in turns, median of three.

usage: python -m benchmarks.train [--crop 384] [--batch 8] [--chips 128] [--quick]

`train` reads, turns, warps and recolours its chips, keeps a moving average of the weights and is deterministic. `fit`
gets arrays that are cropped already and lie in memory, and the same logits, loss and AdamW, all layers; once as Keras
compiles by default, once without XLA. All have oneDNN, which the engine turns on where TensorFlow does not. Each lives
in a process of its own and works an epoch at a time in turn; the first epoch, in which functions are traced, is not
counted. Validation is not counted either. Processor time per chip tells how much other programs disturbed the speeds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio

from building_segmenter.chips.manifest import write_manifest
from building_segmenter.progress import SilentSink

REPEATS = 3
CHIP_PX = 512
BANDS = 3
RIVALS = {"fit": "auto", "fit without XLA": "off"}
GOAL = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crop", type=int, default=384, help="side of a piece in pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--chips", type=int, default=128, help="training chips of 512 px; pieces of an epoch")
    parser.add_argument("--quick", action="store_true", help="pieces of 128 px")
    parser.add_argument("--worker", choices=["train", *RIVALS.values()], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        work = train if chosen.worker == "train" else fit
        work(chosen)
    else:
        measure(chosen)


def measure(chosen: argparse.Namespace) -> None:
    crop = 128 if chosen.quick else chosen.crop
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with tempfile.TemporaryDirectory() as folder:
        draw_chips(Path(folder) / "chips", chosen.chips)
        words = [sys.executable, "-m", "benchmarks.train", "--folder", folder, "--crop", str(crop)]
        words += ["--batch", str(chosen.batch), "--chips", str(chosen.chips), "--worker"]
        workers = {name: Worker([*words, mode]) for name, mode in {"train": "train", **RIVALS}.items()}
        for worker in workers.values():
            worker.turn()  # traces its functions
        turns = {name: [] for name in workers}
        for _ in range(REPEATS):
            for name, worker in workers.items():
                turns[name].append(worker.turn())
        for worker in workers.values():
            worker.end()
    report(turns, chosen, crop)


def report(turns: dict[str, list[tuple[float, float]]], chosen: argparse.Namespace, crop: int) -> None:
    medians = {name: statistics.median(speed for speed, _ in values) for name, values in turns.items()}
    processor = {name: statistics.median(seconds for _, seconds in values) for name, values in turns.items()}
    print(f"MobileNetV2 DeepLabV3+, all layers, batches of {chosen.batch} pieces of {crop} px; chips per second\n")
    print("| | epochs | median | train beside it | processor ms a chip | train beside it |\n|---|---|---|---|---|---|")
    for name, median in medians.items():
        epochs = ", ".join(f"{speed:.2f}" for speed, _ in turns[name])
        wall, work = medians["train"] / median, processor[name] / processor["train"]
        print(f"| {name} | {epochs} | {median:.2f} | {wall:.2f} | {processor[name] * 1000:.1f} | {work:.2f} |")
    worst = min(medians["train"] / median for name, median in medians.items() if name != "train")
    least = min(seconds / processor["train"] for name, seconds in processor.items() if name != "train")
    print(f"\ntrain reaches {worst:.2f} of bare fit (goal: {GOAL}); by processor time {least:.2f}.")


class Worker:
    """A process that does an epoch whenever it is told to.

    It answers with chips per second, and seconds of processor per chip.
    """

    def __init__(self, words: list[str]) -> None:
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def turn(self) -> tuple[float, float]:
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("speed "):
                _, speed, seconds = line.split()
                return float(speed), float(seconds)
        raise SystemExit("A worker ended before its time; its errors are above.")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


class Turns(SilentSink):
    """Takes the place of a training's diary: waits for its turn, and tells the speed of each epoch.

    As its sink, too, it hears of every step, and so tells their processor time from that of validation.
    """

    def __init__(self, batch: int) -> None:
        super().__init__()
        self._batch = batch
        self._times: list[float] = []

    def progress(self, fraction: float, stage: str, eta_s: float | None) -> None:
        if ", batch " in stage:
            self._times.append(time.process_time())

    place = None

    def restore(self, chips, trainer):
        from building_segmenter.training.loop import Outcome

        sys.stdin.readline()
        return Outcome()

    def keep(self, chips, trainer, outcome):
        chips_between = self._batch * (len(self._times) - 1)
        tell(outcome.history[-1]["chips_per_second"], (self._times[-1] - self._times[0]) / chips_between)
        self._times = []


def tell(speed: float, seconds: float) -> None:
    print(f"speed {speed} {seconds}", flush=True)
    if not sys.stdin.readline():
        sys.exit()


def options_of(chosen: argparse.Namespace):
    from building_segmenter import tasks

    return tasks.TrainModel(
        dataset=(str(chosen.folder / "chips"),),
        output=str(chosen.folder / "model.keras"),
        backbone_weights="none",
        epochs=REPEATS + 1,
        batch_size=chosen.batch,
        crop=chosen.crop,
        patience=REPEATS + 1,
    )


def train(chosen: argparse.Namespace) -> None:
    from building_segmenter.chips.dataset import open_dataset
    from building_segmenter.progress import Progress
    from building_segmenter.training.datasets import join_datasets
    from building_segmenter.training.run import Run

    options = options_of(chosen)
    turns = Turns(chosen.batch)
    Run(options, join_datasets([open_dataset(options.dataset[0])]), None, Progress(turns)).train(turns)


def fit(chosen: argparse.Namespace) -> None:
    import keras

    from building_segmenter.networks.deeplabv3plus import build_deeplabv3plus, with_logits
    from building_segmenter.training.losses import segmentation_loss

    model = with_logits(build_deeplabv3plus(BANDS, 1, (1 / 127.5,) * BANDS, (-1.0,) * BANDS))
    optimizer = keras.optimizers.AdamW(0.001, weight_decay=0.02)
    model.compile(optimizer, segmentation_loss, jit_compile="auto" if chosen.worker == "auto" else False)
    pieces = [draw_chip(number, chosen.crop) for number in range(chosen.chips)]
    images = np.stack([image for image, _ in pieces]).astype(np.float32)
    labels = np.stack([label for _, label in pieces])[..., None]
    sys.stdin.readline()
    while True:
        began, worked = time.monotonic(), time.process_time()
        model.fit(images, labels, batch_size=chosen.batch, epochs=1, verbose=0)
        work = time.process_time() - worked
        tell(chosen.chips / (time.monotonic() - began), work / chosen.chips)


def draw_chips(folder: Path, count: int) -> None:
    """Write a dataset of noisy ground with bright houses; the last chip validates."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    names = [f"{number:09d}" for number in range(count + 1)]
    for number, name in enumerate(names):
        image, label = draw_chip(number, CHIP_PX)
        write(folder / "images" / f"{name}.tif", np.moveaxis(image, -1, 0))
        write(folder / "labels" / f"{name}.tif", label[None])
    band = {"min": 0.0, "max": 255.0, "mean": 70.0, "std": 50.0}
    facts = {"gsd": [0.15, 0.15], "tile_size": CHIP_PX, "dtype": "uint8", "statistics": [band] * BANDS}
    facts |= {"classes": [{"value": 1, "name": "building"}]}
    chips = [{"name": name, "split": "validation" if name == names[-1] else "train"} for name in names]
    write_manifest(folder, facts | {"chips": chips})


def draw_chip(number: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(number)
    image = rng.integers(20, 90, (size, size, BANDS)).astype(np.uint8)
    label = np.zeros((size, size), np.uint8)
    for y, x in rng.integers(0, size * 3 // 4, (6, 2)):
        label[y : y + size // 6, x : x + size // 5] = 1
    image[label == 1] += 120
    return image, label


def write(path: Path, array: np.ndarray) -> None:
    count, height, width = array.shape
    with rasterio.open(path, "w", "GTiff", width, height, count, dtype=array.dtype) as target:
        target.write(array)


if __name__ == "__main__":
    main()
