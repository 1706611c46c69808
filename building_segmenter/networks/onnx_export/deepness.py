"""What the QGIS plugin Deepness, and GeoDeep after it, read in the metadata of an ONNX file.

Both divide bytes by 255 and want (1, bands, size, size) with a fixed size, set scores below a threshold to zero
and take the channel with the highest score; GeoDeep never finds anything in a single channel. Deepness:
https://qgis-plugin-deepness.readthedocs.io/en/latest/creators/creators_add_metadata_to_model.html
"""

from __future__ import annotations

import json

import numpy as np

from building_segmenter.errors import ModelError
from building_segmenter.networks.facts import ModelFacts

BACKGROUND = "background"
_OVERLAP_PERCENT = 25
_SPECK_M = 0.5


def deepness_metadata(facts: ModelFacts, threshold: float) -> dict[str, str]:
    """Return the metadata of a segmentation model, each value as JSON.

    Args:
        facts: The model's.
        threshold: Score below which a channel does not count.
    """
    values = {
        "model_type": "Segmentor",
        "class_names": {str(number): name for number, name in enumerate(score_names(facts))},
        "resolution": round(100.0 * facts.gsd, 4),
        # The first is what Deepness documents, the second what it reads.
        "tiles_size": facts.tile_size,
        "tile_size": facts.tile_size,
        "tiles_overlap": _OVERLAP_PERCENT,
        "seg_thresh": round(threshold, 6),
        "seg_small_segment": speck_radius(facts.gsd),
        "standardization_mean": [0.0] * len(facts.bands),
        "standardization_std": [1.0] * len(facts.bands),
    }
    return {name: json.dumps(value) for name, value in values.items()}


def score_names(facts: ModelFacts) -> list[str]:
    """Return what the channels of the exported network are scores of; the background comes first."""
    return list(facts.channels) if facts.is_multiclass else [BACKGROUND, facts.channels[0]]


def value_range(dtype: str) -> float:
    """Return what pixel values of a type are divided by: 255 for bytes, and what GeoDeep takes for other integers.

    Raises:
        ModelError: The values are no integers.
    """
    if not np.issubdtype(np.dtype(dtype), np.integer):
        raise ModelError(
            f"The model was trained on {dtype} values, which Deepness and GeoDeep scale by what each tile holds.",
            "Export it as OpenVINO IR (.xml), which takes pixel values as they are.",
        )
    limits = np.iinfo(dtype)
    return float(limits.max) - float(limits.min)


def speck_radius(gsd: float) -> int:
    """Return half the side, in pixels, of what is too small to be a building: about a square metre in all."""
    return max(1, round(_SPECK_M / gsd))
