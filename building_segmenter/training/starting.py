"""The networks that a training begins with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras

from building_segmenter import tasks
from building_segmenter.networks import backbones, deeplabv3plus
from building_segmenter.networks.backbones import BACKBONES
from building_segmenter.networks.precision import with_precision
from building_segmenter.progress import Progress
from building_segmenter.training.datasets import TrainingData
from building_segmenter.training.targets import Targets

NUDGED = 0.2
"""Learning rate of a pretrained backbone, as a share of that of the new layers."""

_LEARNING_RATE = 0.001
_HEAD_EPOCHS = 5


@dataclass(frozen=True)
class Start:
    """Two networks of one shape, and how they are to be trained.

    Args:
        model: Network to train.
        averaged: Will hold the moving average of its weights.
        channels: What each output channel is the probability of.
        scale: Factor of each band; the networks compute `value * scale + offset` themselves.
        offset: Summand of each band.
        architecture: Architecture and backbone in words.
        source: Where weights came from; empty if they started at random.
        head_epochs: Epochs that leave the backbone alone.
        learning_rate: Highest rate of the new layers.
        backbone_share: Rate of the backbone as a share of that; a pretrained one is only nudged.
    """

    model: keras.Model
    averaged: keras.Model
    channels: tuple[str, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    architecture: str
    source: str
    head_epochs: int
    learning_rate: float
    backbone_share: float


def new_networks(options: tasks.TrainModel, data: TrainingData, targets: Targets, progress: Progress) -> Start:
    """Build networks whose backbone starts from `BACKBONE_WEIGHTS`, and whose other layers start at random.

    Raises:
        InputNotFoundError: The file of backbone weights does not exist.
        ModelError: The backbone weights do not fit, or cannot be downloaded.
    """
    scale, offset = scaling_of(data)
    pretrained = options.backbone_weights != "none"
    model, averaged = (_network(options, data, targets, scale, offset) for _ in range(2))
    if pretrained:
        backbones.load_backbone_weights(model, options.backbone_weights)
        for network in (model, averaged):
            backbones.freeze_batch_norms(network)
    else:
        backbones.quicken_batch_norms(model)
        progress.log("The backbone starts at random, so it learns from the first epoch.")
    return Start(
        model=with_precision(model, options.training_precision),
        averaged=averaged,
        channels=targets.channels,
        scale=scale,
        offset=offset,
        architecture=f"DeepLabV3+ with {BACKBONES[options.backbone].title}, output stride {options.output_stride}",
        source=source_of(options.backbone_weights),
        head_epochs=head_epochs_of(options) if pretrained else 0,
        learning_rate=options.learning_rate or _LEARNING_RATE,
        backbone_share=NUDGED if pretrained else 1.0,
    )


def _network(
    options: tasks.TrainModel,
    data: TrainingData,
    targets: Targets,
    scale: tuple[float, ...],
    offset: tuple[float, ...],
) -> keras.Model:
    return deeplabv3plus.build_deeplabv3plus(
        data.bands,
        len(targets.channels),
        scale,
        offset,
        backbone=options.backbone,
        output_stride=int(options.output_stride),
        activation=targets.activation,
    )


def scaling_of(data: TrainingData) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the scale and offset that take pixel values to about -1..1, one a band.

    Bytes go to -1..1 as a whole, from where networks make what their pretrained backbone was taught. Other types have
    no natural range: their mean goes to 0 and two standard deviations to 1, which gives bytes of ordinary images about
    the same spread.
    """
    if data.dtype == "uint8":
        return (1 / 127.5,) * data.bands, (-1.0,) * data.bands
    stds = [max(one["std"], 1e-6) for one in data.statistics]
    scale = tuple(1.0 / (2.0 * std) for std in stds)
    return scale, tuple(-one["mean"] * factor for one, factor in zip(data.statistics, scale, strict=True))


def head_epochs_of(options: tasks.TrainModel) -> int:
    """Return how many epochs leave a pretrained backbone alone."""
    return min(_HEAD_EPOCHS, options.epochs) if options.head_epochs is None else options.head_epochs


def source_of(weights: str) -> str:
    """Return where weights of the option `BACKBONE_WEIGHTS` came from, in words; empty for nowhere."""
    if weights == "none":
        return ""
    return "ImageNet weights of keras.applications" if weights == "imagenet" else f"file {Path(weights).name}"
