"""Real footprints: labels made rough like the drawn ones, and the outlines that the shipped model gives."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from benchmarks.measures import iou, main_directions
from benchmarks.quality import Case
from building_segmenter import engine
from building_segmenter.footprints.polygonize import polygonize_raster
from building_segmenter.footprints.tracing import TraceRule
from building_segmenter.geo.ground import local_frame
from building_segmenter.progress import Progress
from building_segmenter.tasks import SegmentRaster

Geometries = NDArray[np.object_]

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LABELS = {"Banepa centre": DATA / "banepa_13cm" / "centre", "Kampala": DATA / "hot_oam_7cm" / "kampala"}
MODELLED = {
    "Banepa south": (DATA / "hot_oam_7cm" / "banepa_south", "banepa_south_block1.tif"),
    "Kampala": (DATA / "hot_oam_7cm" / "kampala", "kampala_block1.tif"),
}

MIN_AREA_M2 = 10.0
LEAST_MATCH = 0.5


def labels() -> tuple[Geometries, NDArray[np.object_]]:
    """Return the labels of real houses in ground metres, and the site of each."""
    polygons = {site: _on_ground(geopandas.read_file(folder / "labels.geojson"))[0] for site, folder in LABELS.items()}
    sites = np.repeat(np.array(list(polygons), object), [len(found) for found in polygons.values()])
    return np.concatenate(list(polygons.values())), sites


def model_case() -> Case:
    """Return the outlines of the shipped model on blocks that it has not seen, each with the label it is nearest to.

    Outlines without a label of IoU `LEAST_MATCH` or more are left out: what they should look like is not known.
    """
    pairs = []
    for site, (folder, block) in MODELLED.items():
        outlines, labels = _predicted(folder, block)
        tree = shapely.STRtree(labels)
        for outline in outlines:
            near = tree.query(outline, predicate="intersects")
            matches = iou(np.full(len(near), outline, object), labels[near]) if len(near) else np.zeros(1)
            if matches.max() >= LEAST_MATCH:
                pairs.append((outline, labels[near[matches.argmax()]], site))
    outline, truth, kind = (np.array(column, object) for column in zip(*pairs, strict=True))
    return Case(outline, truth, kind, main_directions(truth))


def _predicted(folder: Path, block: str) -> tuple[Geometries, Geometries]:
    """Return outlines as `extract` has them before it regularizes, and labels, in ground metres."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, str(DATA / "make_mosaics.py"), str(folder), scratch]
        subprocess.run(command, check=True, capture_output=True)
        image, probability = Path(scratch) / block, Path(scratch) / "probability.tif"
        task = SegmentRaster(input=str(image), output=str(probability), threads=1)
        facts = engine.run(task, Progress())
        found = polygonize_raster(str(probability), TraceRule(threshold=facts["threshold"]))
    labels = geopandas.read_file(folder / "labels.geojson").to_crs(found.crs)
    outlines, frame = _on_ground(found)
    return outlines, _on_ground(labels, frame)[0]


def _on_ground(layer: geopandas.GeoDataFrame, frame: Any = None) -> tuple[Geometries, Any]:
    """Return the single, valid polygons of a layer that are large enough, in ground metres, and the frame."""
    frame = frame or local_frame(layer.crs, tuple(layer.total_bounds))
    polygons = shapely.get_parts(shapely.force_2d(frame.geometry_to_ground(layer.geometry.to_numpy())))
    good = shapely.is_valid(polygons) & (shapely.get_type_id(polygons) == 3) & (shapely.area(polygons) >= MIN_AREA_M2)
    return polygons[good], frame
