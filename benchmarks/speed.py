"""How fast: ours against the rival, in turns, with geometries in memory and from file to file."""

from __future__ import annotations

import gc
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import geopandas
import numpy as np
import shapely
from buildingregulariser import regularize_geodataframe
from numpy.typing import NDArray

from benchmarks.rivals import CRS, Tool
from benchmarks.tables import table
from building_segmenter import engine, tasks
from building_segmenter.errors import InvalidParameterError
from building_segmenter.progress import Progress

Geometries = NDArray[np.object_]
Job = Callable[[], object]

REPEATS = 3
SPACING_M = 90.0
CORNER = (450_000.0, 3_050_000.0)


def in_memory(outlines: Geometries, tools: list[Tool], rivals: list[Tool]) -> str:
    """Time tools and their rivals in turns; return a table of medians and of ratios to the fastest rival."""
    jobs: dict[str, Job] = {str(tool): partial(tool.run, outlines) for tool in [*rivals, *tools]}
    for tool in (*rivals, *tools):
        tool.run(outlines[:200])
    return _table(_timed(jobs), [str(rival) for rival in rivals], len(outlines))


def from_file_to_file(outlines: Geometries, tools: list[Tool], rivals: list[Tool]) -> str:
    """Time the same with reading and writing a GeoPackage: our task against a script around the rival."""
    offered = [tool for tool in tools if _is_offered(tool)]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "outlines.gpkg"
        geopandas.GeoDataFrame({"place": np.arange(len(outlines))}, geometry=spread(outlines), crs=CRS).to_file(source)
        jobs: dict[str, Job] = {}
        for number, tool in enumerate((*rivals, *offered)):
            run = _rival_from_file if tool in rivals else _ours_from_file
            jobs[str(tool)] = partial(run, source, Path(folder) / f"{number}.gpkg", tool)
        timed = _table(_timed(jobs), [str(rival) for rival in rivals], len(outlines))
    missing = [str(tool) for tool in tools if tool not in offered]
    return timed + (f"\n\nNOT MEASURED, since the task does not offer them: {'; '.join(missing)}." if missing else "")


def _is_offered(tool: Tool) -> bool:
    try:
        tasks.RegularizeFootprints(input="in.gpkg", output="out.gpkg", **tool.parameters)
    except InvalidParameterError:
        return False
    return True


def spread(outlines: Geometries, first: int = 0, columns: int = 150) -> Geometries:
    """Return footprints in `CRS` side by side on the ground, row by row as in a town, from place `first` on."""
    row, column = np.divmod(first + np.arange(len(outlines)), columns)
    shift = np.column_stack([column, row]) * SPACING_M + CORNER
    counts = shapely.get_num_coordinates(outlines)
    moved = shapely.get_coordinates(outlines) + np.repeat(shift, counts, axis=0)
    result: Geometries = shapely.set_coordinates(outlines.copy(), moved)
    return result


def _rival_from_file(source: Path, target: Path, rival: Tool) -> None:
    target.unlink(missing_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = regularize_geodataframe(geopandas.read_file(source), num_cores=1, **rival.parameters)
    found.to_file(target)


def _ours_from_file(source: Path, target: Path, tool: Tool) -> None:
    target.unlink(missing_ok=True)
    options = tasks.RegularizeFootprints(input=str(source), output=str(target), **tool.parameters)
    engine.run(options, Progress())


def _timed(jobs: Mapping[str, Job]) -> dict[str, list[tuple[float, float]]]:
    """Return wall and processor seconds of each run; the jobs take turns, so that a busy machine slows all alike."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for _ in range(REPEATS):
        for name, job in jobs.items():
            gc.collect()
            wall, processor = time.perf_counter(), time.process_time()
            job()
            seconds[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return seconds


def _table(seconds: dict[str, list[tuple[float, float]]], rivals: list[str], count: int) -> str:
    medians = {name: np.median(runs, axis=0) for name, runs in seconds.items()}
    rows = []
    for name, median in medians.items():
        ratios = [f"{wall:.1f} ({processor:.1f})" for wall, processor in (medians[rival] / median for rival in rivals)]
        runs = " ".join(f"{run[0]:.2f}" for run in seconds[name])
        rows.append([name, runs, f"{count / median[0]:,.0f}", *ratios])
    headings = (f"times {rival} (by processor time)" for rival in rivals)
    return table(("tool", "seconds", "per s (median)", *headings), rows)
