"""Which regions are objects, on NumPy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from building_segmenter.networks.mask_rcnn.boxes import clipped_boxes, moved_boxes, suppressed
from building_segmenter.networks.mask_rcnn.config import Config


class Detections(NamedTuple):
    """The objects of one image, best first.

    Args:
        boxes: (n, 4) normalised.
        class_ids: (n,) from 1 on.
        scores: (n,).
    """

    boxes: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    scores: NDArray[np.float32]


def select_detections(
    rois: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    deltas: NDArray[np.float32],
    window: NDArray[np.float32],
    config: Config,
) -> Detections:
    """Choose the objects among the regions of one image.

    Args:
        rois: (n, 4) normalised, as proposed.
        probabilities: (n, classes) of the box head.
        deltas: (n, classes, 4) of the box head.
        window: (4,) normalised: where in the padded image the image itself lies.
        config: Of the network.
    """
    class_ids = probabilities.argmax(axis=1).astype(np.int32)
    rows = np.arange(len(rois))
    scores = probabilities[rows, class_ids]
    scaled = deltas[rows, class_ids] * np.array(config.BBOX_STD_DEV, np.float32)
    boxes = clipped_boxes(moved_boxes(rois, scaled), window)
    sure = (class_ids > 0) & (scores >= np.float32(config.DETECTION_MIN_CONFIDENCE))
    kept = _per_class(boxes, class_ids, scores, np.flatnonzero(sure), config)
    kept = kept[np.argsort(-scores[kept], kind="stable")][: config.DETECTION_MAX_INSTANCES]
    return Detections(boxes[kept], class_ids[kept], scores[kept])


def _per_class(
    boxes: NDArray[np.float32],
    class_ids: NDArray[np.int32],
    scores: NDArray[np.float32],
    sure: NDArray[np.int64],
    config: Config,
) -> NDArray[np.int64]:
    kept = []
    for class_id in np.unique(class_ids[sure]):
        own = sure[class_ids[sure] == class_id]
        threshold, most = config.DETECTION_NMS_THRESHOLD, config.DETECTION_MAX_INSTANCES
        kept.append(own[suppressed(boxes[own], scores[own], threshold, most)])
    return np.sort(np.concatenate(kept)) if kept else np.zeros(0, np.int64)
