"""Buildings found one by one beside those of pixels: AP50, AP75 and object F1 of models on the validation blocks.

usage: python -m benchmarks.real_instances DATA MODEL... [--pictures FOLDER]

DATA is the folder of the sites of `tools.default_model`. A Mask R-CNN is run by `detect` down to a score of 0.05 for
its average precision; a model of pixels by `extract` at its threshold, where the score of a footprint, its mean
probability, ranks it. F1 is of `extract` with its defaults, of each. Buildings over 20 m2, matched at a polygon IoU of
0.5; smaller ones that are found count for nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray

from building_segmenter import engine, tasks
from building_segmenter.assessment.average_precision import ImageDetections, ranked
from building_segmenter.networks.model_file import read_facts
from building_segmenter.progress import Progress
from tools.default_model.blocks import BLOCKS, WORK, Place, place_of
from tools.default_model.runs import MIN_AREA_M2, objects

LEAST_SCORE = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--pictures", type=Path, help="draw what each Mask R-CNN finds into this folder")
    chosen = parser.parse_args()
    places = [(block.title, place_of(block, chosen.data, WORK)) for block in BLOCKS if block.validates]
    print("| model | block | AP50 | AP75 | object F1 (precision, recall) |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as scratch:
        for model in chosen.models:
            for title, place in places:
                ap50, ap75 = average_precisions(found_in(place, model, Path(scratch), chosen.pictures), place)
                got = objects(place, model, Path(scratch) / "footprints.gpkg", split=True).matches
                f1 = f"{got.f1:.2f} ({got.precision:.2f}, {got.recall:.2f})"
                print(f"| {model.stem} | {title} | {ap50:.3f} | {ap75:.3f} | {f1} |", flush=True)


def found_in(place: Place, model: Path, scratch: Path, pictures: Path | None) -> geopandas.GeoDataFrame:
    """Return what a model finds, with `score`."""
    output, where = scratch / "found.gpkg", {"input": str(place.image), "model": str(model)}
    task: tasks.Task
    if read_facts(model).is_detector:
        picture = str(pictures / f"{place.image.stem}-{model.stem}.png") if pictures else None
        task = tasks.DetectBuildings(**where, output=str(output), min_score=LEAST_SCORE, resume=False)
        if picture:
            shown = scratch / "shown.gpkg"
            engine.run(tasks.DetectBuildings(**where, output=str(shown), picture=picture, resume=False), Progress())
    else:
        task = tasks.ExtractBuildings(**where, output=str(output), resume=False)
    engine.run(task, Progress())
    return geopandas.read_file(output)


def average_precisions(found: geopandas.GeoDataFrame, place: Place) -> tuple[float, float]:
    """Return AP50 and AP75 of footprints over the labels of a place."""
    labels = geopandas.read_file(place.labels)
    plane = labels.estimate_utm_crs()
    true = shapely.make_valid(labels.to_crs(plane).geometry.to_numpy())
    with rasterio.open(place.image) as source:
        view = geopandas.GeoSeries([shapely.box(*source.bounds)], crs=source.crs).to_crs(plane).iloc[0]
    true = shapely.intersection(true, view)
    true = true[shapely.area(true) >= MIN_AREA_M2]
    own = found.to_crs(plane)
    polygons = shapely.make_valid(own.geometry.to_numpy())
    ious = _ious(polygons, true)
    small = shapely.area(polygons) < MIN_AREA_M2
    detections = [ImageDetections(own["score"].to_numpy(), ious, small)]
    first, second = (ranked(detections, least).average_precision for least in (0.5, 0.75))
    return first, second


def _ious(found: NDArray[np.object_], true: NDArray[np.object_]) -> NDArray[np.float64]:
    shared = shapely.area(shapely.intersection(found[:, None], true[None]))
    ious: NDArray[np.float64] = shared / (shapely.area(found)[:, None] + shapely.area(true)[None] - shared)
    return ious


if __name__ == "__main__":
    main()
