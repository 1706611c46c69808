"""The five losses of Mask R-CNN on plain tensors of fixed shape, and the penalty of large weights.

He, Gkioxari, Dollar, Girshick, "Mask R-CNN", ICCV 2017, https://arxiv.org/abs/1703.06870, section 3; what is averaged
over what is that of Matterport's implementation. Everything is computed in float32. A loss of which a batch has no
sample is 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

WEIGHT_DECAY = 1e-4


def rpn_class_loss(matches: Any, logits: Any) -> Any:
    """Return the mean cross-entropy of the sampled anchors.

    Args:
        matches: (batch, anchors) 1 object, -1 ground, 0 not sampled.
        logits: (batch, anchors, 2) of ground and object.
    """
    sampled = _float(ops.not_equal(matches, 0))
    entropy = _cross_entropy(ops.cast(ops.equal(matches, 1), "int32"), logits)
    return _mean(entropy, sampled)


def rpn_bbox_loss(matches: Any, targets: Any, deltas: Any) -> Any:
    """Return the mean smooth L1 loss of the anchors that are objects.

    Args:
        matches: (batch, anchors) as of `rpn_class_loss`.
        targets: (batch, samples, 4) deltas of those anchors in their order, then zeros.
        deltas: (batch, anchors, 4) of the network.
    """
    positive = ops.cast(ops.equal(matches, 1), "int32")
    place = ops.maximum(ops.cumsum(positive, axis=1) - 1, 0)
    aligned = gather(_float(targets), place)
    return _mean(smooth_l1(aligned, deltas), _float(positive))


def mrcnn_class_loss(class_ids: Any, logits: Any, active: Any) -> Any:
    """Return the mean cross-entropy of the sampled regions.

    Args:
        class_ids: (batch, rois) 0 for ground, also where the sample was not filled.
        logits: (batch, rois, classes).
        active: (batch, classes) 1 for classes that the image's dataset knows. A region that is called another class
            teaches nothing.
    """
    logits = _float(logits)
    called = ops.one_hot(ops.argmax(logits, axis=-1), logits.shape[-1])
    counts = ops.sum(called * ops.expand_dims(_float(active), 1), axis=-1)
    return _mean(_cross_entropy(class_ids, logits), counts)


def mrcnn_bbox_loss(targets: Any, class_ids: Any, deltas: Any) -> Any:
    """Return the mean smooth L1 loss of the regions that are objects, by the deltas of their true class.

    Args:
        targets: (batch, rois, 4).
        class_ids: (batch, rois) 0 for ground.
        deltas: (batch, rois, classes, 4) of the network.
    """
    truth = _of_class(_float(deltas), class_ids, axis=2)
    return _mean(smooth_l1(targets, truth), _float(ops.greater(class_ids, 0)))


def mrcnn_mask_loss(targets: Any, class_ids: Any, masks: Any) -> Any:
    """Return the mean binary cross-entropy of the masks of the regions that are objects, by their true class.

    Args:
        targets: (batch, rois, height, width) 0 or 1.
        class_ids: (batch, rois) 0 for ground.
        masks: (batch, rois, height, width, classes) probabilities of the network.
    """
    truth = _of_class(_float(masks), class_ids, axis=4)
    entropy = ops.mean(ops.binary_crossentropy(_float(targets), truth), axis=(2, 3))
    return _mean(entropy, _float(ops.greater(class_ids, 0)))


def weight_penalty(variables: Iterable[Any], decay: float = WEIGHT_DECAY) -> Any:
    """Return `decay` times the sum of the mean squares of all weights but those of batch norms."""
    kept = [variable for variable in variables if variable.name not in ("gamma", "beta")]
    squares = [ops.mean(ops.square(_float(variable))) for variable in kept]
    return decay * ops.sum(ops.stack(squares)) if squares else ops.zeros(())


def smooth_l1(target: Any, value: Any) -> Any:
    """Return the smooth L1 loss (Girshick 2015, https://arxiv.org/abs/1504.08083), averaged over the last axis."""
    distance = ops.abs(_float(target) - _float(value))
    return ops.mean(ops.where(distance < 1.0, 0.5 * ops.square(distance), distance - 0.5), axis=-1)


def gather(values: Any, indices: Any) -> Any:
    """Pick rows of each image: values (batch, n, ...), indices (batch, m) give (batch, m, ...)."""
    batch, rows = ops.shape(values)[:2]
    rest = tuple(values.shape[2:])
    offsets = ops.expand_dims(ops.arange(batch, dtype="int32") * rows, 1)
    flat = ops.reshape(ops.cast(indices, "int32") + offsets, (-1,))
    picked = ops.take(ops.reshape(values, (-1, *rest)), flat, axis=0)
    return ops.reshape(picked, (batch, indices.shape[1], *rest))


def _of_class(values: Any, class_ids: Any, axis: int) -> Any:
    # A product with one-hot classes instead of a gather: its gradient is dense and of fixed shape.
    shape = [1] * len(values.shape)
    shape[0], shape[1], shape[axis] = -1, values.shape[1], values.shape[axis]
    chosen = ops.one_hot(ops.maximum(ops.cast(class_ids, "int32"), 0), values.shape[axis])
    return ops.sum(values * ops.reshape(chosen, shape), axis=axis)


def _cross_entropy(class_ids: Any, logits: Any) -> Any:
    return ops.sparse_categorical_crossentropy(ops.cast(class_ids, "int32"), _float(logits), from_logits=True)


def _mean(values: Any, weights: Any) -> Any:
    return ops.sum(values * weights) / ops.maximum(ops.sum(weights), 1.0)


def _float(values: Any) -> Any:
    return ops.cast(values.value if isinstance(values, keras.Variable) else values, "float32")
