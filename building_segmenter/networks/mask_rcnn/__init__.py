"""Mask R-CNN in pure Keras 3, compatible with Matterport's weights.

He, Gkioxari, Dollar, Girshick, "Mask R-CNN", ICCV 2017, https://arxiv.org/abs/1703.06870, on the feature pyramid of Lin
et al., CVPR 2017, https://arxiv.org/abs/1612.03144. Layer names, shapes and numbers are those of Matterport's
implementation, https://github.com/matterport/Mask_RCNN.

The network is three models of fixed shapes (`network.build_networks`), and what lies between them are functions:

* `networks.trunk`: images (batch, height, width, bands) to P2, P3, P4, P5, RPN logits (batch, anchors, 2), RPN
  probabilities (batch, anchors, 2; ground, object) and RPN deltas (batch, anchors, 4);
* `networks.box_head`: features (regions, pool, pool, channels) to class logits, class probabilities (regions, classes)
  and deltas (regions, classes, 4); regions of all images of a batch in a row;
* `networks.mask_head`: features (regions, pool, pool, channels) to masks (regions, height, width, classes).

Call them with `training=config.TRAIN_BN`, which is False: batch norms then keep their statistics, while their gamma and
beta learn.

Of each function between them there is one on NumPy for detection (`boxes.anchor_boxes`, `proposals.propose`,
`roi_align.roi_align`, `detections.select_detections`) and, where training needs it, one on tensors through which
gradients pass (`tensors.propose`, `tensors.roi_align`). Boxes are y1, x1, y2, x2; normalised ones have 1 at the last
pixel of the image, so that (0, 0, 1, 1) is the whole image.

`checkpoints.load_matterport` and `checkpoints.save_matterport` read and write Matterport's `.h5` files;
`MaskRCNN` is the whole with Matterport's names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from building_segmenter.networks.mask_rcnn.config import Config
    from building_segmenter.networks.mask_rcnn.front_door import MaskRCNN

__all__ = ["Config", "MaskRCNN"]


def __getattr__(name: str) -> Any:
    # Detection with compiled networks needs the functions beside them, but not Keras.
    if name == "MaskRCNN":
        from building_segmenter.networks.mask_rcnn.front_door import MaskRCNN

        return MaskRCNN
    if name == "Config":
        from building_segmenter.networks.mask_rcnn.config import Config

        return Config
    raise AttributeError(f"module {__name__} has no attribute {name}")
