"""The networks that a training of Mask R-CNN begins with, and their configuration."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from building_segmenter import tasks
from building_segmenter.errors import BandsError
from building_segmenter.networks import backbones
from building_segmenter.networks.backbones import BACKBONES
from building_segmenter.networks.mask_rcnn.checkpoints import HEADS, load_matterport
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.network import Networks, build_networks
from building_segmenter.progress import Progress
from building_segmenter.training.datasets import TrainingData
from building_segmenter.training.starting import NUDGED, head_epochs_of, scaling_of, source_of

_LEARNING_RATES = {"mobilenetv2": 1e-3, "resnet50": 3e-4, "resnet101": 3e-4}
_SIDE_STEP = 64
_MOST_PROPOSALS = 1000


@dataclass(frozen=True)
class InstanceStart:
    """Two networks of one shape, and how they are to be trained.

    Args:
        networks: To train.
        averaged: Will hold the moving average of their weights.
        config: Of both.
        scale: Factor of each band; with `offset` it takes pixel values to about -1..1.
        offset: Summand of each band.
        architecture: Architecture and backbone in words.
        source: Where weights came from; empty if they started at random.
        head_epochs: Epochs that leave the backbone alone.
        learning_rate: Highest rate of the new layers.
        backbone_share: Rate of the backbone as a share of that.
    """

    networks: Networks
    averaged: Networks
    config: Config
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    architecture: str
    source: str
    head_epochs: int
    learning_rate: float
    backbone_share: float


def new_start(options: tasks.TrainModel, data: TrainingData, config: Config, progress: Progress) -> InstanceStart:
    """Build networks whose backbone, or more, starts from `BACKBONE_WEIGHTS`.

    Raises:
        BandsError: A ResNet is to learn from other images than of three bands of bytes.
        InputNotFoundError: The file of weights does not exist.
        ModelError: The weights do not fit, or cannot be downloaded.
    """
    scale, offset = scaling_of(data)
    if config.BACKBONE != "mobilenetv2":
        _check_bands(data, config.BACKBONE)
    networks, averaged = (build_networks(config, scale, offset) for _ in range(2))
    source = _load(networks, options)
    if not source:
        progress.log("The network starts at random, so all of it learns from the first epoch.")
    return InstanceStart(
        networks=networks,
        averaged=averaged,
        config=config,
        scale=scale,
        offset=offset,
        architecture=f"Mask R-CNN with {BACKBONES[config.BACKBONE].title}",
        source=source,
        head_epochs=head_epochs_of(options) if source else 0,
        learning_rate=options.learning_rate or _LEARNING_RATES[config.BACKBONE],
        backbone_share=NUDGED if source else 1.0,
    )


def config_of(options: tasks.TrainModel, bands: int, classes: int, most_objects: int, room: int) -> Config:
    """Return the configuration of a network for buildings.

    That of a ResNet is the original's, with anchors of 16 to 256 px; with MobileNetV2 all is smaller, for a laptop.
    Limits grow with the chips: a chip of a town has hundreds of buildings.

    Args:
        options: Of the task.
        bands: Of the images.
        classes: Classes of objects, without the ground.
        most_objects: Objects on a chip at most.
        room: Objects of an image that there must be room for, from `samples.objects_that_fit`.
    """
    config = Config(
        BACKBONE=options.backbone,
        NUM_CLASSES=classes + 1,
        IMAGE_CHANNEL_COUNT=bands,
        MEAN_PIXEL=Config().MEAN_PIXEL if bands == 3 else (float(np.mean(Config().MEAN_PIXEL)),),
        IMAGES_PER_GPU=options.batch_size,
        # Any side that is a multiple of 64 px: pieces in training, whole chips in validation, tiles in use.
        IMAGE_RESIZE_MODE="pad64",
        IMAGE_MIN_DIM=0,
        RPN_ANCHOR_SCALES=(16, 32, 64, 128, 256),
        MAX_GT_INSTANCES=room,
        POST_NMS_ROIS_INFERENCE=min(max(300, 3 * most_objects), _MOST_PROPOSALS),
        DETECTION_MAX_INSTANCES=max(100, 2 * most_objects),
    )
    if options.backbone != "mobilenetv2":
        return config
    return replace(
        config,
        TOP_DOWN_PYRAMID_SIZE=128,
        FPN_CLASSIF_FC_LAYERS_SIZE=256,
        PRE_NMS_LIMIT=2000,
        POST_NMS_ROIS_TRAINING=500,
        TRAIN_ROIS_PER_IMAGE=100,
    )


def crop_of(options: tasks.TrainModel, data: TrainingData) -> int:
    """Return the side in pixels of the pieces that a step sees: a multiple of 64, as the pyramid needs it."""
    return max(_SIDE_STEP, min(options.crop, data.tile_size) // _SIDE_STEP * _SIDE_STEP)


def _check_bands(data: TrainingData, backbone: str) -> None:
    if data.dtype != "uint8" or data.bands != 3:
        raise BandsError(
            f"The chips have {data.bands} bands of {data.dtype}; Mask R-CNN with {BACKBONES[backbone].title} takes"
            " three of bytes, as the original's weights do.",
            "Set BACKBONE to mobilenetv2, which takes any, or export the chips with three bands of bytes.",
        )


def _load(networks: Networks, options: tasks.TrainModel) -> str:
    """Put the weights to start from into networks; return where they came from, empty for nowhere."""
    weights = options.backbone_weights
    if weights != "none" and options.backbone == "mobilenetv2":
        backbones.load_backbone_weights(networks.trunk, weights)
    elif weights != "none":
        load_matterport(networks, weights, HEADS)
    return source_of(weights)
