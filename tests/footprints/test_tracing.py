"""Polygons traced and written in batches: the same however the raster is cut, in memory that does not grow."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import rasterio
import shapely
from contact_scenes import drawn, softened, write_planes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from building_segmenter import tasks
from building_segmenter.footprints import tracing
from building_segmenter.footprints.contours import field
from building_segmenter.footprints.polygonize import polygonize_mask, trace_raster
from building_segmenter.footprints.splitting import SplitRule
from building_segmenter.footprints.tracing import TraceRule, Tracing
from building_segmenter.progress import Progress

HEIGHT, WIDTH = 144, 120


def cut(monkeypatch, blocks):
    """Have rasters read in so many blocks of rows, in each of which outlines are traced in two bands."""
    monkeypatch.setattr(field, "_READ_PIXELS", HEIGHT // blocks * WIDTH)
    monkeypatch.setattr(field, "_BAND_PIXELS", max(1, HEIGHT // blocks // 2) * WIDTH)


def same(one, other):
    assert one.regions.tolist() == other.regions.tolist()
    assert shapely.to_wkb(one.polygons.geometry).tolist() == shapely.to_wkb(other.polygons.geometry).tolist()
    assert one.polygons.drop(columns="geometry").equals(other.polygons.drop(columns="geometry"))


def houses(rng):
    """Return planes of random buildings of which some touch, partly upright through all blocks, with yards."""
    rows = [shapely.box(4 + 24 * k, 3, 28 + 24 * k, rng.integers(40, 140)) for k in range(3)]
    small = [shapely.box(88, 6 + 14 * k, 88 + rng.integers(8, 28), 14 + 14 * k) for k in range(9)]
    yard = shapely.box(8, 10, 20, 30)
    planes = drawn([rows[0].difference(yard), *rows[1:], *small], (HEIGHT, WIDTH))
    noise = gaussian_filter(rng.normal(0, 1, planes.shape), (0, 2, 2))
    return np.clip(softened(planes) + noise * rng.uniform(0, 0.8), 0, 1)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), together=st.sampled_from([1, 3, 2048]))
def test_the_number_of_blocks_does_not_matter_also_where_regions_are_parted(tmp_path, seed, together):
    path = write_planes(tmp_path / "p.tif", houses(np.random.default_rng(seed)), blockysize=1)
    found = []
    for blocks in (1, 4, 16):
        with pytest.MonkeyPatch.context() as patch:
            cut(patch, blocks)
            patch.setattr(tracing, "FEATURES", together)
            found.append(trace_raster(path, TraceRule(min_area=0.1, min_hole_area=0.3, split=SplitRule())))
    assert len(found[0].regions) > 3
    same(found[0], found[1])
    same(found[0], found[2])


@pytest.mark.parametrize("suffix", [".parquet", ".fgb"])
def test_the_number_of_blocks_does_not_change_a_byte_of_the_layer(tmp_path, monkeypatch, suffix):
    path = write_planes(tmp_path / "p.tif", houses(np.random.default_rng(5)), blockysize=1)
    monkeypatch.setattr(tracing, "FEATURES", 3)
    written = set()
    for blocks in (1, 4, 16):
        cut(monkeypatch, blocks)
        output = tmp_path / f"layer{suffix}"
        polygonize_mask(tasks.PolygonizeMask(input=path, output=str(output), min_area=0.1), Progress())
        written.add(output.read_bytes())
    assert len(written) == 1


def test_batches_come_as_soon_as_they_are_full_and_hold_all_in_order(tmp_path, monkeypatch):
    planes = np.zeros((1, HEIGHT, WIDTH))
    for row in range(2, HEIGHT, 12):
        planes[0, row : row + 6, 4:10] = planes[0, row : row + 6, 20:30] = 1
    path = write_planes(tmp_path / "p.tif", planes, names=("building",), blockysize=1)
    whole = trace_raster(path, TraceRule(min_area=0))
    cut(monkeypatch, 12)
    monkeypatch.setattr(tracing, "FEATURES", 5)
    with rasterio.open(path) as dataset:
        seen = []
        sink = Progress()
        shares = []
        sink.sink.progress = lambda fraction, stage, eta_s: shares.append(fraction)
        batches = Tracing(dataset, TraceRule(min_area=0), None, sink).batches(sink)
        seen.append(next(batches))
        assert max(shares) < 0.5
        seen += batches
    assert [len(one.regions) for one in seen] == [5, 5, 5, 5, 4]
    assert np.concatenate([one.regions for one in seen]).tolist() == list(range(24))
    same(tracing.joined_traced(seen), whole)


def test_who_takes_no_more_stops_the_thread_that_traces(tmp_path, monkeypatch):
    path = write_planes(tmp_path / "p.tif", houses(np.random.default_rng(5)), blockysize=1)
    cut(monkeypatch, 16)
    monkeypatch.setattr(tracing, "FEATURES", 1)
    before = threading.active_count()
    with rasterio.open(path) as dataset:
        batches = Tracing(dataset, TraceRule(min_area=0.1, split=SplitRule()), None, Progress()).batches(Progress())
        next(batches)
        assert threading.active_count() == before + 1
        batches.close()
        assert threading.active_count() == before


PEAKS = """
import resource
import numpy as np, rasterio
from rasterio.transform import from_origin
from building_segmenter.footprints.contours import field
from building_segmenter.footprints.tracing import TraceRule, Tracing
from building_segmenter.progress import Progress

# What is traced at once is small beside the polygons, so that these would show.
field._BAND_PIXELS, field._READ_PIXELS = 1 << 16, 1 << 18
strip = np.zeros((12, 2000), np.uint8)
strip.reshape(12, -1, 10)[2:8, :, 2:8] = 1
for height in (3000, 6000):
    with rasterio.open(
        "p.tif", "w", driver="GTiff", width=2000, height=height, count=1, dtype="uint8", blockysize=12,
        crs="EPSG:32616", transform=from_origin(740_000, 3_732_000, 1, 1),
    ) as dataset:
        for row in range(0, height, 12):
            dataset.write(strip, 1, window=((row, row + 12), (0, 2000)))
    with rasterio.open("p.tif") as dataset:
        batches = Tracing(dataset, TraceRule(), None, Progress()).batches(Progress())
        count = sum(len(batch.regions) for batch in batches)
    print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in kilobytes on Linux")
def test_memory_of_tracing_does_not_grow_with_the_number_of_polygons(tmp_path):
    told = subprocess.run([sys.executable, "-c", PEAKS], cwd=tmp_path, capture_output=True, text=True, check=True)
    features, peak = np.array([line.split() for line in told.stdout.splitlines()], int).T
    assert features.tolist() == [50_000, 100_000]
    # Held all at once, 50 000 polygons more take 50 MB more.
    assert peak[1] - peak[0] < 20_000
