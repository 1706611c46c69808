"""From images and their true objects to the five losses of Mask R-CNN and their gradients.

As in the original, the heads learn from the proposals of the same step, and batch norms keep their statistics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from building_segmenter.errors import InvalidParameterError
from building_segmenter.networks.mask_rcnn import losses
from building_segmenter.networks.mask_rcnn.boxes import anchor_boxes, normalised_boxes
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.mini_masks import mask_boxes, minimize_masks
from building_segmenter.networks.mask_rcnn.network import Networks
from building_segmenter.networks.mask_rcnn.rpn_targets import AnchorRule, anchor_targets
from building_segmenter.networks.mask_rcnn.targets import DetectionTargets, RoiRule, detection_targets, normalise_boxes
from building_segmenter.networks.mask_rcnn.tensors import propose, roi_align

LOSSES = ("rpn_class_loss", "rpn_bbox_loss", "mrcnn_class_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss")
"""Names of the five losses, those of the original."""

_HEADS = r"mrcnn_|rpn_|fpn_|c5$"
STAGES: Mapping[str, str] = {
    "heads": rf"({_HEADS})",
    "5+": rf"({_HEADS}|res5|bn5)",
    "4+": rf"({_HEADS}|(res|bn)[45]|block_([6-9]|1\d)_)",
    "3+": rf"({_HEADS}|(res|bn)[345]|block_([3-9]|1\d)_)",
    "all": "",
}
"""Which layers learn, by the beginnings of their names. In MobileNetV2, whose blocks are numbered through, those that
make the features of a level; its level 5 is our own layer, so a head."""


class Example(NamedTuple):
    """What is learned from: one image, or a batch with one more axis in front of each array.

    Args:
        image: (height, width, bands) float32, as the trunk takes it.
        matches: (anchors,) int32 as of `anchor_targets`.
        deltas: (samples, 4) float32 as of `anchor_targets`.
        class_ids: (MAX_GT_INSTANCES,) int32, zero padded; negative: a crowd.
        boxes: (MAX_GT_INSTANCES, 4) int32 in pixels, zero padded.
        masks: (MAX_GT_INSTANCES, height, width) bool; mini masks where the configuration says so.
        active: (NUM_CLASSES,) int32, 1 for classes that the dataset of the image knows.
    """

    image: Any
    matches: Any
    deltas: Any
    class_ids: Any
    boxes: Any
    masks: Any
    active: Any


def make_example(
    image: NDArray[Any],
    masks: NDArray[np.bool_],
    class_ids: NDArray[Any],
    config: Config,
    random: np.random.Generator | np.random.RandomState,
    anchors: NDArray[np.float64] | None = None,
) -> Example:
    """Make an example of an image and its objects.

    Args:
        image: (height, width, bands) as the trunk takes it.
        masks: (n, height, width). Objects without a pixel are left out.
        class_ids: (n,) 1 or more; negative: a crowd.
        config: Of the network. Where there are more than `MAX_GT_INSTANCES` objects, so many are drawn.
        random: Draws anchors, and objects.
        anchors: As of `anchor_boxes`, to save making them for each image.
    """
    boxes = mask_boxes(masks)
    shown = np.flatnonzero(boxes[:, 2] > boxes[:, 0])
    most = config.MAX_GT_INSTANCES
    if len(shown) > most:
        shown = np.sort(random.choice(shown, most, replace=False))
    masks, boxes, ids = masks[shown], boxes[shown], np.asarray(class_ids)[shown]
    if config.USE_MINI_MASK:
        masks = minimize_masks(masks, boxes, config.MINI_MASK_SHAPE[0])
    anchors = anchor_boxes(config, *image.shape[:2]) if anchors is None else anchors
    matches, deltas = anchor_targets(anchors, boxes, ids, random, anchor_rule(config))
    padding = most - len(shown)
    return Example(
        np.asarray(image, np.float32),
        matches,
        deltas,
        np.pad(ids.astype(np.int32), (0, padding)),
        np.pad(boxes, ((0, padding), (0, 0))),
        np.pad(masks, ((0, padding), (0, 0), (0, 0))),
        np.ones(config.NUM_CLASSES, np.int32),
    )


def anchor_rule(config: Config) -> AnchorRule:
    """Return which anchors are learned from by a configuration."""
    y, x, height, width = config.RPN_BBOX_STD_DEV
    return AnchorRule(config.RPN_TRAIN_ANCHORS_PER_IMAGE, deviations=(y, x, height, width))


def roi_rule(config: Config, *, fill: bool = False, shuffle: bool = True, pass_gradients: bool = False) -> RoiRule:
    """Return which regions are learned from by a configuration; for the rest see `RoiRule`."""
    y, x, height, width = config.BBOX_STD_DEV
    return RoiRule(
        rois=config.TRAIN_ROIS_PER_IMAGE,
        positive_ratio=config.ROI_POSITIVE_RATIO,
        mask_size=config.MASK_SHAPE[0],
        mini_masks=config.USE_MINI_MASK,
        deviations=(y, x, height, width),
        fill=fill,
        shuffle=shuffle,
        pass_gradients=pass_gradients,
    )


def five_losses(
    networks: Networks, config: Config, batch: Example, rule: RoiRule, seed: Any = None
) -> tuple[dict[str, Any], DetectionTargets]:
    """Compute the losses of a batch.

    Args:
        networks: To learn.
        config: Theirs.
        batch: Of examples, all images of one size.
        rule: Which regions the heads learn from, see `roi_rule`.
        seed: Of the draw of regions, as of `keras.random.uniform`.

    Returns:
        The losses by their names (`LOSSES`), and what the heads learned from.
    """
    height, width = (int(side) for side in batch.image.shape[1:3])
    *levels, logits, probabilities, deltas = networks.trunk(batch.image, training=config.TRAIN_BN)
    anchors = normalised_boxes(anchor_boxes(config, height, width), height, width)
    proposals = propose(probabilities, deltas, anchors, config)
    boxes = normalise_boxes(batch.boxes, height, width)
    boxes = ops.where(ops.any(ops.not_equal(batch.boxes, 0), axis=-1, keepdims=True), boxes, 0.0)
    targets = detection_targets(proposals, batch.class_ids, boxes, batch.masks, rule, seed)
    answers = _answers(networks, config, levels, targets.rois, rule.positives, (height, width))
    values = (
        losses.rpn_class_loss(batch.matches, logits),
        losses.rpn_bbox_loss(batch.matches, batch.deltas, deltas),
        losses.mrcnn_class_loss(targets.class_ids, answers[0], batch.active),
        losses.mrcnn_bbox_loss(targets.deltas, targets.class_ids, answers[1]),
        losses.mrcnn_mask_loss(targets.masks, targets.class_ids[:, : rule.positives], answers[2]),
    )
    return dict(zip(LOSSES, values, strict=True)), targets


def loss_gradients(
    networks: Networks, config: Config, batch: Example, rule: RoiRule, seed: Any = None, decay: float | None = None
) -> tuple[dict[str, Any], list[Any]]:
    """Compute the losses of a batch and the gradients of their sum; arguments as of `five_losses`.

    Args:
        networks: See there.
        config: See there.
        batch: See there.
        rule: See there.
        seed: See there.
        decay: Of the penalty of large weights; without, `WEIGHT_DECAY`. 0: none.

    Returns:
        The losses, and a gradient for each of `trainable_weights(networks)`.
    """
    import tensorflow as tf

    weights = trainable_weights(networks)
    decay = config.WEIGHT_DECAY if decay is None else decay
    with tf.GradientTape() as tape:
        found, _ = five_losses(networks, config, batch, rule, seed)
        total = ops.sum(ops.stack(list(found.values())))
        if decay:
            total += losses.weight_penalty(weights, decay)
    return found, tape.gradient(total, [weight.value for weight in weights], unconnected_gradients="zero")


def trainable_weights(networks: Networks) -> list[keras.Variable]:
    """Return the weights that learn."""
    return [weight for network in networks for weight in network.trainable_weights]


def set_trainable(networks: Networks, stage: str) -> None:
    """Let the layers of a stage learn and keep all others as they are.

    Raises:
        InvalidParameterError: `stage` is none of `STAGES`.
    """
    if stage not in STAGES:
        raise InvalidParameterError(f"The stage is {stage!r}.", f"Give one of {', '.join(STAGES)}.")
    for layer in networks.layers:
        layer.trainable = re.match(STAGES[stage], layer.name) is not None


def _answers(
    networks: Networks, config: Config, levels: list[Any], rois: Any, positives: int, size: tuple[int, int]
) -> tuple[Any, Any, Any]:
    """Return class logits, deltas and masks of the regions of a batch; masks of the first ones only."""
    pooled = roi_align(levels, rois, config.POOL_SIZE, size, config.ROI_ALIGN)
    logits, _, deltas = networks.box_head(_in_a_row(pooled), training=config.TRAIN_BN)
    pooled = roi_align(levels, rois[:, :positives], config.MASK_POOL_SIZE, size, config.ROI_ALIGN)
    masks = networks.mask_head(_in_a_row(pooled), training=config.TRAIN_BN)
    return _by_image(logits, rois.shape[1]), _by_image(deltas, rois.shape[1]), _by_image(masks, positives)


def _in_a_row(values: Any) -> Any:
    return ops.reshape(values, (-1, *values.shape[2:]))


def _by_image(values: Any, count: int) -> Any:
    return ops.reshape(values, (-1, count, *values.shape[1:]))
