"""Mask R-CNN on drawn numbers: boxes, regions, files of weights, and the network with a small trunk."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mask_rcnn_runs import SMALL

from building_segmenter.errors import BandsError, InvalidParameterError, ModelError, UnsafeModelError
from building_segmenter.networks.mask_rcnn.boxes import (
    anchor_boxes,
    moved_boxes,
    normalised_boxes,
    pixel_boxes,
    suppressed,
)
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.detections import Detections, select_detections
from building_segmenter.networks.mask_rcnn.molding import mold_image, unmold_detections
from building_segmenter.networks.mask_rcnn.proposals import propose
from building_segmenter.networks.mask_rcnn.roi_align import roi_align, roi_levels

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    pytest.importorskip("tensorflow")
    out = tmp_path_factory.mktemp("mask rcnn") / "drawn.npz"
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(REPOSITORY)}
    script = Path(__file__).with_name("mask_rcnn_runs.py")
    subprocess.run([sys.executable, script, "drawn", out], env=environment, check=True)
    return np.load(out)


@pytest.fixture(scope="module")
def networks():
    from building_segmenter.networks.mask_rcnn.network import build_networks

    return build_networks(Config(**SMALL))


def test_anchors_by_hand():
    config = Config(RPN_ANCHOR_SCALES=(16, 32, 64, 128, 256))
    anchors = anchor_boxes(config, 512, 512)
    assert len(anchors) == 65472
    np.testing.assert_allclose(anchors[1], (-8, -8, 8, 8))
    np.testing.assert_allclose(anchors[4], (-8, -4, 8, 12))
    np.testing.assert_allclose(anchors[0], (-8 * 2**0.5, -8 / 2**0.5, 8 * 2**0.5, 8 / 2**0.5))


@given(st.lists(st.integers(0, 400), min_size=4, max_size=4))
def test_normalising_boxes_can_be_undone(corners):
    boxes = np.array([corners])
    assert pixel_boxes(normalised_boxes(boxes, 300, 500), 300, 500).tolist() == boxes.tolist()


def test_deltas_by_hand():
    box = np.array([[0.2, 0.2, 0.4, 0.6]], np.float32)
    moved = moved_boxes(box, np.array([[0.5, 0, np.log(2), 0]], np.float32))
    np.testing.assert_allclose(moved, [[0.2, 0.2, 0.6, 0.6]], atol=1e-6)


@given(st.integers(0, 2**31), st.floats(0.1, 0.9))
def test_suppression_keeps_the_best_apart_and_covers_the_rest(seed, threshold):
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 1, (40, 2, 2)).astype(np.float32)
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    scores = random.uniform(size=40).astype(np.float32)
    kept = suppressed(boxes, scores, threshold, 40)
    overlaps = np.array([[overlap(a, b) for b in boxes] for a in boxes])
    assert (np.diff(scores[kept]) <= 0).all()
    for place, number in enumerate(kept):
        assert (overlaps[number, kept[:place]] <= threshold + 1e-6).all()
    for number in set(range(40)) - set(kept.tolist()):
        better = kept[scores[kept] >= scores[number]]
        assert (overlaps[number, better] > threshold - 1e-6).any()


def overlap(one, other):
    height, width = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    both = max(height, 0) * max(width, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return both / (sum(areas) - both)


def test_exact_regions_read_a_ramp_where_it_lies():
    height, width = 128, 256
    levels = []
    for stride in (4, 8, 16, 32):
        rows, columns = np.mgrid[0 : height // stride, 0 : width // stride]
        levels.append(np.stack([(rows + 0.5) * stride, (columns + 0.5) * stride], axis=-1).astype(np.float32))
    boxes = np.array([[32, 48, 64, 112], [16, 32, 112, 224]])
    pooled = roi_align(levels, normalised_boxes(boxes, height, width), 4, (height, width))
    for box, found in zip(boxes, pooled, strict=True):
        rows = box[0] + (np.arange(4) + 0.5) / 4 * (box[2] - box[0])
        columns = box[1] + (np.arange(4) + 0.5) / 4 * (box[3] - box[1])
        np.testing.assert_allclose(found[..., 0], np.repeat(rows[:, None], 4, axis=1), atol=1e-3)
        np.testing.assert_allclose(found[..., 1], np.repeat(columns[None], 4, axis=0), atol=1e-3)


def test_levels_by_size():
    sides = np.array([0, 56, 112, 224, 448, 512])
    boxes = np.stack([np.zeros(6), np.zeros(6), sides / 512, sides / 512], axis=1).astype(np.float32)
    assert roi_levels(boxes, (512, 512)).tolist() == [2, 2, 3, 4, 5, 5]


def test_detections_are_suppressed_within_classes_only():
    config = Config(NUM_CLASSES=3, DETECTION_MIN_CONFIDENCE=0.5)
    rois = np.array([[0, 0, 0.5, 0.5]] * 3 + [[0.5, 0.5, 1, 1]] * 2, np.float32)
    probabilities = np.array([[0.1, 0.9, 0], [0.2, 0.8, 0], [0.3, 0, 0.7], [0.9, 0.1, 0], [0.4, 0.3, 0.3]], np.float32)
    deltas = np.zeros((5, 3, 4), np.float32)
    found = select_detections(rois, probabilities, deltas, np.array([0, 0, 1, 1], np.float32), config)
    assert found.class_ids.tolist() == [1, 2]
    np.testing.assert_allclose(found.scores, [0.9, 0.7])
    nothing = select_detections(rois[3:], probabilities[3:], deltas[3:], np.array([0, 0, 1, 1], np.float32), config)
    assert len(nothing.boxes) == 0


def test_molding_and_back():
    config = Config(IMAGE_MIN_DIM=64, IMAGE_MAX_DIM=128)
    image = np.full((32, 48, 3), 200, np.uint8)
    molded, window = mold_image(image, config)
    assert molded.shape == (128, 128, 3)
    assert window == (32, 16, 96, 112)
    np.testing.assert_allclose(molded[64, 64], 200 - np.array([123.7, 116.8, 103.9]), rtol=1e-6)
    raw = mold_image(image, Config(BACKBONE="mobilenetv2", IMAGE_MAX_DIM=128, IMAGE_MIN_DIM=64)).image
    assert raw[64, 64].tolist() == [200, 200, 200]
    boxes = normalised_boxes(np.array([window, (64, 64, 96, 112), (64, 64, 64, 64)]), 128, 128)
    found = Detections(boxes, np.ones(3, np.int32), np.ones(3, np.float32))
    result = unmold_detections(found, np.ones((3, 28, 28), np.float32), window, (128, 128), (32, 48))
    assert result["rois"].tolist() == [[0, 0, 32, 48], [16, 24, 32, 48]]
    assert result["masks"].shape == (32, 48, 2)
    assert not result["masks"][:16, :, 1].any()
    assert result["masks"][17:31, 25:47, 1].all()
    with pytest.raises(BandsError):
        mold_image(image[..., :2], config)


@pytest.mark.parametrize(
    "wrong", [{"BACKBONE": "vgg"}, {"NUM_CLASSES": 1}, {"IMAGE_MAX_DIM": 100}, {"ROI_ALIGN": "near"}]
)
def test_a_wrong_configuration_is_told(wrong):
    with pytest.raises(InvalidParameterError, match=next(iter(wrong))):
        Config(**wrong)


def test_weights_are_written_and_read(networks, tmp_path):
    from building_segmenter.networks.mask_rcnn.checkpoints import HEADS, load_matterport, save_matterport
    from building_segmenter.networks.mask_rcnn.network import build_networks

    path = tmp_path / "weights.h5"
    save_matterport(networks, path)
    with h5py.File(path) as file:
        assert file["mrcnn_class_conv1/mrcnn_class_conv1/kernel:0"].shape == (7, 7, 8, 16)
        assert {name.split("/")[0] for name in file["rpn_model"]} == {
            "rpn_conv_shared",
            "rpn_class_raw",
            "rpn_bbox_pred",
        }
    three = build_networks(Config(**SMALL, NUM_CLASSES=3))
    with pytest.raises(ModelError, match="mrcnn_mask/kernel is"):
        load_matterport(three, path)
    load_matterport(three, path, HEADS)
    for layer, other in zip(networks.layers, three.layers, strict=True):
        equal = all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), other.get_weights(), strict=False))
        assert equal == (layer.name not in HEADS or not layer.weights)


def test_names_with_counters_are_read_and_everything_else_is_refused(networks, tmp_path):
    from building_segmenter.networks.mask_rcnn.checkpoints import load_matterport, save_matterport

    path = tmp_path / "weights.h5"
    save_matterport(networks, path)
    with h5py.File(path, "r+") as file:
        file["rpn_model"].move("rpn_class_raw", "rpn_class_raw_3")
        file["mrcnn_mask"].move("mrcnn_mask", "mrcnn_mask_1")
    load_matterport(networks, path)
    with pytest.raises(InvalidParameterError, match="mrcnn_mash"):
        load_matterport(networks, path, ["mrcnn_mash"])
    with h5py.File(path, "r+") as file:
        file["surplus/surplus/kernel:0"] = np.zeros(3)
        del file["fpn_p2"]
    with pytest.raises(ModelError, match=r"missing: fpn_p2/kernel, fpn_p2/bias; unknown: surplus/kernel"):
        load_matterport(networks, path)
    with h5py.File(path, "r+") as file:
        file["fpn_p2"] = h5py.ExternalLink("elsewhere.h5", "/fpn_p2")
    with pytest.raises(UnsafeModelError):
        load_matterport(networks, path)


def test_a_mobilenet_trunk_takes_pretrained_weights_and_other_bands(networks):
    from building_segmenter.networks.backbones import backbone_layers
    from building_segmenter.networks.mask_rcnn.network import build_trunk

    assert {"Conv1", "block_13_expand_relu"} <= {layer.name for layer in backbone_layers(networks.trunk)}
    four = build_trunk(Config(**SMALL, IMAGE_CHANNEL_COUNT=4), (0.01,) * 4, (0.0,) * 4)
    assert [tuple(shape) for shape in four.output_shape] == [
        *((None, 128 // stride, 128 // stride, 8) for stride in (4, 8, 16, 32)),
        (None, 4092, 2),
        (None, 4092, 2),
        (None, 4092, 4),
    ]


def test_detecting_with_a_small_network(drawn):
    for number, shape in enumerate(((64, 96), (128, 128))):
        count = len(drawn[f"rois_{number}"])
        assert drawn[f"masks_{number}"].shape == (*shape, count)
        assert drawn[f"class_ids_{number}"].shape == drawn[f"scores_{number}"].shape == (count,)
        y1, x1, y2, x2 = drawn[f"rois_{number}"].T
        assert ((y1 >= 0) & (x1 >= 0) & (y2 <= shape[0]) & (x2 <= shape[1])).all()


@pytest.mark.parametrize("variant", ["exact", "matterport"])
def test_tensors_read_what_numpy_reads(drawn, variant):
    for image in (0, 1):
        levels = [drawn[f"level_{number}"][image] for number in range(4)]
        pooled = roi_align(levels, drawn["rois"][image], 7, (128, 128), variant)
        np.testing.assert_allclose(drawn[f"pooled_{variant}"][image], pooled, rtol=1e-4, atol=1e-5)
    # Each place hands on its whole gradient to the features around it.
    inside = 1.0 if variant == "exact" else (drawn[f"pooled_{variant}"] != 0).mean()
    assert drawn[f"gradient_{variant}"].sum() == pytest.approx(inside * 2 * 20 * 49 * 8, rel=1e-4)


def test_tensors_propose_what_numpy_proposes(drawn):
    config = Config(**SMALL)
    for image in (0, 1):
        given = drawn["probabilities"][image], drawn["deltas"][image], drawn["anchors"]
        np.testing.assert_allclose(drawn["proposed"][image], propose(*given, config), atol=1e-5)
    assert drawn["deltas_learn"] > 0
