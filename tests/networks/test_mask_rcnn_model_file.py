"""A Mask R-CNN in the one-file model: what goes in comes out, and what contradicts itself is refused."""

import json
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest
from test_model_file import changed, some_facts, tiny_network

from building_segmenter.errors import InvalidParameterError, ModelError, UnsafeModelError
from building_segmenter.networks import model_file, safety
from building_segmenter.networks.facts import facts_to_item, item_to_facts
from building_segmenter.networks.mask_rcnn import MaskRCNN
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.model_file import (
    load_mask_rcnn,
    read_mask_rcnn_facts,
    write_mask_rcnn,
)
from building_segmenter.networks.mask_rcnn.network import build_networks

CONFIG = Config(
    BACKBONE="mobilenetv2",
    NUM_CLASSES=3,
    IMAGE_RESIZE_MODE="pad64",
    IMAGE_MIN_DIM=0,
    TOP_DOWN_PYRAMID_SIZE=16,
    FPN_CLASSIF_FC_LAYERS_SIZE=24,
    RPN_ANCHOR_SCALES=(16, 32, 64, 128, 256),
    DETECTION_MIN_CONFIDENCE=0.35,
)


def facts_of_objects():
    classes = ({"value": 1, "name": "house"}, {"value": 4, "name": "shed"})
    return replace(some_facts(channels=("house", "shed")), architecture="Mask R-CNN", classes=classes)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("detector") / "detector.keras"
    networks = build_networks(CONFIG)
    write_mask_rcnn(networks, CONFIG, facts_of_objects(), path)
    return networks, path


def with_facts(path, target, **changes):
    with zipfile.ZipFile(path) as archive:
        facts = item_to_facts(json.loads(archive.read(model_file.FACTS_ENTRY)), str(path))
    item = json.dumps(facts_to_item(replace(facts, **changes)))
    return changed(path, target, {model_file.FACTS_ENTRY: item})


def test_networks_configuration_and_facts_come_back(written):
    networks, path = written
    back, config, facts = load_mask_rcnn(path)
    assert config == CONFIG and facts.is_detector
    assert replace(facts, kind="semantic-segmentation", network={}) == facts_of_objects()
    for one, other in zip(networks, back, strict=True):
        assert [weight.path.split("/")[-2:] for weight in one.weights] == [
            weight.path.split("/")[-2:] for weight in other.weights
        ]
        for here, there in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(here, there)
    assert [output.shape for output in back.trunk.outputs] == [output.shape for output in networks.trunk.outputs]


def test_keras_opens_the_file_as_it_is(written):
    networks, path = written
    whole = keras.saving.load_model(path, compile=False, safe_mode=True)
    assert whole.count_params() == sum(model.count_params() for model in networks)


def test_its_facts_say_what_it_does(written):
    with zipfile.ZipFile(written[1]) as archive:
        properties = json.loads(archive.read(model_file.FACTS_ENTRY))["properties"]
    assert properties["mlm:tasks"] == properties["mlm:output"][0]["tasks"] == ["instance-segmentation"]
    assert "multiples of 64" in properties["mlm:input"][0]["description"]


def test_it_is_no_model_of_segmentation_and_the_other_way(written, tmp_path):
    with pytest.raises(ModelError, match="one by one") as caught:
        model_file.load_model(written[1])
    assert "Detect buildings" in caught.value.hint
    path = tmp_path / "pixels.keras"
    model_file.save_model(tiny_network(), some_facts(), path)
    with pytest.raises(ModelError, match="what each pixel is"):
        read_mask_rcnn_facts(path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"network": {}}, "classes"),
        ({"network": {"NUM_CLASSES": 3, "SECRET": 1}}, "SECRET"),
        ({"network": {"NUM_CLASSES": "many"}}, "cannot be used"),
        ({"channels": ("house",)}, "1 classes and 3 bands"),
    ],
)
def test_facts_that_contradict_the_configuration_are_refused(written, tmp_path, changes, told):
    path = with_facts(written[1], tmp_path / "changed.keras", **changes)
    with pytest.raises(ModelError, match=told):
        read_mask_rcnn_facts(path)


@pytest.mark.parametrize("name", ["TOP_DOWN_PYRAMID_SIZE", "POOL_SIZE"])
def test_a_configuration_of_other_networks_is_refused(written, tmp_path, name):
    network = json.loads(json.dumps(vars(CONFIG))) | {name: 32}
    path = with_facts(written[1], tmp_path / "changed.keras", network=network)
    with pytest.raises(ModelError, match="box head"):
        load_mask_rcnn(path)


def test_the_front_door_writes_files_for_detection(tmp_path):
    config = replace(CONFIG, IMAGE_RESIZE_MODE="square", IMAGE_MIN_DIM=128, IMAGE_MAX_DIM=128)
    model = MaskRCNN(config)
    model.save(tmp_path / "towns.keras", gsd=0.3, classes=["house", "shed"])
    found, facts = read_mask_rcnn_facts(tmp_path / "towns.keras")
    assert found == config and (facts.name, facts.gsd, facts.tile_size, facts.threshold) == ("towns", 0.3, 128, 0.35)
    again = MaskRCNN.load(tmp_path / "towns.keras")
    assert again.config == config
    for one, other in zip(model.networks, again.networks, strict=True):
        for here, there in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(here, there)
    with pytest.raises(InvalidParameterError, match="1 classes are named"):
        model.save(tmp_path / "no.keras", gsd=0.3, classes=["house"])
    with pytest.raises(InvalidParameterError, match="pad64"):
        MaskRCNN(CONFIG, model.networks).save(tmp_path / "no.keras", gsd=0.3, classes=["house", "shed"])


def test_a_file_without_a_part_is_refused(tmp_path):
    path = tmp_path / "half.keras"
    networks = build_networks(CONFIG)
    facts = replace(facts_of_objects(), kind="instance-segmentation", network=json.loads(json.dumps(vars(CONFIG))))
    inputs = [keras.Input(model.input_shape[1:]) for model in networks[1:]]
    outputs = [model(given) for model, given in zip(networks[1:], inputs, strict=True)]
    model_file.save_model(keras.Model(inputs, outputs), facts, path)
    with pytest.raises(ModelError, match="box_head, mask_head of trunk, box_head, mask_head"):
        load_mask_rcnn(path)


def test_code_within_a_network_is_refused(written, tmp_path):
    with zipfile.ZipFile(written[1]) as archive:
        text = archive.read(safety.CONFIG).decode()
    assert '"class_name": "Flatten"' in text
    evil = text.replace('"class_name": "Flatten"', '"class_name": "Lambda"', 1)
    path = changed(written[1], tmp_path / "evil.keras", {safety.CONFIG: evil})
    with pytest.raises(UnsafeModelError):
        load_mask_rcnn(path)
