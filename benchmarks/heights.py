"""Time and memory of `segment` by the height of a raster of fixed width: both must not care for it.

usage: python -m benchmarks.heights                                       as wide as a county tile; Linux
       python -m benchmarks.heights --width 1000 --heights 1000 2000 --rounds 1

Each run is a process of its own, with the shipped model at its native pixel; rounds take turns over all heights. The
time by area counts from the moment that the model is ready: what comes before is the same for any raster, and shown.
A first run of the lowest one is not counted: it compiles what later runs find compiled.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks.imagery import OVERLAP, make_raster
from benchmarks.process import Taken, in_process
from benchmarks.tables import table
from building_segmenter import tasks

HEIGHTS = (4_000, 10_000, 20_000, 40_000)
PROMISED_SPREAD, PROMISED_MB = 0.10, 50
HEADINGS = ("height", "Mpx", "seconds", "before the first tile", "ms/Mpx after it", "peak MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=20_000, help="pixels")
    parser.add_argument("--heights", type=int, nargs="+", default=HEIGHTS, help="pixels")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each height, of which the median counts")
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    parser.add_argument("--precision", choices=("auto", "f32", "bf16"), default="auto", help="of the network")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        runs = measured(options, Path(folder))
    report(runs, options.width)


def measured(options: argparse.Namespace, folder: Path) -> dict[int, list[Taken]]:
    """Run `segment` on all heights in turns; return what each run took by height."""
    for height in options.heights:
        make_raster(folder / f"{height}.tif", options.width, height)
    segmented(options, folder, min(options.heights))
    runs: dict[int, list[Taken]] = {height: [] for height in options.heights}
    for number in range(options.rounds):
        for height in options.heights:
            taken = segmented(options, folder, height)
            runs[height].append(taken)
            print(f"round {number + 1}, {height} px: {taken.seconds:.1f} s, {taken.megabytes:.0f} MB", flush=True)
    return runs


def segmented(options: argparse.Namespace, folder: Path, height: int) -> Taken:
    """Run `segment` on the raster of a height; return what it took."""
    task = tasks.SegmentRaster(
        input=str(folder / f"{height}.tif"),
        output=str(folder / "probability.tif"),
        overlap=OVERLAP,
        inference_precision=options.precision,
        threads=options.threads,
    )
    return in_process(task, options.threads)


def report(runs: dict[int, list[Taken]], width: int) -> None:
    """Print the table, and how much time by area and peak memory differ between heights."""
    rows, by_area, peaks = [], [], []
    for height, taken in runs.items():
        area = width * height / 1e6
        by_area.append(statistics.median(one.working for one in taken) / area)
        peaks.append(max(one.megabytes for one in taken))
        seconds = ", ".join(f"{one.seconds:.1f}" for one in taken)
        before = statistics.median(one.seconds - one.working for one in taken)
        rows.append(
            (f"{height:,}", f"{area:.0f}", seconds, f"{before:.1f} s", f"{1000 * by_area[-1]:.0f}", f"{peaks[-1]:.0f}")
        )
    print(f"\n{width:,} px wide\n\n{table(HEADINGS, rows)}\n")
    print(f"Time by area: the slowest {max(by_area) / min(by_area) - 1:.1%} above the fastest (goal: at most", end=" ")
    print(f"{PROMISED_SPREAD:.0%}). Peak memory: {max(peaks) - min(peaks):.0f} MB apart (goal: at most {PROMISED_MB}).")


if __name__ == "__main__":
    main()
