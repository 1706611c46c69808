"""Whether the gradient of the probability helps: drawn footprints regularized with and without it.

Run `python -m benchmarks.gradient [--count N]`: prints, for each kind of footprint, the measures with weights by the
gradient, with directions from it, with both and with neither. The rasters are those that the outlines are traced in,
stored as `segment` stores probabilities.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray

from benchmarks.measures import measure
from benchmarks.outlines import BATCH, Roughness, _contours, _largest_in_cells, _moved, _probability
from benchmarks.regularize import SEED, calibrated
from benchmarks.rivals import Answers
from benchmarks.shapes import draw_scene
from benchmarks.tables import EXPLANATION, HEADINGS, row, table
from building_segmenter.footprints.gradient import Evidence, ProbabilityGradient, with_directions
from building_segmenter.footprints.regularize import Regularized, Settings, regularize_polygons
from building_segmenter.geo.ground import scaled_frame
from building_segmenter.geo.strips import ground_of
from building_segmenter.rasters.probability import ProbabilityPlan, probability_writer, quantized

Geometries = NDArray[np.object_]

VARIANTS = {"neither": (False, False), "weights": (True, False), "directions": (False, True), "both": (True, True)}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=65, help="footprints of each kind")
    parser.add_argument("--method", default="auto")
    options = parser.parse_args()
    scene = draw_scene(options.count, SEED)
    outlines, evidence = with_evidence(scene.truth, calibrated(scene.truth))
    there = ~shapely.is_missing(outlines)
    settings = Settings(options.method, threads=1)
    rows: dict[str, list[list[str]]] = {kind: [] for kind in ("all", *dict.fromkeys(scene.kind))}
    own = np.abs((evidence.angles - scene.angle + 45) % 90 - 45)
    _say(f"{EXPLANATION}\n\nMean error of the gradient's own direction: {np.nanmean(own):.2f} degrees")
    for name, (weights, directions) in VARIANTS.items():
        found = regularized(outlines, evidence, settings, weights=weights, directions=directions)
        for kind, lines in rows.items():
            which = there & ((scene.kind == kind) | (kind == "all"))
            kept = found.status[which] == 1
            answers = Answers(found.geometry[which], kept, 0.0)
            measures = measure(answers, scene.truth[which], outlines[which], scene.angle[which])
            lines.append(row(name, measures, None))
    for kind, lines in rows.items():
        _say(f"\n### {kind}\n\n{table(HEADINGS, lines)}")


def regularized(
    outlines: Geometries, evidence: Evidence, settings: Settings, *, weights: bool, directions: bool
) -> Regularized:
    """Regularize with some of the evidence."""
    offered = with_directions(None, evidence.angles) if directions else None
    return regularize_polygons(outlines, settings, offered=offered, masses=evidence.masses if weights else None)


def with_evidence(truth: Geometries, roughness: Roughness) -> tuple[Geometries, Evidence]:
    """Return rough outlines (n) of footprints, and what the rasters tell that they were traced in."""
    random = np.random.default_rng(SEED)
    outlines = np.full(len(truth), None, object)
    angles = np.full(len(truth), np.nan)
    masses: dict[int, NDArray[np.float64]] = {}
    for start in range(0, len(truth), BATCH):
        members = np.arange(start, min(start + BATCH, len(truth)))
        outlines[members], evidence = _in_one_raster(truth[members], roughness, random)
        angles[members] = evidence.angles
        masses[start] = evidence.masses
    return outlines, Evidence(np.concatenate(list(masses.values())), angles)


def _in_one_raster(truth: Geometries, roughness: Roughness, random: np.random.Generator) -> tuple[Geometries, Evidence]:
    low, high = np.split(shapely.bounds(truth), 2, axis=1)
    cell = int(np.ceil((high - low).max() / roughness.gsd)) + 24
    columns = int(np.ceil(np.sqrt(len(truth))))
    shape = (-(-len(truth) // columns) * cell, columns * cell)
    row_of, column = np.divmod(np.arange(len(truth)), columns)
    middles = (np.column_stack((column, row_of)) + 0.5) * cell + random.uniform(-0.5, 0.5, (len(truth), 2))
    placed = _moved(truth, middles * roughness.gsd - (low + high) / 2)
    probability = np.clip(_probability(placed, shape, roughness, random), 0, 1)
    stored = quantized(probability, np.ones(shape, bool))
    side = cell * roughness.gsd
    outlines = _largest_in_cells(_contours(probability, roughness.gsd), side, columns, len(truth))
    evidence = _evidence(outlines, stored, roughness.gsd)
    return _moved(outlines, (low + high) / 2 - middles * roughness.gsd), evidence


def _evidence(outlines: Geometries, stored: NDArray[np.uint8], gsd: float) -> Evidence:
    ground = ground_of(None, scaled_frame(1.0))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "probability.tif"
        with probability_writer(
            path, ProbabilityPlan(*stored.shape[::-1], Affine.scale(gsd), None, ("building",))
        ) as raster:
            raster.write(stored, 1)
        with rasterio.open(path) as dataset:
            strips = ground.strips(shapely.bounds(outlines))
            return ProbabilityGradient(dataset, None, gsd).evidence(outlines, ground, strips)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
