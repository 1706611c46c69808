"""Which regions of an image the heads look at, on NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from building_segmenter.networks.mask_rcnn.boxes import clipped_boxes, moved_boxes, suppressed
from building_segmenter.networks.mask_rcnn.config import Config

_WHOLE = np.array([0, 0, 1, 1], np.float32)


def propose(
    probabilities: NDArray[np.float32],
    deltas: NDArray[np.float32],
    anchors: NDArray[np.float32],
    config: Config,
    count: int | None = None,
) -> NDArray[np.float32]:
    """Choose regions by what the region proposal network says of one image.

    Args:
        probabilities: (anchors, 2) of ground and object.
        deltas: (anchors, 4) of the network.
        anchors: (anchors, 4) normalised.
        config: Of the network.
        count: At most so many; without, `POST_NMS_ROIS_INFERENCE`.

    Returns:
        (count, 4) normalised boxes, best first, then zeros.
    """
    count = config.POST_NMS_ROIS_INFERENCE if count is None else count
    scores = probabilities[:, 1]
    best = np.argsort(-scores, kind="stable")[: config.PRE_NMS_LIMIT]
    scaled = deltas[best] * np.array(config.RPN_BBOX_STD_DEV, np.float32)
    boxes = clipped_boxes(moved_boxes(anchors[best], scaled), _WHOLE)
    kept = boxes[suppressed(boxes, scores[best], config.RPN_NMS_THRESHOLD, count)]
    return np.pad(kept, ((0, count - len(kept)), (0, 0)))
