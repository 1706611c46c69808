"""Each stage against what Matterport's implementation computed from the same weights and image."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mask_rcnn_runs import REFERENCE

from building_segmenter.networks.mask_rcnn.boxes import anchor_boxes, normalised_boxes
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.detections import select_detections
from building_segmenter.networks.mask_rcnn.molding import mold_image
from building_segmenter.networks.mask_rcnn.proposals import propose
from building_segmenter.networks.mask_rcnn.roi_align import roi_align

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared" / "matterport"
ORACLE = SHARED / "data" / "oracle_resnet50_infer.npz"
CONFIG = Config(**REFERENCE, ROI_ALIGN="matterport")
CLOSE = {"rtol": 1e-4, "atol": 1e-4}

pytestmark = pytest.mark.skipif(not ORACLE.is_file(), reason=f"the reference tensors {ORACLE} are absent")


@pytest.fixture(scope="module")
def oracle():
    return np.load(ORACLE)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("mask rcnn")
    weights, out = folder / "weights.h5", folder / "ours.npz"
    table = SHARED / "data" / "layers_resnet50.json"
    subprocess.run([sys.executable, SHARED / "make_h5.py", table, weights], check=True)
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(REPOSITORY)}
    script = Path(__file__).with_name("mask_rcnn_runs.py")
    subprocess.run([sys.executable, script, "reference", weights, ORACLE, out], env=environment, check=True)
    weights.unlink()
    return np.load(out)


def unmatched(one, other):
    """Return how many boxes of one list have no equal in the other."""
    return sum(np.abs(other - box).max(axis=1).min() > 1e-4 for box in one)


def test_image_and_anchors(oracle):
    molded = mold_image(oracle["image"], CONFIG)
    assert molded.window == tuple(oracle["windows"][0])
    np.testing.assert_allclose(molded.image[None, ::8, ::8], oracle["molded"], rtol=1e-6)
    anchors = normalised_boxes(anchor_boxes(CONFIG, 256, 256), 256, 256)
    np.testing.assert_allclose(anchors, oracle["anchors"][0], atol=1e-6)


def test_pyramid_and_region_proposal_network(oracle, ours):
    for name in ("fpn_p2", "fpn_p3", "fpn_p4", "fpn_p5"):
        level = ours[name]
        step = 8 if level.shape[1] >= 32 else 2
        np.testing.assert_allclose(level[:, ::step, ::step, ::32], oracle[name], **CLOSE)
        assert level.mean() == pytest.approx(oracle[f"{name}_stats"][0], abs=1e-4)
        assert level.std() == pytest.approx(oracle[f"{name}_stats"][1], rel=1e-4)
    for name in ("rpn_class_logits", "rpn_class", "rpn_bbox"):
        np.testing.assert_allclose(ours[name], oracle[name], **CLOSE)


def test_proposals(oracle, ours):
    given = oracle["rpn_class"][0], oracle["rpn_bbox"][0], oracle["anchors"][0]
    rois = propose(*given, CONFIG)
    for found in (rois, ours["ROI"][0]):
        assert found.shape == oracle["ROI"][0].shape
        assert unmatched(found, oracle["ROI"][0]) == unmatched(oracle["ROI"][0], found) == 0


def test_features_of_regions(oracle, ours):
    levels = [ours[f"fpn_p{level}"][0] for level in (2, 3, 4, 5)]
    rois, boxes = oracle["ROI"][0], oracle["mrcnn_detection"][0, :, :4]
    for name, given, side in (("roi_align_classifier", rois, 7), ("roi_align_mask", boxes, 14)):
        pooled = roi_align(levels, given, side, (256, 256), "matterport")
        np.testing.assert_allclose(pooled[:30, :, :, ::32], oracle[name][0], **CLOSE)
        np.testing.assert_allclose(ours[name][0, :30, :, :, ::32], oracle[name][0], **CLOSE)


def test_heads(oracle, ours):
    for name in ("mrcnn_class_logits", "mrcnn_class", "mrcnn_bbox"):
        np.testing.assert_allclose(ours[name], oracle[name][0], **CLOSE)
    np.testing.assert_allclose(ours["mrcnn_mask"], oracle["mrcnn_mask"][0], **CLOSE)


def test_detections(oracle):
    window = normalised_boxes(oracle["windows"][0], 256, 256)
    given = oracle["ROI"][0], oracle["mrcnn_class"][0], oracle["mrcnn_bbox"][0]
    found = select_detections(*given, window, CONFIG)
    expected = oracle["mrcnn_detection"][0]
    assert len(found.boxes) == 40
    np.testing.assert_allclose(found.boxes, expected[:, :4], atol=1e-5)
    assert found.class_ids.tolist() == expected[:, 4].tolist()
    np.testing.assert_allclose(found.scores, expected[:, 5], rtol=1e-6)


def test_the_whole_way_from_image_to_masks(oracle, ours):
    assert ours["detected_rois"].tolist() == oracle["det_rois"].tolist()
    assert ours["detected_class_ids"].tolist() == oracle["det_class_ids"].tolist()
    np.testing.assert_allclose(ours["detected_scores"], oracle["det_scores"], **CLOSE)
    shape = oracle["det_masks_shape"]
    masks = np.unpackbits(oracle["det_masks_packed"])[: shape.prod()].reshape(shape)
    # A probability of one half to the last bit may fall on either side.
    assert (masks != ours["detected_masks"]).sum() <= 1e-5 * masks.sum()


def test_written_weights_load_without_the_heads_of_other_classes(oracle, ours):
    np.testing.assert_allclose(ours["rpn_bbox_of_written"], oracle["rpn_bbox"], **CLOSE)
