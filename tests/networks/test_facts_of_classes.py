"""The facts of models with several classes, and of files from before there were any."""

import dataclasses
import json

import pytest

from building_segmenter.errors import ModelError
from building_segmenter.networks.facts import BandFacts, ModelFacts, facts_to_item, item_to_facts

CLASSES = ({"value": 1, "name": "roof"}, {"value": 7, "name": "Bäume"})
FACTS = ModelFacts(
    name="Land cover",
    architecture="a network",
    bands=(BandFacts("1", 0.0, 255.0, 100.0, 50.0),),
    dtype="uint8",
    scale=(1 / 127.5,),
    offset=(-1.0,),
    gsd=0.3,
    tile_size=256,
    channels=("background", "roof", "Bäume"),
    classes=CLASSES,
    threshold=0.5,
    created="2026-01-02T03:04:05Z",
    activation="softmax",
)


def through_json(facts):
    return json.loads(json.dumps(facts_to_item(facts), allow_nan=False))


def test_classes_and_activation_come_back_as_they_were():
    item = through_json(FACTS)
    assert item_to_facts(item, "it") == FACTS
    output = item["properties"]["mlm:output"][0]
    assert output["classification:classes"] == list(CLASSES)
    assert output["result"]["shape"][-1] == 3
    assert "most probable" in output["description"]


def test_a_file_without_activation_is_of_channels_apart():
    item = through_json(dataclasses.replace(FACTS, activation="sigmoid", channels=("building",)))
    del item["properties"]["building_segmenter:activation"]
    facts = item_to_facts(item, "it")
    assert (facts.activation, facts.is_multiclass) == ("sigmoid", False)
    assert "apart" in item["properties"]["mlm:output"][0]["description"]


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"activation": "tanh"}, "activation"),
        ({"channels": ("roof", "Bäume")}, "list of classes"),
        ({"channels": ("background", "Bäume", "roof")}, "list of classes"),
        ({"classes": CLASSES[:1], "channels": ("background", "roof")}, "list of classes"),
        ({"classes": (CLASSES[0], {"value": 1, "name": "Bäume"})}, "list of classes"),
        ({"classes": (CLASSES[0], {"value": "7", "name": "Bäume"})}, "list of classes"),
    ],
)
def test_classes_that_contradict_the_channels_are_refused(changes, lacking):
    with pytest.raises(ModelError, match=lacking) as caught:
        item_to_facts(through_json(dataclasses.replace(FACTS, **changes)), "it")
    assert caught.value.hint
