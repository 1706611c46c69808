"""A whole county tile: `extract` to regularized footprints beside `segment` alone.

usage: python -m benchmarks.tile                                          20,000 x 20,000 px; Linux
       python -m benchmarks.tile --size 2000 --rounds 1

Each run is a process of its own, with the shipped model at its native pixel and the defaults of the tasks; rounds take
turns. Times are of the whole tasks, from loading the model to finished files. A first `extract` of a corner is not
counted: it compiles what later runs find compiled.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import rasterio
from rasterio.windows import Window

from benchmarks.imagery import COUNTY, PIECE_PX, make_raster, shipped_facts
from benchmarks.process import Taken, in_process
from benchmarks.tables import table
from building_segmenter import tasks

PROMISED_RATIO = 1.4
HEADINGS = ("task", "seconds", "median", "Mpx/s", "peak MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=20_000, help="width and height of the raster in pixels")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, of which the median counts")
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    parser.add_argument("--precision", choices=("auto", "f32", "bf16"), default="auto", help="of the network")
    parser.add_argument("--blocks", nargs="+", default=COUNTY, metavar="SITE:NUMBER", help="imagery, by data folder")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        runs = measured(options, Path(folder))
    report(runs, options.size)


def measured(options: argparse.Namespace, folder: Path) -> dict[str, list[Taken]]:
    """Run both tasks in turns; return what each run took."""
    image = folder / "image.tif"
    make_raster(image, options.size, options.size, options.blocks)
    common = {"input": str(image), "inference_precision": options.precision, "threads": options.threads}
    both = {
        "segment": tasks.SegmentRaster(output=str(folder / "probability.tif"), **common),
        "extract": tasks.ExtractBuildings(output=str(folder / "footprints.gpkg"), **common),
    }
    in_process(replace(both["extract"], extent=corner(image)), options.threads)
    runs: dict[str, list[Taken]] = {name: [] for name in both}
    for number in range(options.rounds):
        for name, task in both.items():
            taken = in_process(task, options.threads)
            print(f"round {number + 1}, {name}: {taken.seconds:.1f} s, {taken.megabytes:.0f} MB", flush=True)
            runs[name].append(taken)
    return runs


def corner(image: Path) -> tuple[float, ...]:
    """Return an extent of one piece of imagery in the upper left of a raster."""
    with rasterio.open(image) as dataset:
        return tuple(dataset.window_bounds(Window(0, 0, min(PIECE_PX, dataset.width), min(PIECE_PX, dataset.height))))


def report(runs: dict[str, list[Taken]], size: int) -> None:
    """Print the table, the ratio of the two tasks, and what was found."""
    medians = {name: statistics.median(one.seconds for one in taken) for name, taken in runs.items()}
    rows = []
    for name, taken in runs.items():
        seconds = ", ".join(f"{one.seconds:.1f}" for one in taken)
        speed, peak = size * size / 1e6 / medians[name], max(one.megabytes for one in taken)
        rows.append((name, seconds, f"{medians[name]:.1f}", f"{speed:.2f}", f"{peak:.0f}"))
    print(f"\n{size:,} x {size:,} px of {shipped_facts().gsd:.3f} m\n\n{table(HEADINGS, rows)}\n")
    found = runs["extract"][-1].result
    print(f"extract / segment: {medians['extract'] / medians['segment']:.2f} (goal: at most {PROMISED_RATIO})")
    print(f"{found['features']:,} footprints, {found['regularized']:,} of them regularized.")


if __name__ == "__main__":
    main()
