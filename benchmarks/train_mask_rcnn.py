"""What a step of Mask R-CNN takes, as `train` takes it: heads first, then all layers, on one image a step; Linux.

    python -m benchmarks.train_mask_rcnn                                   ResNet-101 at 512 px, anchors of 16 to 256 px
    python -m benchmarks.train_mask_rcnn --backbone mobilenetv2 --side 256 --steps 2

Weights are random and the image is drawn; a step's time and memory do not depend on them. Memory is the most that the
process has held until then, with all libraries, both networks (`train` keeps a moving average of the weights) and the
optimizers' moments. The first step of each kind traces its function and is told apart from the others. The original's
schedule is 5 epochs of 1,000 steps for the heads and 30 more for all, and takes as long as its steps.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import numpy as np

from benchmarks.process import highest_mb

PROMISED_MB = 5000
HEAD_EPOCHS, EPOCHS, STEPS_PER_EPOCH = 5, 35, 1000
OBJECTS = 100


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=("resnet50", "resnet101", "mobilenetv2"), default="resnet101")
    parser.add_argument("--side", type=int, default=512, help="of the image in pixels, a multiple of 64")
    parser.add_argument("--steps", type=int, default=3, help="of each kind, besides the first")
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"], os.environ["TF_CPP_MIN_LOG_LEVEL"] = "tensorflow", "3"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.experimental.enable_op_determinism()
    report(options, measured(options))


def measured(options):
    """Return for each kind of step the seconds of the first, those of the others, and the megabytes."""
    import keras

    from building_segmenter.networks.mask_rcnn.network import build_networks
    from building_segmenter.progress import Progress
    from building_segmenter.training.instances.loop import InstanceTrainer
    from building_segmenter.training.loop import Plan

    keras.utils.set_random_seed(1)
    config = config_for(options)
    plan = Plan(epochs=2, head_epochs=1, steps=1, learning_rate=1e-4, patience=0, backbone_share=0.1)
    trainer = InstanceTrainer(build_networks(config), build_networks(config), config, plan, options.side, seed=1)
    batch, rows = drawn_batch(config, options.side), {}
    for epoch, name in ((1, "heads"), (2, "all")):
        seconds = []
        for _ in range(1 + options.steps):
            began = time.perf_counter()
            row = trainer.learn(epoch, [batch], Progress())
            seconds.append(time.perf_counter() - began)
            assert np.isfinite(row["loss"]), row
        rows[name] = seconds[0], seconds[1:], highest_mb()
    return rows


def config_for(options):
    """Return the configuration that `train` chooses for chips with many buildings."""
    from building_segmenter.tasks import TrainModel
    from building_segmenter.training.instances.samples import objects_that_fit
    from building_segmenter.training.instances.starting import config_of

    task = TrainModel(
        dataset=("chips",),
        output="model.keras",
        architecture="mask-rcnn",
        backbone=options.backbone,
        backbone_weights="none",
        batch_size=1,
    )
    return config_of(task, 3, 1, OBJECTS, objects_that_fit(OBJECTS, options.side))


def drawn_batch(config, side):
    """Return a batch of one image with as many rectangles as a dense block has buildings."""
    from building_segmenter.networks.mask_rcnn.learning import Example, make_example

    random = np.random.default_rng(0)
    corners = random.integers(0, side - 16, (OBJECTS, 2))
    sizes = random.integers(10, 60, (OBJECTS, 2))
    masks = np.zeros((OBJECTS, side, side), bool)
    for mask, (top, left), (height, width) in zip(masks, corners, sizes, strict=True):
        mask[top : top + height, left : left + width] = True
    image = np.where(masks.any(axis=0)[..., None], 200, 60) + random.integers(-30, 30, (side, side, 3))
    example = make_example(image, masks, np.ones(OBJECTS, int), config, random)
    return Example(*(part[None] for part in example))


def report(options, rows):
    print(f"{options.backbone}, {options.side} px, one image a step, {OBJECTS} objects on it\n")
    print("| layers | first step | further steps | median | peak MB |\n|---|---|---|---|---|")
    for name, (first, others, megabytes) in rows.items():
        told = ", ".join(f"{seconds:.1f}" for seconds in others)
        print(f"| {name} | {first:.1f} s | {told} s | {statistics.median(others):.1f} s | {megabytes:.0f} |")
    heads, whole = (statistics.median(rows[name][1]) for name in ("heads", "all"))
    hours = STEPS_PER_EPOCH * (HEAD_EPOCHS * heads + (EPOCHS - HEAD_EPOCHS) * whole) / 3600
    print(f"\nPeak {rows['all'][2]:.0f} MB (goal: below {PROMISED_MB} MB).")
    print(f"The original's schedule of {EPOCHS} epochs of {STEPS_PER_EPOCH} steps would take {hours:.0f} hours.")


if __name__ == "__main__":
    main()
