"""Detects with the same ResNet-101 weights on OpenVINO, as `detect` does, and with Matterport's own Mask R-CNN.

    python -m benchmarks.detect                                median of three; Linux
    python -m benchmarks.detect --backbone resnet50 --side 256 --tiles 2 --rounds 1
    python -m benchmarks.detect --raster 10000                 then also the task on a raster of so many pixels a side
    python -m benchmarks.detect --least-score 0.9              with fewer objects on a tile, of which masks are drawn

The original is `mrcnn` 0.2 on TensorFlow (see `mask_rcnn_original.py`). Its time is that of its network alone, and of
its `detect`, which also draws full masks; ours is from a tile's pixels to boxes, scores and masks of 28 px, with as
many tiles at a time as `detect` works on. Weights are drawn at random so that some tens of objects are found on every
tile, the same ones by both: how many is shown. All run in processes of their own, in turns; loading is not timed.
Processor time tells how much other programs disturbed the speeds. Memory is that of the process with all its
libraries; ours is told for networks that an earlier run left compiled, and for the run that compiles them.

On the raster the time of a tile is told for each tenth of the way, merging and outlines included.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import mask_rcnn_original as matterport
from benchmarks.process import highest_mb
from building_segmenter import engine

SEED = 5
PROPOSALS = (1000, 300)
PRECISIONS = ("auto", "f32")
GOALS = {"auto": 2.5, "f32": 1.6}
PROMISED_MB = 2000
WAYS = ("prepare", "original", "ours", "raster")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=("resnet50", "resnet101"), default="resnet101")
    parser.add_argument("--side", type=int, default=512, help="of a tile in pixels, a multiple of 64")
    parser.add_argument("--tiles", type=int, default=8, help="tiles of a run, besides two to begin with")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, of which the median counts")
    parser.add_argument("--threads", type=int, default=2, help="processor threads for everyone")
    parser.add_argument("--least-score", type=float, default=0.5, help="of an object: higher, and there are fewer")
    parser.add_argument("--raster", type=int, help="width and height in pixels of a raster to detect in besides")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--proposals", type=int, default=PROPOSALS[1], help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="auto", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        if options.child == "ours":
            # As a run of the task does; Keras would load TensorFlow, which it has no use for there.
            sys.modules["openvino_telemetry"] = None
            sys.meta_path.insert(0, engine._NotNeeded())
        found = {"prepare": prepare, "original": original, "ours": ours, "raster": raster}[options.child](options)
        print("\n" + json.dumps(found | {"megabytes": highest_mb()}))
        return
    if matterport.missing():
        raise SystemExit(matterport.missing())
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        in_child(options, "prepare")
        report(measured(options))
        if options.raster:
            report_raster(in_child(options, "raster"), options)


def measured(options):
    """Return the runs of each way by its name, proposals and precision."""
    ways = [("original", count, "f32") for count in PROPOSALS]
    ways += [("ours", count, precision) for count in PROPOSALS for precision in PRECISIONS]
    compiling = {way: in_child(options, *way)["megabytes"] for way in ways if way[0] == "ours"}
    runs = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, found in runs.items():
            found.append(in_child(options, *way) | {"compiling": compiling.get(way)})
    return runs


def in_child(options, child, proposals=PROPOSALS[1], precision="auto"):
    words = [sys.executable, "-m", "benchmarks.detect", "--child", child, "--folder", str(options.folder)]
    words += ["--backbone", options.backbone, "--side", str(options.side)]
    words += ["--tiles", str(options.tiles), "--threads", str(options.threads)]
    words += ["--proposals", str(proposals), "--precision", precision, "--least-score", str(options.least_score)]
    words += ["--raster", str(options.raster)] if options.raster else []
    environment = os.environ | {
        # Weights are scaled by what the network computes, for which bf16 of the other backend is too coarse.
        "KERAS_BACKEND": "tensorflow" if child == "prepare" else "openvino",
        "OMP_NUM_THREADS": str(options.threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "BUILDING_SEGMENTER_MODEL_CACHE": str(options.folder / "compiled"),
    }
    run = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(run.stdout.splitlines()[-1])


def settings_for(options):
    """Return what both are configured with."""
    return {
        "BACKBONE": options.backbone,
        "NUM_CLASSES": 2,
        "IMAGES_PER_GPU": 1,
        "IMAGE_MIN_DIM": options.side,
        "IMAGE_MAX_DIM": options.side,
        "RPN_ANCHOR_SCALES": (16, 32, 64, 128, 256),
        "POST_NMS_ROIS_INFERENCE": options.proposals,
        "DETECTION_MIN_CONFIDENCE": options.least_score,
    }


def prepare(options):
    """Write the same weights as the original reads them, and as a model of ours."""
    from benchmarks.imagery import shipped_facts
    from building_segmenter.networks.facts import BandFacts
    from building_segmenter.networks.mask_rcnn.checkpoints import save_matterport
    from building_segmenter.networks.mask_rcnn.config import Config
    from building_segmenter.networks.mask_rcnn.model_file import write_mask_rcnn
    from building_segmenter.networks.mask_rcnn.network import build_networks

    config = Config(**settings_for(options), ROI_ALIGN="matterport")
    networks = build_networks(config)
    matterport.draw_weights(networks, config, tiles(options, 1)[0] - np.array(config.mean_pixel, np.float32), SEED)
    save_matterport(networks, options.folder / "weights.h5")
    band = BandFacts("grey", 0.0, 255.0, 127.0, 74.0)
    facts = replace(
        shipped_facts(),
        name="random",
        architecture="Mask R-CNN",
        bands=(band,) * 3,
        tile_size=options.side,
        channels=("building",),
        classes=({"value": 1, "name": "building"},),
        threshold=config.DETECTION_MIN_CONFIDENCE,
    )
    write_mask_rcnn(networks, config, facts, options.folder / "model.keras")
    return {}


def tiles(options, count):
    side = options.side
    return [matterport.draw_picture(side, side, SEED + number).astype(np.float32) for number in range(count)]


def original(options):
    modellib = matterport.load_original()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    model, _ = matterport.original_model(modellib, "inference", settings_for(options), options.folder)
    model.load_weights(str(options.folder / "weights.h5"), by_name=True)
    given = [tile.astype(np.uint8) for tile in tiles(options, options.tiles)]
    molded = [model.mold_inputs([tile])[:2] for tile in given]
    anchors = model.get_anchors((options.side, options.side, 3))[np.newaxis]
    for tile in given[:2]:
        model.detect([tile])
    times = timed(lambda: [model.keras_model.predict([*pair, anchors], verbose=0) for pair in molded], len(given))[1]
    found, whole = timed(lambda: [model.detect([tile])[0] for tile in given], len(given))
    objects = [len(one["scores"]) for one in found]
    return times | {"whole": whole["seconds"], "objects": objects, "precision": "f32"}


def ours(options):
    from building_segmenter.inference.instances.parts import model_parts
    from building_segmenter.inference.instances.predictor import InstancePredictor
    from building_segmenter.inference.runtime import Runtime
    from building_segmenter.networks.mask_rcnn.model_file import read_mask_rcnn_facts

    config, facts = read_mask_rcnn_facts(options.folder / "model.keras")
    config = replace(config, POST_NMS_ROIS_INFERENCE=options.proposals)
    runtime = Runtime(options.precision, options.threads)
    parts = model_parts(options.folder / "model.keras", config, facts.tile_size)
    predictor = InstancePredictor(parts, config, facts.tile_size, runtime)
    given = tiles(options, options.tiles)
    with ThreadPoolExecutor(predictor.requests) as pool:
        list(pool.map(predictor.predict, given[:2]))
        found, times = timed(lambda: list(pool.map(predictor.predict, given)), len(given))
    return times | {"objects": [len(one.scores) for one in found], "precision": runtime.precision}


def timed(work, count):
    """Return the result of work on so many tiles, with the seconds and the processor's seconds of one."""
    began, used = time.perf_counter(), time.process_time()
    result = work()
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    return result, {"seconds": seconds / count, "processor": processor / count}


