"""A Mask R-CNN on OpenVINO finds the same as on Keras, part by part compiled and with what lies between on NumPy."""

from dataclasses import replace

import numpy as np
import pytest
from detector_models import TILE, configuration, detector, random_picture
from skimage.transform import resize

from building_segmenter.inference.instances.parts import Parts, model_parts
from building_segmenter.inference.instances.predictor import InstancePredictor
from building_segmenter.inference.instances.running import StemAndPyramid, running
from building_segmenter.inference.runtime import Runtime
from building_segmenter.networks.mask_rcnn.roi_align import roi_align

CONFIG = configuration("mobilenetv2")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cached(cache, monkeypatch):
    monkeypatch.setenv("BUILDING_SEGMENTER_MODEL_CACHE", str(cache))


@pytest.fixture(scope="module", params=["mobilenetv2", "resnet50"])
def any_model(request, tmp_path_factory):
    return request.param, *detector(tmp_path_factory.mktemp("detector"), request.param)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return detector(tmp_path_factory.mktemp("detector"))[0]


@pytest.fixture(scope="module")
def picture():
    return random_picture(7)


def floats(picture):
    return picture.astype(np.float32)


def predictor(path, config=CONFIG, change=lambda parts: parts):
    return InstancePredictor(change(model_parts(path, config, TILE)), config, TILE, Runtime("f32"))


def test_objects_are_those_of_keras(any_model, picture):
    backbone, path, expected = any_model
    found = predictor(path, configuration(backbone)).predict(floats(picture))
    assert len(found.scores) >= 5 and len(set(found.labels.tolist())) == 2
    # The front door leaves out boxes without a pixel, and rounds the others.
    left, top, right, bottom = np.around(found.boxes).astype(int).T
    some = (right > left) & (bottom > top)
    np.testing.assert_array_equal(np.stack([top, left, bottom, right], 1)[some], expected["rois"])
    np.testing.assert_array_equal(found.labels[some], expected["class_ids"])
    np.testing.assert_allclose(found.scores[some], expected["scores"], atol=1e-4)
    # As the front door draws them; a probability near a half may fall on either side.
    off = []
    for mask, whole, (y1, x1, y2, x2) in zip(
        found.masks[some], np.moveaxis(expected["masks"], -1, 0), expected["rois"], strict=True
    ):
        drawn = resize(mask, (y2 - y1, x2 - x1), order=1, mode="constant", anti_aliasing=False)
        off.append((np.abs(drawn - 0.5) > 1e-3) & ((drawn >= 0.5) != whole[y1:y2, x1:x2]))
    assert sum(one.size for one in off) > 1000 and not any(one.any() for one in off)


def test_convolutions_outside_of_openvino_give_the_same(any_model, picture, monkeypatch):
    backbone, path, _ = any_model
    config = configuration(backbone)
    parts, runtime = model_parts(path, config, TILE), Runtime("f32")
    ours = running(parts, config, runtime)
    assert isinstance(ours.trunk, StemAndPyramid)
    monkeypatch.setattr(runtime, "on_processor", False)
    whole = running(parts, config, runtime)
    assert not isinstance(whole.trunk, StemAndPyramid)
    given = floats(picture)[None]
    for one, other in zip(ours.trunk.run(given), whole.trunk.run(given), strict=True):
        assert [level.shape for level in one] == [level.shape for level in other]
        for level, expected in zip(one, other, strict=True):
            np.testing.assert_allclose(level, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    boxes = np.array([[0, 0, 0.4, 0.5], [0.2, 0.6, 0.4, 1], [0.5, 0.1, 1, 0.3]], np.float32)
    regions = roi_align(whole.trunk.run(given).pyramid, boxes, config.MASK_POOL_SIZE, (TILE, TILE))
    masks, expected = ours.mask_head.run(regions), whole.mask_head.run(regions)
    assert masks.shape == (3, *config.MASK_SHAPE, config.NUM_CLASSES)
    np.testing.assert_allclose(masks, expected, atol=1e-3)


def test_bytes_give_the_same_as_numbers(model, picture):
    numbers = predictor(model).predict(floats(picture))
    given = predictor(model, change=Parts.fed_bytes).predict(picture)
    assert len(numbers.scores)
    for one, other in zip(numbers, given, strict=True):
        np.testing.assert_array_equal(one, other)


def test_fewer_proposals_than_there_is_room_for_are_no_objects(model, picture):
    # Suppression leaves few regions, and zeros fill the rest of what the head takes.
    few = {"RPN_NMS_THRESHOLD": 0.01, "PRE_NMS_LIMIT": 40, "DETECTION_NMS_THRESHOLD": 1.0}
    config = replace(CONFIG, DETECTION_MIN_CONFIDENCE=0.0, **few)
    found = predictor(model, config).predict(floats(picture))
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    assert 0 < len(found.scores) < CONFIG.DETECTION_MAX_INSTANCES and (sides > 1).all()


def test_compiled_parts_are_found_again_without_the_model(model, picture, monkeypatch):
    first = predictor(model).predict(floats(picture))
    monkeypatch.setattr("building_segmenter.inference.instances.parts._graph", None)
    again = predictor(model).predict(floats(picture))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
