"""What Mask R-CNN learns of drawn towns with exact outlines, through `train` and `detect` as a user would run them.

usage: python -m benchmarks.drawn_instances BACKBONE_WEIGHTS [--epochs 24] [--folder FOLDER]

Draws ten towns of 256 m with rows of houses that touch, exports chips of nine, trains with the MobileNetV2 trunk (about
half an hour on two cores), detects on the tenth, which no chip shows, and prints the average precision of its polygons
against the drawn outlines, of all houses and of those that touch another. What is in the folder is not made again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.assessment.average_precision import ImageDetections, ranked
from demo.scene import draw_scene, write_scene

GSD, SIDE_PX = 0.2, 1280
TOWNS, VALIDATION = 10, 8
"""The last town is for detection, the one before it for validation."""

SEED = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="of MobileNetV2 without its top, or imagenet or none")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(chosen.folder or Path(scratch), chosen.weights, chosen.epochs)


def measure(folder: Path, weights: str, epochs: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    chips = [chips_of(town, folder) for town in range(TOWNS - 1)]
    model, found = folder / "model.keras", folder / "found.gpkg"
    began = time.monotonic()
    if not model.exists():
        recipe = ["--architecture", "mask-rcnn", "--backbone-weights", weights, "--epochs", str(epochs)]
        run("train", *chips, model, *recipe, "--head-epochs", "2", "--batch-size", "4", "--crop", "320")
        print(f"Trained {epochs} epochs in {(time.monotonic() - began) / 60:.0f} min")
    image, truth = town_of(TOWNS - 1, folder)
    run("detect", image, found, "--model", model, "--min-score", "0.05", "--picture", folder / "found.png")
    print("| houses | number | AP50 | AP75 |\n| --- | --- | --- | --- |")
    for name, scores, ious, unjudged in groups(found, truth):
        detections = [ImageDetections(scores, ious, unjudged)]
        ap50, ap75 = (ranked(detections, least).average_precision for least in (0.5, 0.75))
        print(f"| {name} | {ious.shape[1]} | {ap50:.3f} | {ap75:.3f} |")


def groups(found: Path, truth: Path) -> list[tuple[str, NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Return scores and overlaps of found with true houses: of all, and of those that touch another."""
    objects, houses = geopandas.read_file(found), geopandas.read_file(truth)
    one, other = objects.to_crs(houses.crs).geometry.to_numpy(), houses.geometry.to_numpy()
    shared = shapely.area(shapely.intersection(one[:, None], other[None]))
    ious = shared / (shapely.area(one)[:, None] + shapely.area(other)[None] - shared)
    near = shapely.STRtree(other).query(other, predicate="dwithin", distance=GSD)
    touching = np.bincount(near[0], minlength=len(other)) > 1
    scores = objects["score"].to_numpy()
    # What lies on a house that stands alone is neither right nor wrong among those that touch.
    elsewhere = ious[:, ~touching].max(axis=1, initial=0) > ious[:, touching].max(axis=1, initial=0)
    nowhere = np.zeros(len(objects), bool)
    return [("all", scores, ious, nowhere), ("that touch others", scores, ious[:, touching], elsewhere)]


def chips_of(town: int, folder: Path) -> Path:
    image, footprints = town_of(town, folder)
    chips = folder / f"chips_{town}"
    if not chips.is_dir():
        share = "0.99" if town == VALIDATION else "0"
        layout = ["--format", "rcnn-masks", "--tile-size", "512", "--stride", "256", "--validation", share]
        run("chips", image, footprints, chips, *layout)
    return chips


def town_of(town: int, folder: Path) -> tuple[Path, Path]:
    image, footprints = folder / f"town_{town}.tif", folder / f"town_{town}.gpkg"
    if not image.exists():
        write_scene(draw_scene(SEED + town, SIDE_PX, SIDE_PX, GSD), image, footprints)
    return image, footprints


def run(*words: Any) -> None:
    """Run a task on the command line, as a user would."""
    command = [sys.executable, "-m", "building_segmenter", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")


if __name__ == "__main__":
    main()
