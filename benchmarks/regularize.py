"""Regularization against its rivals: how true, how square, how fast.

usage: python -m benchmarks.regularize [--quick]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np
import shapely

from benchmarks import speed
from benchmarks.measures import iou
from benchmarks.outlines import Rough, Roughness, roughen
from benchmarks.quality import Case, compare, contestants
from benchmarks.rivals import Tool, one_core
from benchmarks.shapes import KINDS, Scene, draw_scene
from benchmarks.tables import EXPLANATION
from building_segmenter.footprints.regularize import warm_up

SEED = 3
EACH, EACH_QUICK = 65, 20
POLYGONS, POLYGONS_QUICK = 20_000, 2_000
INPUT_IOU = 0.90


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; return the exit status."""
    parser = argparse.ArgumentParser(description="Measure the regularization against its rivals.")
    parser.add_argument("--quick", action="store_true", help="fewer footprints and settings")
    parser.add_argument("--no-speed", action="store_true", help="only how true results are")
    options = parser.parse_args(arguments)
    warm_up()
    with one_core():
        drawn(options.quick, not options.no_speed)
    return 0


def drawn(quick: bool, timed: bool) -> None:
    """Measure on drawn footprints, whose truth is exact."""
    scene = draw_scene(EACH_QUICK if quick else EACH, SEED)
    roughness = calibrated(scene)
    rough = roughen(scene.truth, roughness, SEED)
    _say(f"# {len(scene)} drawn footprints: {', '.join(KINDS)}\n")
    _say(f"{_described(scene, roughness, rough)}\n\n{EXPLANATION}")
    tools: list[Tool] = []
    for name in ("contour", "staircase"):
        case = Case(getattr(rough, name), scene.truth, scene.kind, scene.angle)
        chosen, remarks = contestants(case, coarse=quick)
        _say(f"\n## Outlines as {name}\n\n" + "\n".join(remarks) + "\n\n" + compare(case, chosen))
        tools = tools or chosen
    if timed:
        fast(scene, roughness, tools, POLYGONS_QUICK if quick else POLYGONS)


def fast(scene: Scene, roughness: Roughness, tools: list[Tool], count: int) -> None:
    """Measure speed on the footprints repeated with new noise; the rival as it was chosen on the drawn ones."""
    many = scene.repeated(-(-count // len(scene)))
    outlines = roughen(many.truth, roughness, SEED + 1).contour[:count]
    outlines = outlines[~shapely.is_missing(outlines)]
    points = shapely.get_num_coordinates(outlines).mean()
    rivals = [tool for tool in tools if tool.name == "buildingregulariser"]
    mine = [tool for tool in tools if tool.name.startswith("ours")]
    _say(
        f"\n## Speed: {len(outlines):,} outlines of {points:.0f} points, one core, warm,"
        f" median of {speed.REPEATS}, in turns\n\nIn memory:\n"
    )
    _say(speed.in_memory(outlines, mine, rivals))
    _say("\nFrom GeoPackage to GeoPackage:\n")
    _say(speed.from_file_to_file(outlines, mine, rivals))


def calibrated(scene: Scene) -> Roughness:
    """Return the roughness at which outlines have the mean IoU `INPUT_IOU` with the truth, by bisection."""

    def excess(amplitude: float) -> float:
        return float(iou(roughen(scene.truth, Roughness(amplitude), SEED).contour, scene.truth).mean()) - INPUT_IOU

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
