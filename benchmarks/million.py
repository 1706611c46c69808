"""A national layer: a million footprints from GeoPackage to GeoPackage, with the memory that it takes.

usage: python -m benchmarks.million INPUT OUTPUT METHOD     (the run that is watched, in a process of its own)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import shapely

from benchmarks.rivals import CRS
from benchmarks.speed import Geometries, spread
from benchmarks.tables import table
from building_segmenter import engine, tasks
from building_segmenter.footprints.warming import compile_kernels
from building_segmenter.progress import Progress, SilentSink

CORES = 2
CHUNK = 50_000
MARKS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


def run_million(outlines: Geometries, count: int, method: str) -> str:
    """Regularize `count` footprints, the outlines given repeated, and return what it took.

    Args:
        outlines: Array of polygons in metres around the origin.
        count: Features of the layer.
        method: See `Settings`.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.gpkg", Path(folder) / "out.gpkg"
        _write(source, outlines, count)
        size = source.stat().st_size / 1e9
        command = [sys.executable, "-m", "benchmarks.million", str(source), str(target), method]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
        if done.returncode:
            raise RuntimeError(f"The run failed: {done.stderr[-2000:]}")
        told = json.loads(done.stdout.splitlines()[-1])
        written = pyogrio.read_info(target)["features"]
    if written != count:
        raise RuntimeError(f"{count} features went in and {written} came out.")
    rows = [[f"{100 * share:.0f} %", f"{seconds:.0f}", f"{memory:.0f}"] for share, seconds, memory in told["marks"]]
    return (
        f"{method}: {count:,} footprints of {shapely.get_num_coordinates(outlines).mean():.0f} points ({size:.1f} GB)"
        f" on {told['cores']} cores: {told['seconds']:.0f} s, {count / told['seconds']:,.0f} polygons/s,"
        f" {told['kept']} kept as they were, highest memory {told['peak_mb']:.0f} MB.\n\n"
        + table(("done", "seconds", "resident memory, MB"), rows)
    )


def _write(path: Path, outlines: Geometries, count: int) -> None:
    """Write the layer in pieces, spread over the ground."""
    for start in range(0, count, CHUNK):
        places = np.arange(start, min(start + CHUNK, count))
        polygons = spread(outlines[places % len(outlines)], first=start, columns=1000)
        frame = geopandas.GeoDataFrame({"place": places}, geometry=polygons, crs=CRS)
        pyogrio.write_dataframe(frame, path, layer="footprints", append=start > 0)


class _Watch(SilentSink):
    """Notes time and resident memory at the marks of a run."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.marks = time.perf_counter(), list[tuple[float, float, float]]()

    def progress(self, fraction: float, stage: str, eta_s: float | None) -> None:
        """Note the first report at or after each mark."""
        if len(self.marks) < len(MARKS) and fraction >= MARKS[len(self.marks)]:
            self.marks.append((fraction, time.perf_counter() - self.start, resident_mb("VmRSS")))


def resident_mb(entry: str) -> float:
    """Return this process's resident memory (`VmRSS`) or its highest (`VmHWM`) in MB; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1000 for line in lines if line.startswith(entry))


def main(source: str, target: str, method: str) -> None:
    """Run the task and print what was seen as JSON."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    compile_kernels(Progress())
    watch = _Watch()
    task = tasks.RegularizeFootprints(input=source, output=target, method=method)
    result = engine.run(task, Progress(watch))
    seconds = time.perf_counter() - watch.start
    told = {"marks": watch.marks, "seconds": seconds, "kept": result["kept"], "peak_mb": resident_mb("VmHWM")}
    sys.stdout.write(json.dumps(told | {"cores": len(os.sched_getaffinity(0))}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
