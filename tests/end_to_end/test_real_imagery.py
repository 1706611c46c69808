"""The shipped model on real imagery that it has not seen; the figures are printed (pytest -s)."""

import os
import subprocess
import sys
import time
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from end_to_end_runs import ENVIRONMENT, REPOSITORY
from rasterio.features import rasterize

from building_segmenter.geo.ground import local_frame
from building_segmenter.networks.shipped import default_model_path

DATA = REPOSITORY.parent / "shared" / "data"
SITES = DATA / "hot_oam_7cm"
FIELDS = "score area_m2 perim_m vertices status reason method angle_deg max_dev_m iou geometry".split()
LOWEST_IOU = 0.74
HIGHEST_MEMORY = 1.5e9

pytestmark = [
    pytest.mark.skipif(not SITES.is_dir(), reason=f"there is no real imagery in {DATA}"),
    pytest.mark.skipif(not Path(default_model_path()).is_file(), reason="there is no shipped model"),
]


@pytest.fixture(scope="module")
def mosaic(tmp_path_factory):
    """Make the mosaics of a site; returns the path of one of its blocks."""
    folder = tmp_path_factory.mktemp("mosaics")
    made = {}

    def block(site, number):
        if site not in made:
            words = [sys.executable, DATA / "make_mosaics.py", SITES / site, folder]
            made[site] = subprocess.run(words, env=ENVIRONMENT, check=True, timeout=300, capture_output=True)
        return folder / f"{site}_block{number}.tif"

    return block


def extract(image, output):
    """Run the command line; returns the seconds it took and the highest memory of its process in bytes."""
    words = [sys.executable, "-m", "building_segmenter", "extract", str(image), str(output)]
    began = time.monotonic()
    process = subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    assert process.returncode == 0, said
    unit = 1 if sys.platform == "darwin" else 1024
    return time.monotonic() - began, usage.ru_maxrss * unit


@pytest.fixture(scope="module")
def footprints(mosaic, tmp_path_factory):
    """Extract the footprints of a validation block, once."""
    folder, made = tmp_path_factory.mktemp("footprints"), {}

    def of(site, number):
        if (site, number) not in made:
            image, output = mosaic(site, number), folder / f"{site}_{number}.gpkg"
            seconds, memory = extract(image, output)
            made[site, number] = geopandas.read_file(output)
            print(f"\n{image.name}: {len(made[site, number])} footprints, {seconds:.1f} s, {memory / 1e6:.0f} MB")
        return made[site, number]

    return of


VALIDATION = [("kampala", 1), ("banepa_south", 1)]


@pytest.mark.parametrize(("site", "number"), VALIDATION)
def test_footprints_are_valid_and_have_their_fields(footprints, site, number):
    layer = footprints(site, number)
    assert list(layer.columns) == FIELDS
    assert len(layer) > 5
    assert layer.crs == "EPSG:3857"
    assert layer.is_valid.all()
    assert set(layer.geom_type) == {"Polygon"}
    assert layer["score"].between(0, 100).all()
    assert (layer["reason"] == "").eq(layer["status"] == 0).all()


@pytest.mark.parametrize(("site", "number"), VALIDATION)
def test_regularized_rings_have_right_angles_on_the_ground(footprints, site, number):
    layer = footprints(site, number)
    regularized = layer[layer["status"] == 0]
    assert len(regularized) > 0.8 * len(layer)
    ground = local_frame(layer.crs, tuple(layer.total_bounds)).geometry_to_ground(regularized.geometry.to_numpy())
    worst = max(corner_error(ring) for one in ground for ring in (one.exterior, *one.interiors))
    print(f"\n{site} {number}: {len(regularized)} of {len(layer)} regularized, worst corner {worst:.5f} degrees off")
    assert worst < 0.1


def corner_error(ring):
    points = np.array(ring.coords)[:-1]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    turn = np.degrees(np.arctan2(cross, (before * after).sum(axis=1)))
    return np.abs(np.abs(turn) - 90).max()


def test_mean_pixel_iou_of_the_validation_blocks(footprints, mosaic):
    found = {}
    for site, number in VALIDATION:
        with rasterio.open(mosaic(site, number)) as dataset:
            valid, transform, crs = dataset.dataset_mask() > 0, dataset.transform, dataset.crs
        truth = burned(geopandas.read_file(SITES / site / "labels.geojson"), crs, transform, valid.shape)
        ours = burned(footprints(site, number), crs, transform, valid.shape)
        found[site] = (truth & ours & valid).sum() / ((truth | ours) & valid).sum()
    mean = np.mean(list(found.values()))
    print(f"\npixel IoU: {', '.join(f'{site} {iou:.4f}' for site, iou in found.items())}; mean {mean:.4f}")
    assert mean >= LOWEST_IOU


def burned(layer, crs, transform, shape):
    geometries = shapely.make_valid(layer.to_crs(crs).geometry.to_numpy())
    return rasterize([one for one in geometries if not one.is_empty], shape, transform=transform) > 0


@pytest.mark.slow
def test_a_block_of_8192_by_4096_pixels_needs_little_memory(mosaic, tmp_path):
    image = mosaic("zanzibar", 0)
    with rasterio.open(image) as dataset:
        assert dataset.width * dataset.height >= 8192 * 4096 * 0.9
    seconds, memory = extract(image, tmp_path / "zanzibar.gpkg")
    layer = geopandas.read_file(tmp_path / "zanzibar.gpkg")
    print(f"\n{image.name}: {len(layer)} footprints, {seconds:.0f} s, {memory / 1e6:.0f} MB")
    assert len(layer) > 50
    assert memory < HIGHEST_MEMORY


def test_the_same_block_in_four_crss_gives_the_same_footprints(mosaic, write_image, tmp_path):
    """The pixels of Kampala block 1, put down in Georgia in each CRS, through the shipped model."""
    with rasterio.open(mosaic("kampala", 1)) as dataset:
        pixels = np.moveaxis(dataset.read(), 0, -1)
    seen = {}
    for crs in ("EPSG:4326", "EPSG:3857", "EPSG:32616", "EPSG:2240"):
        image = write_image(pixels, f"{crs[5:]}.tif", crs=crs, gsd=0.0745, photometric="RGB", alpha="yes")
        extract(image, tmp_path / f"{crs[5:]}.gpkg")
        with rasterio.open(image) as dataset:
            to_pixels = ~dataset.transform
        outlines = geopandas.read_file(tmp_path / f"{crs[5:]}.gpkg").geometry.to_numpy()
        metres = shapely.transform(outlines, lambda x, y, t=to_pixels: t @ (x, y), interleaved=False)
        seen[crs] = shapely.transform(metres, lambda x, y: (x * 0.0745, y * 0.0745), interleaved=False)
    first = seen.pop("EPSG:4326")
    assert len(first) > 20
    for crs, other in seen.items():
        assert len(other) == len(first), crs
        assert shapely.hausdorff_distance(first, other).max() < 0.01, crs
