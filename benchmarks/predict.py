"""Predicts a raster with the shipped model and compares with the floor and with other ways to run the same weights.

    python -m benchmarks.predict                  8,000 px, median of three; Linux
    python -m benchmarks.predict --size 20000     a whole county tile
    python -m benchmarks.predict --size 2000 --rounds 1

The raster has the model's own pixel and is real imagery of `../shared/data`, repeated with flips, or drawn where that
is missing. The floor puts as many tiles as `segment` predicts through OpenVINO's own queue of requests, with inputs in
memory and results dropped, in the same precision: the whole network, from pixels to their probabilities. `segment`
itself stops at coarse logits and makes probabilities of them once they are blended; the coarse floor does so many of
these shorter requests, and nothing makes probabilities of them. Keras is what the original workflow did: `predict` on
TensorFlow, tile by tile, inputs in memory, too. GeoDeep reads and predicts the file itself with the exported ONNX, and
overlaps tiles by its own rule. All run in processes of their own, in turns. Imports are not timed, nor is the floor's
and Keras' loading of the model; that of `segment` and of GeoDeep is. Memory is that of the process with all its
libraries.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio

from benchmarks.imagery import OVERLAP, make_raster, shipped_facts, tile_stride
from benchmarks.process import highest_mb
from building_segmenter import engine

TILES_IN_MEMORY = 16
PROMISED_FLOOR, PROMISED_MB = 1.25, 2000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=8000, help="width and height of the raster in pixels")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, of which the median counts")
    parser.add_argument("--threads", type=int, default=2, help="processor threads for everyone")
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS), help="measure some of them")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--child", choices=RUNS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print("\n" + json.dumps(measured(options)))
        return
    os.environ["KERAS_BACKEND"] = "openvino"
    with tempfile.TemporaryDirectory() as folder:
        options.folder = options.folder or Path(folder)
        make_raster(options.folder / "image.tif", options.size, options.size)
        export(options.folder)
        results = {name: [] for name in options.only}
        for _ in range(options.rounds):
            for name in options.only:
                results[name].append(in_child(name, options))
    report(results, options.size)


def measured(options):
    """Run one of the ways in this process; return its seconds and megabytes."""
    os.environ["KERAS_BACKEND"] = "tensorflow" if options.child == "keras" else "openvino"
    sys.modules["openvino_telemetry"] = None
    if options.child != "keras":
        # As a run of the task does; Keras would load TensorFlow, which it has no use for there.
        sys.meta_path.insert(0, engine._NotNeeded())
    seconds = RUNS[options.child](options)
    return {"seconds": seconds, "megabytes": highest_mb()}


def in_child(name, options):
    words = [sys.executable, "-m", "benchmarks.predict", "--child", name, "--folder", str(options.folder)]
    words += ["--size", str(options.size), "--threads", str(options.threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
    run = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(run.stdout.splitlines()[-1])


def segment(options, precision):
    from building_segmenter import tasks
    from building_segmenter.inference.segment import segment_raster
    from building_segmenter.progress import Progress

    began = time.perf_counter()
    task = tasks.SegmentRaster(
        input=str(options.folder / "image.tif"),
        output=str(options.folder / "probability.tif"),
        overlap=OVERLAP,
        inference_precision=precision,
        threads=options.threads,
    )
    segment_raster(task, Progress())
    return time.perf_counter() - began


def floor(options, precision):
    import openvino

    from building_segmenter.inference.from_keras import as_openvino

    network, facts = shipped_model()
    ir = as_openvino(openvino.Core(), network, 1, facts.tile_size, facts.tile_size, len(facts.bands))
    return queued(options, precision, ir, *tiles_of(options, facts))


def coarse_floor(options, precision):
    import openvino

    from building_segmenter.inference.network import coarse_network, fed_bytes, giving_planes
    from building_segmenter.networks.shipped import default_model_path

    facts = shipped_facts()
    ir = giving_planes(fed_bytes(coarse_network(default_model_path(), facts))).build(openvino.Core())
    tiles, count = tiles_of(options, facts)
    return queued(options, precision, ir, [tile.astype(np.uint8) for tile in tiles], count)


def queued(options, precision, ir, tiles, count):
    """Return the seconds that OpenVINO's own queue takes for so many tiles."""
    import openvino

    from building_segmenter.inference.runtime import Runtime

    settings = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_NUM_THREADS": options.threads}
    settings["INFERENCE_PRECISION_HINT"] = Runtime(precision, options.threads).precision
    requests = openvino.AsyncInferQueue(openvino.Core().compile_model(ir, "CPU", settings))
    began = time.perf_counter()
    for tile in itertools.islice(itertools.cycle(tiles), count):
        requests.start_async([tile])
    requests.wait_all()
    return time.perf_counter() - began


