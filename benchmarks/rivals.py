"""The tools that are compared: each takes an array of polygons and answers with one of the same length."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast, get_args

import geopandas
import numpy as np
import shapely
from buildingregulariser import regularize_geodataframe
from numpy.typing import NDArray

from building_segmenter.footprints.regularize import Method, Settings, regularize_polygons, settings

Geometries = NDArray[np.object_]

CRS = "EPSG:32645"
QGIS_PYTHON = Path("/usr/bin/python3")


@dataclass(frozen=True)
class Answers:
    """What a tool made of outlines.

    Args:
        geometry: Array (n) of polygons, multi-polygons where a footprint came back in pieces, None where dropped.
        kept: Array (n): the tool says that it gave the outline back as it was.
        seconds: What it took, in seconds of the one processor, whatever else the machine did.
    """

    geometry: Geometries
    kept: NDArray[np.bool_]
    seconds: float


@dataclass(frozen=True, eq=False)
class Tool:
    """A tool with its parameters, ready to run on one core."""

    name: str
    run: Callable[[Geometries], Answers]
    parameters: dict[str, Any] = field(default_factory=dict)
    remark: str = ""

    def __str__(self) -> str:
        """Return the name and what tells it apart from the same tool with other parameters."""
        return f"{self.name}{self.remark and ', ' + self.remark}"

    def described(self) -> str:
        """Return the parameters that were set."""
        return ", ".join(f"{key}={value}" for key, value in self.parameters.items())

    def remarked(self, remark: str) -> Tool:
        """Return the same tool under another remark."""
        return replace(self, remark=remark)


def our_methods() -> tuple[str, ...]:
    """Return the methods that the product has."""
    return get_args(settings.Method)


def ours(method: str, **parameters: Any) -> Tool:
    """Return our tool with a method and other parameters of `Settings`."""
    chosen = Settings(method=cast(Method, method), threads=1, **parameters)

    def run(outlines: Geometries) -> Answers:
        start = time.process_time()
        found = regularize_polygons(outlines, chosen)
        return Answers(found.geometry, found.status == 1, time.process_time() - start)

    return Tool(f"ours {method}", run, {"method": method, **parameters}, f"{chosen.tolerance:g} m")


def buildingregulariser(**parameters: Any) -> Tool:
    """Return PyPI's `buildingregulariser` with parameters of `regularize_geodataframe`."""

    def run(outlines: Geometries) -> Answers:
        frame = geopandas.GeoDataFrame({"place": np.arange(len(outlines))}, geometry=outlines, crs=CRS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.process_time()
            found = regularize_geodataframe(frame, num_cores=1, include_metadata=True, **parameters)
            seconds = time.process_time() - start
        kept = np.zeros(len(outlines), bool)
        # Its sign of an original that was given back.
        kept[found.loc[found["iou"] == 0, "place"]] = True
        return Answers(_gathered(found.geometry.to_numpy(), found["place"].to_numpy(), len(outlines)), kept, seconds)

    return Tool("buildingregulariser", run, parameters)


def buildingregulariser_grid(coarse: bool) -> Iterator[Tool]:
    """Give the rival with every combination of parameters that is tried."""
    simplify: tuple[float, ...] = (0.5, 1.0, 1.5) if coarse else (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
    reductions: tuple[float, ...] = (15,) if coarse else (10, 15, 20)
    diagonals: tuple[dict[str, Any], ...] = (
        {"allow_45_degree": False},
        *({"allow_45_degree": True, "diagonal_threshold_reduction": less} for less in reductions),
    )
    parallels: tuple[float, ...] = (1.0, 2.0, 3.0) if coarse else (0.5, 1.0, 2.0, 3.0)
    circles: tuple[float, ...] = (0.9,) if coarse else (0.85, 0.9)
    for parallel, tolerance, diagonal, circle in itertools.product(parallels, simplify, diagonals, circles):
        yield buildingregulariser(
            parallel_threshold=parallel, simplify_tolerance=tolerance, **diagonal, circle_threshold=circle
        )


def qgis_orthogonalize(angle_tolerance: float, simplify: float) -> Tool:
    """Return QGIS's `native:orthogonalize`, after its `native:simplifygeometries` unless `simplify` is 0.

    Run by QGIS's own Python. The time is that of the algorithms, from layers in memory to layers in memory.
    """

    def run(outlines: Geometries) -> Answers:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "in.gpkg", Path(folder) / "out.gpkg"
            frame = geopandas.GeoDataFrame({"place": np.arange(len(outlines))}, geometry=outlines, crs=CRS)
            frame.to_file(source)
            script = Path(__file__).with_name("qgis_orthogonalize.py")
            command = [str(QGIS_PYTHON), str(script), str(source), str(target), str(angle_tolerance), str(simplify)]
            # Paths of this environment would mislead QGIS's Python.
            done = subprocess.run(command, capture_output=True, text=True, env=_plain_environment())
            if done.returncode:
                raise RuntimeError(f"QGIS failed: {done.stderr[-2000:]}")
            found = geopandas.read_file(target)
        seconds = json.loads(done.stdout.splitlines()[-1])["seconds"]
        geometry = _gathered(found.geometry.to_numpy(), found["place"].to_numpy(), len(outlines))
        return Answers(geometry, np.zeros(len(outlines), bool), seconds)

    return Tool("QGIS orthogonalize", run, {"angle": angle_tolerance, "simplify": simplify})


def qgis_grid() -> Iterator[Tool]:
    """Give QGIS's algorithm with every combination of parameters that is tried."""
    for angle, simplify in itertools.product((15.0, 30.0, 44.0), (0.0, 0.5, 1.0, 1.5)):
        yield qgis_orthogonalize(angle, simplify)


def has_qgis() -> bool:
    """Tell whether QGIS's Python is where distributions put it."""
    probe = [str(QGIS_PYTHON), "-c", "import qgis.core"]
    return QGIS_PYTHON.exists() and subprocess.run(probe, capture_output=True, env=_plain_environment()).returncode == 0


def _plain_environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "QT_QPA_PLATFORM": "offscreen", "HOME": tempfile.gettempdir()}


def _gathered(found: Geometries, place: NDArray[np.int64], count: int) -> Geometries:
    """Return what came back at each place: one polygon, several as one multi-polygon, None for nothing."""
    result = np.full(count, None, object)
    result[place] = found
    for several in np.flatnonzero(np.bincount(place, minlength=count) > 1):
        result[several] = shapely.union_all(shapely.make_valid(found[place == several]))
    return result


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process and its children on one processor, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
