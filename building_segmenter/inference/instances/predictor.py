"""Objects of one tile: what lies between the networks of a Mask R-CNN, around their requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from building_segmenter.inference.instances.parts import Parts
from building_segmenter.inference.instances.running import running
from building_segmenter.inference.runtime import Runtime
from building_segmenter.networks.mask_rcnn.boxes import anchor_boxes, normalised_boxes
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.detections import select_detections
from building_segmenter.networks.mask_rcnn.proposals import propose
from building_segmenter.networks.mask_rcnn.roi_align import roi_align

Floats = NDArray[np.float32]

_WHOLE = np.array([0, 0, 1, 1], np.float32)


class Found(NamedTuple):
    """The objects of a tile, surest first.

    Args:
        boxes: (n, 4) left, top, right and bottom in pixels from the tile's corner, with fractions.
        masks: (n, height, width) probabilities, stretched over the box.
        scores: (n,), 0..1.
        labels: (n,) numbers of classes, from 1 on.
    """

    boxes: Floats
    masks: Floats
    scores: Floats
    labels: NDArray[np.int32]


class InstancePredictor:
    """A Mask R-CNN for tiles of one size.

    Args:
        parts: Its networks.
        config: How many regions it looks at, and which of them are objects.
        tile_size: Side of a tile in pixels.
        runtime: Runs the networks.

    Attributes:
        requests: How many tiles are worked on side by side.

    Raises:
        ModelError: A network cannot be built or compiled.
    """

    def __init__(self, parts: Parts, config: Config, tile_size: int, runtime: Runtime) -> None:
        self._config, self._shape = config, (tile_size, tile_size)
        self._trunk, self._box_head, self._mask_head = running(parts, config, runtime)
        self.requests = self._trunk.requests
        self._anchors = normalised_boxes(anchor_boxes(config, *self._shape), *self._shape)

    def predict(self, tile: NDArray[Any]) -> Found:
        """Find the objects of a tile (height, width, bands) of float32, or of what the trunk was made to take.

        To be called from several threads.

        Raises:
            ModelError: A network failed on this tile.
        """
        config = self._config
        pyramid, logits, deltas = self._trunk.run(tile[np.newaxis])
        probabilities = _softmax(_rows(logits, 2))
        rois = propose(probabilities, _rows(deltas, 4), self._anchors, config)
        # Where there are fewer proposals than the head has room for, the rest are no regions.
        count = int(np.count_nonzero(rois.any(axis=1)))
        pooled = roi_align(pyramid, rois, config.POOL_SIZE, self._shape, config.ROI_ALIGN)
        classes, moves = (output[:count] for output in self._box_head.run(pooled))
        found = select_detections(rois[:count], classes, moves, _WHOLE, config)
        masks = self._masks(pyramid, found.boxes, found.class_ids)
        return Found(_in_pixels(found.boxes, self._shape), masks, found.scores, found.class_ids)

    def _masks(self, pyramid: Sequence[Floats], boxes: Floats, class_ids: NDArray[np.int32]) -> Floats:
        config = self._config
        masks = np.empty((len(boxes), *config.MASK_SHAPE), np.float32)
        for first in range(0, len(boxes), self._mask_head.at_once):
            own = slice(first, first + self._mask_head.at_once)
            pooled = roi_align(pyramid, boxes[own], config.MASK_POOL_SIZE, self._shape, config.ROI_ALIGN)
            drawn = self._mask_head.run(pooled)
            masks[own] = drawn[np.arange(len(drawn)), :, :, class_ids[own]]
        return masks


def _rows(maps: Sequence[Floats], values: int) -> Floats:
    """Return what the maps of all levels (height, width, anchors x values) say of each anchor, (anchors, values)."""
    return np.concatenate([one.reshape(-1, values) for one in maps])


def _softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Floats = raised / raised.sum(axis=1, keepdims=True)
    return probabilities


def _in_pixels(boxes: Floats, shape: tuple[int, int]) -> Floats:
    """Turn normalised boxes y1, x1, y2, x2, of which 1 is the last pixel, into left, top, right, bottom."""
    height, width = shape
    scale = np.array([height - 1, width - 1, height - 1, width - 1], np.float32)
    pixels: Floats = (boxes * scale + np.array([0, 0, 1, 1], np.float32))[:, [1, 0, 3, 2]]
    return pixels
