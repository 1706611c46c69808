"""The feature extractors of the networks, and the weights they start from."""

from building_segmenter.networks.backbones.growing import build_backbone
from building_segmenter.networks.backbones.kinds import BACKBONES, Backbone
from building_segmenter.networks.backbones.parts import (
    backbone_layers,
    backbone_of,
    freeze_batch_norms,
    quicken_batch_norms,
)
from building_segmenter.networks.backbones.weights import load_backbone_weights

__all__ = [
    "BACKBONES",
    "Backbone",
    "backbone_layers",
    "backbone_of",
    "build_backbone",
    "freeze_batch_norms",
    "load_backbone_weights",
    "quicken_batch_norms",
]
