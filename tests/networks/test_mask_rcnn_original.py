"""The original, Matterport's own files as they are on PyPI, and ours: fresh random weights, picture and objects.

Each stage of ours is given what the original's stage before it found, so that the last bits of a float, which hang on
the processor, do not decide between regions; the whole way is compared besides.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import mask_rcnn_original as matterport

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = {
    "NUM_CLASSES": 3,
    "IMAGES_PER_GPU": 1,
    "RPN_ANCHOR_SCALES": (16, 32, 64, 128, 256),
    "POST_NMS_ROIS_INFERENCE": 300,
    "TRAIN_ROIS_PER_IMAGE": 60,
    "MAX_GT_INSTANCES": 10,
    "DETECTION_MIN_CONFIDENCE": 0.5,
    "DETECTION_MAX_INSTANCES": 40,
}
# Height and width of the picture and side of the square that the network sees; smaller for the larger network.
SIZES = {"resnet50": ((192, 256), 256), "resnet101": ((128, 192), 192)}
TENSORS = {"resnet50": (384, 266), "resnet101": (690, 470)}
MOST_UNLIKE = 0.01
"""Share of regions that may differ: a last bit decides which of two that overlap by just the threshold stays."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(matterport.missing()), reason=f"NOT COMPARED: {matterport.missing()}"),
]


@pytest.fixture(scope="module", params=SIZES)
def runs(request, tmp_path_factory):
    pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("mask rcnn")
    shape, side = SIZES[request.param]
    settings = SETTINGS | {"BACKBONE": request.param, "IMAGE_MIN_DIM": min(shape), "IMAGE_MAX_DIM": side}
    seed = int(np.random.default_rng().integers(2**31))
    # Told where a test fails.
    print(f"{request.param}, seed {seed}")
    (folder / "given.json").write_text(json.dumps({"settings": settings, "shape": shape, "seed": seed}))
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(REPOSITORY)}
    script = Path(__file__).with_name("mask_rcnn_original_runs.py")
    for who in ("weights", "original", "ours"):
        subprocess.run([sys.executable, script, who, folder], env=environment, check=True)
    (folder / "weights.h5").unlink()
    return request.param, np.load(folder / "original.npz"), np.load(folder / "ours.npz")


def assert_close(found, expected, most_unlike=0.0, along=0):
    """Assert that arrays are equal but for rounding, where asked but for some places along an axis."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    unlike = np.abs(found - expected) > 1e-4 * np.maximum(np.abs(expected), expected.std())
    of_place = np.moveaxis(unlike, along, 0).reshape(found.shape[along], -1).any(axis=1)
    assert of_place.mean() <= most_unlike, (of_place.mean(), np.abs(found - expected).max())


def unmatched(one, other, tolerance=1e-4):
    """Return the share of rows of one list that have no equal in the other."""
    return np.mean([np.abs(other - row).max(axis=1).min() > tolerance for row in one])


def test_the_original_reads_each_array_of_ours_under_its_name(runs):
    backbone, original, _ = runs
    table = matterport.SHIM.parent / "data" / f"layers_{backbone}.json"
    rows = json.loads(table.read_text())["layers"]
    expected = [
        f"{row['group']}/{row['layer']}/{role}:0 {tuple(shape)}"
        for row in rows
        for role, shape in row["weights"].items()
    ]
    assert sorted(original["table"]) == sorted(expected) and len(expected) == TENSORS[backbone][0]


def test_pyramid_and_region_proposal_network(runs):
    _, original, ours = runs
    for name in ("molded", "fpn_p2", "fpn_p3", "fpn_p4", "fpn_p5", "rpn_class", "rpn_bbox"):
        assert_close(ours[name], original[name])


def test_proposals(runs):
    _, original, ours = runs
    expected = original["ROI"][0]
    assert np.count_nonzero(expected.any(axis=1)) >= 200
    for name in ("ROI", "ROI_of_tensors"):
        assert ours[name].shape == original["ROI"].shape
        assert max(unmatched(ours[name][0], expected), unmatched(expected, ours[name][0])) <= MOST_UNLIKE


def test_classes_and_boxes_of_regions(runs):
    _, original, ours = runs
    assert 0.05 < original["mrcnn_class"][0, :, 1:].max(axis=1).mean() < 0.95
    for name in ("mrcnn_class", "mrcnn_class_of_tensors"):
        assert_close(ours[name], original["mrcnn_class"][0], MOST_UNLIKE)
    assert_close(ours["mrcnn_bbox"], original["mrcnn_bbox"][0], MOST_UNLIKE)


def test_detections(runs):
    _, original, ours = runs
    expected = original["mrcnn_detection"][0]
    expected = expected[expected[:, 4] > 0]
    assert len(expected) >= 10 and len(ours["mrcnn_detection"]) == len(expected)
    assert_close(ours["mrcnn_detection"], expected)


def test_masks(runs):
    _, original, ours = runs
    assert original["mrcnn_mask"].std() > 0.1
    assert_close(ours["mrcnn_mask"], original["mrcnn_mask"][0], MOST_UNLIKE)


def test_the_whole_way_from_picture_to_masks(runs):
    _, *both = runs
    expected, found = (objects_of(run) for run in both)
    shared = expected.keys() & found.keys()
    # A last bit may round a box to the next pixel, or let one of two equal proposals go.
    assert len(shared) >= 0.9 * max(len(expected), len(found)) > 0
    for key in shared:
        assert found[key][0] == pytest.approx(expected[key][0], abs=1e-4)
        assert np.count_nonzero(found[key][1] != expected[key][1]) <= 1e-3 * expected[key][1].size


def objects_of(run):
    """Return score and mask of each object by its box and class."""
    rows = np.column_stack([run["detected_rois"], run["detected_class_ids"]]).tolist()
    values = zip(run["detected_scores"], np.moveaxis(run["detected_masks"], -1, 0), strict=True)
    return dict(zip(map(tuple, rows), values, strict=True))


def test_what_is_learned_from(runs):
    _, original, ours = runs
    for name in ("given_gt_boxes", "given_gt_masks"):
        np.testing.assert_array_equal(ours[name], original[name])
    np.testing.assert_array_equal(ours["given_rpn_match"], original["given_rpn_match"][..., 0])
    assert np.count_nonzero(original["target_class_ids"]) >= 2
    assert len(unlike_targets(runs)) <= 3


def unlike_targets(runs):
    """Return which regions that the heads learn from differ: a last bit may let another proposal in."""
    _, original, ours = runs
    differ = np.abs(ours["target_rois"][0] - original["target_rois"][0]).max(axis=1) > 1e-4
    return np.flatnonzero(differ | (ours["target_class_ids"][0] != original["target_class_ids"][0]))


def test_losses(runs):
    _, original, ours = runs
    assert (original["losses"] > 0.01).all()
    np.testing.assert_allclose(ours["losses"][:2], original["losses"][:2], rtol=1e-4, atol=1e-4)
    tolerance = 0.1 if len(unlike_targets(runs)) else 1e-4
    np.testing.assert_allclose(ours["losses"], original["losses"], rtol=tolerance, atol=1e-4)


def test_gradients(runs):
    backbone, original, ours = runs
    found = dict(zip(ours["names"], ours["norms"], strict=True))
    expected = dict(zip(original["names"], original["norms"], strict=True))
    assert found.keys() == expected.keys() and len(found) == TENSORS[backbone][1]
    tolerance = 0.5 if len(unlike_targets(runs)) else 1e-2
    for name, norm in expected.items():
        assert found[name] == pytest.approx(norm, rel=tolerance, abs=1e-6), name