def keras_predict(options):
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(options.threads)
    network, facts = shipped_model()
    tiles, count = tiles_of(options, facts)
    network.predict(tiles[0], verbose=0)  # traces its function
    began = time.perf_counter()
    for tile in itertools.islice(itertools.cycle(tiles), count):
        network.predict(tile, verbose=0)
    return time.perf_counter() - began


def geodeep(options):
    from geodeep import segment as geodeep_segment

    began = time.perf_counter()
    image, model = options.folder / "image.tif", options.folder / "model.onnx"
    geodeep_segment(str(image), str(model), max_threads=options.threads)
    return time.perf_counter() - began


RUNS = {
    "segment auto": lambda options: segment(options, "auto"),
    "segment f32": lambda options: segment(options, "f32"),
    "floor auto": lambda options: floor(options, "auto"),
    "floor f32": lambda options: floor(options, "f32"),
    "coarse floor auto": lambda options: coarse_floor(options, "auto"),
    "coarse floor f32": lambda options: coarse_floor(options, "f32"),
    "keras": keras_predict,
    "geodeep": geodeep,
}


def shipped_model():
    from building_segmenter.networks.model_file import load_model
    from building_segmenter.networks.shipped import default_model_path

    return load_model(default_model_path())


def tiles_of(options, facts):
    """Return some tiles of the raster (1, tile, tile, bands), and how many `segment` predicts of the whole."""
    from building_segmenter.rasters.tiles import tile_starts

    side = facts.tile_size
    starts = tile_starts(options.size, side, tile_stride(facts))
    tiles = []
    with rasterio.open(options.folder / "image.tif") as dataset:
        for row, column in itertools.islice(itertools.product(starts, starts), TILES_IN_MEMORY):
            values = dataset.read(window=rasterio.windows.Window(column, row, side, side))
            tiles.append(np.ascontiguousarray(np.moveaxis(values, 0, -1)[None], np.float32))
    return tiles, len(starts) ** 2


def export(folder):
    words = [sys.executable, "-m", "building_segmenter", "model", "export", folder / "model.onnx"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def report(results, size):
    medians = {name: statistics.median(run["seconds"] for run in runs) for name, runs in results.items()}
    print(f"{size} x {size} px\n\n| | seconds | median | Mpx/s | peak MB |\n|---|---|---|---|---|")
    for name, runs in results.items():
        seconds = ", ".join(f"{run['seconds']:.1f}" for run in runs)
        speed, megabytes = size * size / 1e6 / medians[name], max(run["megabytes"] for run in runs)
        print(f"| {name} | {seconds} | {medians[name]:.1f} | {speed:.2f} | {megabytes:.0f} |")
    print()
    for first, second, goal in GOALS:
        if first in medians and second in medians:
            print(f"{first} / {second}: {medians[first] / medians[second]:.2f} ({goal})")
    print(f"Memory of segment: goal below {PROMISED_MB} MB.")


GOALS = (
    ("segment auto", "floor auto", f"goal: at most {PROMISED_FLOOR}"),
    ("segment f32", "floor f32", f"goal: at most {PROMISED_FLOOR}"),
    ("segment auto", "coarse floor auto", "what is left beside the network"),
    ("segment f32", "coarse floor f32", "what is left beside the network"),
    ("keras", "segment auto", "goal: at least 5 in bf16"),
    ("keras", "segment f32", "goal: at least 2.5"),
    ("geodeep", "segment auto", "goal: at least 2"),
    ("geodeep", "segment f32", "goal: at least 1.2"),
)


if __name__ == "__main__":
    main()
