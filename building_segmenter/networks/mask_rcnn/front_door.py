"""Mask R-CNN as those know it who used Matterport's: with its names, its weights, and its results."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter import scratch
from building_segmenter.errors import InvalidParameterError
from building_segmenter.networks.mask_rcnn import checkpoints
from building_segmenter.networks.mask_rcnn.boxes import anchor_boxes, normalised_boxes
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.detections import select_detections
from building_segmenter.networks.mask_rcnn.model_file import facts_of, load_mask_rcnn, write_mask_rcnn
from building_segmenter.networks.mask_rcnn.molding import mold_image, unmold_detections
from building_segmenter.networks.mask_rcnn.network import Networks, build_networks
from building_segmenter.networks.mask_rcnn.proposals import propose
from building_segmenter.networks.mask_rcnn.roi_align import roi_align


class MaskRCNN:
    """A Mask R-CNN that computes on the backend of Keras, in float32.

    Args:
        config: Of the network.
        networks: Its three models; without, they are built with weights drawn at random.
    """

    def __init__(self, config: Config, networks: Networks | None = None) -> None:
        self.config = config
        self.networks = networks or build_networks(config)

    @classmethod
    def from_matterport(
        cls, h5_path: str | os.PathLike[str], exclude: Collection[str] = (), **configuration: Any
    ) -> MaskRCNN:
        """Build the network of a file of weights that Matterport's implementation wrote.

        Args:
            h5_path: The file.
            exclude: Names of layers that are not read from the file but drawn at random, such as
                `checkpoints.HEADS` for weights of other classes.
            configuration: Values of `Config`; `ROI_ALIGN` is `matterport` unless given.

        Raises:
            InputNotFoundError: The file does not exist.
            InvalidParameterError: The configuration has an unknown name or a value that cannot be.
            ModelError: The file does not fit the configuration, or is damaged.
            UnsafeModelError: The file reaches outside itself.
        """
        unknown = sorted(set(configuration) - set(Config.__dataclass_fields__))
        if unknown:
            raise InvalidParameterError(
                f"The configuration has no {', '.join(unknown)}.",
                f"Choose of {', '.join(Config.__dataclass_fields__)}.",
            )
        model = cls(Config(**({"ROI_ALIGN": "matterport"} | configuration)))
        checkpoints.load_matterport(model.networks, h5_path, exclude)
        return model

    def save_matterport(self, path: str | os.PathLike[str]) -> None:
        """Write the weights as Matterport's implementation reads them by name."""
        checkpoints.save_matterport(self.networks, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MaskRCNN:
        """Load a model file of *Train model*, or of `save`.

        Raises:
            InputNotFoundError: The file does not exist.
            ModelError: It is corrupt, or no Mask R-CNN.
            UnsafeModelError: It holds code or foreign classes, or reaches outside itself.
        """
        networks, config, _ = load_mask_rcnn(path)
        return cls(config, networks)

    def save(self, path: str | os.PathLike[str], *, gsd: float, classes: Sequence[str], name: str = "") -> None:
        """Write a model file for *Detect buildings* and *Extract buildings*.

        Args:
            path: Of the file (.keras).
            gsd: Ground pixel in metres of the images that the weights were learned on; images are resampled to it.
            classes: Names of the classes without the ground, in the order of their numbers.
            name: Of the model; without, that of the file.

        Raises:
            InvalidParameterError: The classes are not as many as the configuration has, or its images are no squares,
                of which tiles have to be.
            OutputNotWritableError: The folder is missing or not writable.
        """
        facts = facts_of(self.config, gsd, classes, name or os.path.splitext(os.path.basename(path))[0])
        parameters = sum(int(network.count_params()) for network in self.networks)
        with scratch.new_output(path) as file:
            write_mask_rcnn(self.networks, self.config, dataclasses.replace(facts, parameters=parameters), file)

    def detect(self, images: Sequence[NDArray[Any]]) -> list[dict[str, NDArray[Any]]]:
        """Find the objects on images.

        Args:
            images: Each (height, width, bands) in raw pixel values; any number, each of any size.

        Returns:
            For each image `rois` (n, 4) int32 y1, x1, y2, x2 in pixels, `class_ids` (n,), `scores` (n,) and `masks`
            (height, width, n) bool, best first.

        Raises:
            BandsError: An image has other bands than the network.
            InvalidParameterError: An image's size does not fit `IMAGE_RESIZE_MODE`.
        """
        return [self._detect(np.asarray(image)) for image in images]

    def _detect(self, image: NDArray[Any]) -> dict[str, NDArray[Any]]:
        config = self.config
        molded, window = mold_image(image, config)
        shape = molded.shape[0], molded.shape[1]
        *levels, _, probabilities, deltas = (
            np.asarray(output)[0] for output in self.networks.trunk.predict_on_batch(molded[None])
        )
        anchors = normalised_boxes(anchor_boxes(config, *shape), *shape)
        rois = propose(probabilities, deltas, anchors, config)
        pooled = roi_align(levels, rois, config.POOL_SIZE, shape, config.ROI_ALIGN)
        _, probabilities, deltas = map(np.asarray, self.networks.box_head.predict_on_batch(pooled))
        inside = normalised_boxes(np.array(window), *shape)
        found = select_detections(rois, probabilities, deltas, inside, config)
        masks = self._masks(levels, found.boxes, found.class_ids, shape)
        return unmold_detections(found, masks, window, shape, (image.shape[0], image.shape[1]))

    def _masks(
        self,
        levels: Sequence[NDArray[np.float32]],
        boxes: NDArray[np.float32],
        class_ids: NDArray[np.int32],
        shape: tuple[int, int],
    ) -> NDArray[np.float32]:
        if not len(boxes):
            return np.zeros((0, *self.config.MASK_SHAPE), np.float32)
        pooled = roi_align(levels, boxes, self.config.MASK_POOL_SIZE, shape, self.config.ROI_ALIGN)
        masks = np.asarray(self.networks.mask_head.predict_on_batch(pooled))
        return masks[np.arange(len(boxes)), :, :, class_ids]
