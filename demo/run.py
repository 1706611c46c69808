"""The demonstration: an image through QGIS to footprints, a map and, where the truth is known, its accuracy."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import geopandas

from building_segmenter import tasks
from building_segmenter.errors import BuildingSegmenterError, InputNotFoundError
from building_segmenter.geo.vectors import read_polygons
from demo.accuracy import Accuracy, measure
from demo.processes import ROOT, find_qgis_process, find_qgis_python, qgis_environment, run
from demo.scene import draw_scene, write_scene

FOLDER = ROOT / "demo"
FOOTPRINTS, MAP = FOLDER / "footprints.gpkg", FOLDER / "footprints.png"
SCENE, SCENE_TRUTH = FOLDER / "scene.tif", FOLDER / "scene_truth.gpkg"

# Chosen for its variety, not for its figures: three street grids, halls, yards, metal, tile and concrete roofs.
SEED = 22
WIDTH_PX, HEIGHT_PX = 2000, 1500
CRS = "EPSG:32636"

DRAWN = "Image: a scene drawn by Building Segmenter, not a photograph."


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration; return the exit status."""
    parser = argparse.ArgumentParser(description="Extract building footprints through QGIS and draw a map of them.")
    parser.add_argument("--raster", type=Path, help="image with a CRS; a scene is drawn if not given")
    parser.add_argument("--truth", type=Path, help="polygon layer of the true footprints of --raster")
    options = parser.parse_args(arguments)
    if options.truth and not options.raster:
        parser.error("--truth needs --raster: the drawn scene has its own truth")
    try:
        demonstrate(options.raster, options.truth)
    except BuildingSegmenterError as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("\nThe demo was stopped.", file=sys.stderr)
        return 130
    return 0


def demonstrate(raster: Path | None, truth: Path | None) -> None:
    """Extract footprints from a raster, or from a drawn scene if None, draw the map and print the figures.

    Raises:
        BuildingSegmenterError: An input is missing, or QGIS or the tools fail.
    """
    qgis_process, environment = find_qgis_process(), qgis_environment()
    python = find_qgis_python(environment)
    credit_line = DRAWN if raster is None else f"Image: {raster.name}."
    if raster is None:
        raster, truth = draw_sample()
    for path in filter(None, (raster, truth)):
        if not path.exists():
            raise InputNotFoundError(f"The file {path} does not exist.", "Check the path.")
    print(f"Extracting buildings from {raster} through QGIS", flush=True)
    began = time.perf_counter()
    command = ["run", "building_segmenter:extractbuildings", "--", f"INPUT={raster.resolve()}", f"OUTPUT={FOOTPRINTS}"]
    run([qgis_process, *command], environment, "The extraction", echo=True)
    seconds = time.perf_counter() - began
    footprints = read_polygons(str(FOOTPRINTS), "footprints")
    title = f"{len(footprints)} building footprints extracted by Building Segmenter"
    arguments = ["--title", title, "--credits", f"{credit_line} Footprints: Building Segmenter. Map: QGIS."]
    script = [python, str(FOLDER / "map.py"), str(raster.resolve()), str(FOOTPRINTS), str(MAP), *arguments]
    run(script, environment, "Drawing the map")
    accuracy = measure(raster, FOOTPRINTS, truth, tasks.ExtractBuildings.min_area) if truth else None
    print("\n" + report(footprints, accuracy, seconds))


def draw_sample() -> tuple[Path, Path]:
    """Draw the sample scene and write it; return the raster and its true footprints."""
    print(f"Drawing a sample scene, {SCENE}", flush=True)
    write_scene(draw_scene(SEED, WIDTH_PX, HEIGHT_PX), SCENE, SCENE_TRUTH, CRS)
    return SCENE, SCENE_TRUTH


def report(footprints: geopandas.GeoDataFrame, accuracy: Accuracy | None, seconds: float) -> str:
    """Return the figures of a run as text, a line each."""
    lines = [("footprints", f"{FOOTPRINTS}"), ("map", f"{MAP}"), ("buildings", f"{len(footprints)}{_kept(footprints)}")]
    if accuracy:
        objects, matches = accuracy.objects, accuracy.objects.matches
        lines += [
            ("true buildings", f"{matches.reference_count}"),
            ("pixel IoU", f"{accuracy.pixel_iou:.3f}"),
            ("found right", f"{len(matches)} at an IoU of 0.5: precision {matches.precision:.3f},"
                            f" recall {matches.recall:.3f}, F1 {matches.f1:.3f}"),
            ("corners", f"{objects.predicted_corners:.1f} a building, {objects.reference_corners:.1f} in truth"),
        ]  # fmt: skip
    lines.append(("time", f"{seconds:.1f} s in QGIS, its start included"))
    return "\n".join(f"{name:<15} {value}" for name, value in lines)


def _kept(footprints: geopandas.GeoDataFrame) -> str:
    kept = int((footprints["status"] == 1).sum()) if "status" in footprints else 0
    return f", {kept} of them as predicted, not regularized" if kept else ", all regularized"


if __name__ == "__main__":
    sys.exit(main())
