"""Regularization against its rivals: how true, how square, how fast.

usage: python -m benchmarks.regularize [--quick] [--real | --million]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import shapely

from benchmarks import real, speed
from benchmarks.measures import Geometries, iou, main_directions
from benchmarks.million import run_million
from benchmarks.outlines import Rough, Roughness, roughen
from benchmarks.pictures import draw_worst
from benchmarks.quality import Case, chosen_ours, chosen_rivals, compare, contestants
from benchmarks.rivals import Tool, one_core
from benchmarks.shapes import KINDS, Scene, draw_scene
from benchmarks.tables import EXPLANATION
from building_segmenter.footprints.warming import compile_kernels
from building_segmenter.progress import Progress

SEED = 3
EACH, EACH_QUICK = 65, 20
POLYGONS, POLYGONS_QUICK = 20_000, 2_000
MILLION = 1_000_000
MILLION_SIMPLIFIED_M = 0.1
INPUT_IOU = 0.90
QUICK_STEP = 8
TIMED_METHODS = ("right-angles", "auto")
PICTURED = "ours auto"


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; return the exit status."""
    parser = argparse.ArgumentParser(description="Measure the regularization against its rivals.")
    parser.add_argument("--quick", action="store_true", help="fewer footprints and settings")
    parser.add_argument(
        "--part", choices=("all", "quality", "speed"), default="all", help="how true, how fast, or both"
    )
    parser.add_argument("--real", action="store_true", help="real footprints and outlines of the shipped model instead")
    parser.add_argument("--million", action="store_true", help="a layer of a million footprints instead")
    parser.add_argument("--features", type=int, default=MILLION, help="features of --million; default: 1,000,000")
    parser.add_argument("--method", default="auto", help="method of --million; default: auto")
    parser.add_argument("--pictures", type=Path, default=Path("build/benchmarks"), help="folder for pictures of --real")
    options = parser.parse_args(arguments)
    compile_kernels(Progress())
    scene = draw_scene(EACH_QUICK if options.quick else EACH, SEED)
    if options.million:
        million(scene, options.features, options.method)
        return 0
    with one_core():
        if options.real:
            real_outlines(options.quick, options.pictures)
        else:
            drawn(scene, options.quick, options.part)
    return 0


def drawn(scene: Scene, quick: bool, part: str) -> None:
    """Measure on drawn footprints, whose truth is exact."""
    roughness = calibrated(scene.truth)
    rough = roughen(scene.truth, roughness, SEED)
    _say(f"# {len(scene)} drawn footprints: {', '.join(KINDS)}\n")
    _say(f"{_described(scene, roughness, rough)}\n\n{EXPLANATION}")
    if part != "speed":
        for name in ("contour",) if quick else ("contour", "staircase"):
            case = Case(getattr(rough, name), scene.truth, scene.kind, scene.angle)
            tools, remarks = contestants(case, coarse=quick)
            _say(f"\n## Outlines as {name}\n\n" + "\n".join(remarks) + "\n\n" + compare(case, tools))
    if part != "quality":
        fast(scene, roughness, rough, POLYGONS_QUICK if quick else POLYGONS)


def fast(scene: Scene, roughness: Roughness, rough: Rough, count: int) -> None:
    """Measure speed on the footprints repeated with new noise, with the settings that are best on the drawn ones."""
    case = Case(rough.contour, scene.truth, scene.kind, scene.angle)
    rivals, remarks = chosen_rivals(case, coarse=True)
    mine, more = chosen_ours(case, TIMED_METHODS)
    many = scene.repeated(-(-count // len(scene)))
    outlines = roughen(many.truth, roughness, SEED + 1).contour[:count]
    outlines = outlines[~shapely.is_missing(outlines)]
    points = shapely.get_num_coordinates(outlines).mean()
    _say(
        f"\n## Speed: {len(outlines):,} outlines of {points:.0f} points, one core, warm,"
        f" median of {speed.REPEATS}, in turns\n\n" + "\n".join(remarks + more) + "\n\nIn memory:\n"
    )
    _say(speed.in_memory(outlines, mine, rivals))
    _say("\nFrom GeoPackage to GeoPackage:\n")
    _say(speed.from_file_to_file(outlines, mine, rivals))


def real_outlines(quick: bool, folder: Path) -> None:
    """Measure on real footprints and on what the shipped model gives; draw the ten worst of our best."""
    if not real.DATA.is_dir():
        _say(f"THERE IS NO REAL IMAGERY IN {real.DATA}: nothing was measured.")
        return
    truth, kind = real.labels()
    truth, kind = (truth[::QUICK_STEP], kind[::QUICK_STEP]) if quick else (truth, kind)
    roughness = calibrated(truth)
    rough = Case(roughen(truth, roughness, SEED).contour, truth, kind, main_directions(truth))
    cases = {f"Labels made rough: {roughness}": rough.found(), "Outlines of the shipped model": real.model_case()}
    folder.mkdir(parents=True, exist_ok=True)
    for number, (title, case) in enumerate(cases.items(), 1):
        tools, remarks = contestants(case, coarse=True)
        _say(f"\n## {title}\n\n" + "\n".join(remarks) + "\n\n" + compare(case, tools))
        best = max((tool for tool in tools if tool.name == PICTURED), key=partial(_mean_iou, case))
        found = best.run(case.outlines).geometry
        picture = folder / f"ten_worst_{number}.png"
        draw_worst(picture, case, found, iou(found, case.truth))
        _say(f"\nThe ten worst of {best}: {picture} (given grey, truth green, result red).")


def million(scene: Scene, count: int, method: str) -> None:
    """Measure a run over a layer of a million footprints."""
    rough = roughen(scene.repeated(10).truth, calibrated(scene.truth), SEED).contour
    # As layers of footprints are: a point every metre or so, not every pixel.
    outlines = shapely.simplify(rough[~shapely.is_missing(rough)], MILLION_SIMPLIFIED_M)
    _say("## From GeoPackage to GeoPackage\n\n" + run_million(outlines, count, method))


def _mean_iou(case: Case, tool: Tool) -> float:
    return float(iou(tool.run(case.outlines).geometry, case.truth).mean())


def calibrated(truth: Geometries) -> Roughness:
    """Return the roughness at which outlines have the mean IoU `INPUT_IOU` with the truth, by bisection."""

    def excess(amplitude: float) -> float:
        return float(iou(roughen(truth, Roughness(amplitude), SEED).contour, truth).mean()) - INPUT_IOU

    return Roughness(_root(excess, 0.02, 0.5))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a falling function crosses zero."""
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return (low + high) / 2


def _described(scene: Scene, roughness: Roughness, rough: Rough) -> str:
    lines = [f"Noise calibrated to a mean IoU of {INPUT_IOU}: {roughness}."]
    for name, outlines in vars(rough).items():
        points = shapely.get_num_coordinates(outlines).mean()
        mean = iou(outlines, scene.truth).mean()
        lines.append(f"{name}: mean IoU with the truth {mean:.4f}, {points:.0f} points each.")
    areas = np.percentile(shapely.area(scene.truth), (10, 50, 90))
    lines.append("Areas (10, 50, 90 %): " + ", ".join(f"{area:.0f}" for area in areas) + " m2.")
    return "\n".join(lines)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