def raster(options):
    from benchmarks.imagery import make_raster
    from building_segmenter import tasks
    from building_segmenter.progress import Progress, SilentSink

    class Clock(SilentSink):
        """Notes when each share of the tiles was worked on."""

        def __init__(self):
            super().__init__()
            self.seen = []

        def progress(self, fraction, stage, eta_s):
            if stage == "Predicting":
                self.seen.append((time.perf_counter(), fraction))

    make_raster(options.folder / "image.tif", options.raster, options.raster)
    task = tasks.DetectBuildings(
        input=str(options.folder / "image.tif"),
        output=str(options.folder / "buildings.gpkg"),
        model=str(options.folder / "model.keras"),
        threads=options.threads,
        resume=False,
    )
    clock = Clock()
    began = time.perf_counter()
    result = engine.run(task, Progress(clock))
    ended = time.perf_counter()
    stamps, shares = np.array(clock.seen).T
    shares = (shares - shares[0]) / (shares[-1] - shares[0])
    at = np.interp(np.linspace(0, 1, 11), shares, stamps)
    return {"seconds": ended - began, "tenths": np.diff(at).tolist(), "features": result["features"]}


def report(runs):
    print("| | proposals | precision | ms a tile | median | processor ms | objects a tile | MB | MB, compiling |")
    print("|---|---|---|---|---|---|---|---|---|")
    medians = {way: statistics.median(run["seconds"] for run in found) for way, found in runs.items()}
    processor = {way: statistics.median(run["processor"] for run in found) for way, found in runs.items()}
    for (name, count, precision), found in runs.items():
        told = ", ".join(f"{1000 * run['seconds']:.0f}" for run in found)
        objects, megabytes = np.mean(found[0]["objects"]), max(run["megabytes"] for run in found)
        compiling = f"{found[0]['compiling']:.0f}" if found[0]["compiling"] else ""
        median, used = (1000 * times[name, count, precision] for times in (medians, processor))
        print(
            f"| {name} | {count} | {found[0]['precision']} | {told} | {median:.0f} | {used:.0f} | {objects:.1f} |"
            f" {megabytes:.0f} | {compiling} |"
        )
    for count in PROPOSALS:
        whole = statistics.median(run["whole"] for run in runs["original", count, "f32"])
        print(f"\nThe original's `detect` with {count} proposals, masks drawn: {1000 * whole:.0f} ms a tile.")
    print()
    for way in medians:
        name, count, precision = way
        if name == "ours":
            # As many proposals as the original has, and the fewer that ours takes by itself against its usual ones.
            for rival in sorted({count, PROPOSALS[0]}):
                ratio, work = (times["original", rival, "f32"] / times[way] for times in (medians, processor))
                print(
                    f"ours {runs[way][0]['precision']} with {count} proposals: {ratio:.2f} times as fast as the"
                    f" original with {rival}, {work:.2f} times by processor time (goal: {GOALS[precision]})"
                )
    print(f"Memory: goal below {PROMISED_MB} MB.")


def report_raster(found, options):
    tenths = np.array(found["tenths"])
    print(f"\n{options.raster} x {options.raster} px, {found['features']} objects, {found['seconds']:.0f} s in all,")
    print(f"peak {found['megabytes']:.0f} MB (goal: below {PROMISED_MB} MB). Seconds of each tenth of the tiles:")
    print(", ".join(f"{seconds:.1f}" for seconds in tenths))
    print(f"Last three tenths to first three: {tenths[-3:].mean() / tenths[:3].mean():.2f}")


if __name__ == "__main__":
    main()
