"""Exports a drawn raster as training chips and compares with the floor: the bare reading and writing of its windows.

    python -m benchmarks.chips                    10,000 px, 1,250 footprints, 512 px chips, stride 256
    python -m benchmarks.chips --size 20000       20,000 px, 5,000 footprints
    python -m benchmarks.chips --format coco      another format

The floor reads every window with rasterio and writes it as an uncompressed GeoTIFF, one after the other: no label, no
contacts, no world files, no statistics. With as many threads as the export it is the floor of any program, since then
nothing but rasterio's own work is left. All run in processes of their own, in turns, on the same disk; the figures are
medians of three. Memory is that of the process with all its libraries.
"""

import argparse
import importlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TILE, STRIDE = 512, 256
ROUNDS = 3
PROMISED_RATIO, PROMISED_MB = 1.5, 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10_000, help="width and height of the raster in pixels")
    parser.add_argument("--format", default="classified-tiles", help="format of the export")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--child", choices=RUNS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        prepare()
        began = time.perf_counter()
        chips = RUNS[options.child](options.folder, options.format)
        seconds = time.perf_counter() - began
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"chips": chips, "seconds": seconds, "megabytes": megabytes}))
        return
    with tempfile.TemporaryDirectory(prefix="chips-", dir=options.folder) as folder:
        draw(Path(folder), options.size)
        show(measured(Path(folder), options.format), options)


def prepare():
    """Import what all runs use, so that the time is that of the work."""
    importlib.import_module("building_segmenter.chips.export")
    importlib.import_module("geopandas")
    # Set up environment compiles it once; a process then loads it.
    importlib.import_module("building_segmenter.chips.sums").compile_kernels()


def measured(folder, form):
    results = {name: [] for name in RUNS}
    for _ in range(ROUNDS):
        for name in RUNS:
            command = [sys.executable, "-m", "benchmarks.chips", "--child", name, "--format", form]
            done = subprocess.run([*command, "--folder", folder], check=True, capture_output=True, text=True)
            results[name].append(json.loads(done.stdout.splitlines()[-1]))
            shutil.rmtree(folder / "chips", ignore_errors=True)
            # What one run left to be written to the disk is not the next one's affair.
            os.sync()
    return results


def show(results, options):
    print(f"{options.size} x {options.size} px, {TILE} px chips, stride {STRIDE}, {os.cpu_count()} processors")
    for name, runs in results.items():
        seconds = statistics.median(run["seconds"] for run in runs)
        memory = max(run["megabytes"] for run in runs)
        rate = runs[0]["chips"] / seconds
        print(f"{name:>16}: {runs[0]['chips']} chips in {seconds:6.2f} s, {rate:6.0f} chips/s, peak {memory:4.0f} MB")
    for floor in ("floor", "threaded floor"):
        ratios = [e["seconds"] / f["seconds"] for e, f in zip(results["export"], results[floor], strict=True)]
        print(
            f"export / {floor}: {statistics.median(ratios):.2f} (each round: {', '.join(f'{r:.2f}' for r in ratios)})"
        )
    print(f"promised: at most {PROMISED_RATIO} times the floor, under {PROMISED_MB} MB")


def draw(folder, size):
    """Write a raster of noise and a layer of houses, turned anyhow, as many on a square kilometre whatever the size."""
    import geopandas
    import numpy as np
    import rasterio
    import shapely
    import shapely.affinity
    from affine import Affine
    from rasterio.windows import Window

    rng = np.random.default_rng(1)
    transform = Affine(0.075, 0, 500_000, 0, -0.075, 3_700_000)
    profile = {"width": size, "height": size, "count": 3, "dtype": "uint8", "crs": "EPSG:32616", "transform": transform}
    layout = {"tiled": True, "blockxsize": 512, "blockysize": 512}
    with rasterio.open(folder / "raster.tif", "w", driver="GTiff", bigtiff="if_safer", **profile, **layout) as target:
        for row in range(0, size, 512):
            height = min(512, size - row)
            pixels = rng.integers(0, 256, (3, height, size), dtype=np.uint8)
            target.write(pixels, window=Window(0, row, size, height))
    count = round(5000 * (size / 20_000) ** 2)
    places, sizes = rng.uniform(0, size, (count, 2)), rng.uniform(60, 240, (count, 2))
    houses = [
        shapely.affinity.rotate(shapely.box(x, y, x + w, y + h), angle)
        for (x, y), (w, h), angle in zip(places, sizes, rng.uniform(0, 90, count), strict=True)
    ]
    placed = [shapely.affinity.affine_transform(h, transform.to_shapely()) for h in houses]
    geopandas.GeoDataFrame({"number": range(count)}, geometry=placed, crs="EPSG:32616").to_file(folder / "houses.gpkg")


def floor(folder, form, threads=1):
    import rasterio
    from rasterio.windows import Window

    from building_segmenter.rasters.tiles import tile_starts

    (folder / "chips").mkdir()
    with rasterio.Env(GDAL_CACHEMAX=256), rasterio.open(folder / "raster.tif") as source:
        windows = [
            Window(column, row, TILE, TILE)
            for row in tile_starts(source.height, TILE, STRIDE)
            for column in tile_starts(source.width, TILE, STRIDE)
        ]
        common = {"driver": "GTiff", "width": TILE, "height": TILE, "count": 3, "dtype": "uint8", "crs": source.crs}

        def write(number, pixels, transform):
            with rasterio.open(folder / "chips" / f"{number:09d}.tif", "w", transform=transform, **common) as target:
                target.write(pixels)

        if threads == 1:
            for number, window in enumerate(windows):
                write(number, source.read(window=window), source.window_transform(window))
            return len(windows)
        with ThreadPoolExecutor(threads) as pool:
            waiting = []
            for number, window in enumerate(windows):
                waiting.append(pool.submit(write, number, source.read(window=window), source.window_transform(window)))
                if len(waiting) > 16:
                    waiting.pop(0).result()
            for one in waiting:
                one.result()
    return len(windows)


def threaded_floor(folder, form):
    return floor(folder, form, threads=os.cpu_count() or 1)


def export(folder, form):
    from building_segmenter.chips.export import export_chips
    from building_segmenter.progress import Progress
    from building_segmenter.tasks import ExportChips

    options = ExportChips(
        input=str(folder / "raster.tif"),
        footprints=str(folder / "houses.gpkg"),
        output=str(folder / "chips"),
        format=form,
        tile_size=TILE,
        stride=STRIDE,
        validation=0.0,
    )
    return export_chips(options, Progress())["chips"]


RUNS = {"floor": floor, "threaded floor": threaded_floor, "export": export}


if __name__ == "__main__":
    main()
