"""What labels of chips are made into: buildings, as ever, or numbers of classes."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from building_segmenter.chips.dataset import open_dataset
from building_segmenter.errors import InputUnreadableError, InvalidParameterError
from building_segmenter.networks.facts import BandFacts, ModelFacts
from building_segmenter.progress import Progress
from building_segmenter.training.datasets import Chip, join_datasets
from building_segmenter.training.pipeline import ChipStore, find_shown
from building_segmenter.training.targets import Targets, building_targets, targets_of

_spec = importlib.util.spec_from_file_location("drawn_chips", Path(__file__).parent.parent / "chips" / "drawn_chips.py")
drawn = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(drawn)

FACTS = ModelFacts(
    name="m",
    architecture="a",
    bands=(BandFacts("1", 0.0, 1.0, 0.5, 0.1),),
    dtype="uint8",
    scale=(1.0,),
    offset=(0.0,),
    gsd=0.3,
    tile_size=256,
    channels=("background", "other"),
    classes=({"value": 1, "name": "other"}, {"value": 2, "name": "more"}),
    threshold=0.5,
    created="",
    activation="softmax",
)


@pytest.fixture
def chips():
    return drawn.some_chips()


@pytest.fixture
def data(tmp_path, chips):
    return join_datasets([open_dataset(drawn.export(tmp_path / "d", "classified-tiles", chips))])


def with_classes(data, classes):
    """The same data whose dataset lists other classes."""
    dataset = dataclasses.replace(data.datasets[0], classes=classes)
    train = tuple(tuple(Chip(dataset, chip.entry) for chip in chips) for chips in data.train)
    validation = tuple(Chip(dataset, chip.entry) for chip in data.validation)
    return dataclasses.replace(data, datasets=(dataset,), train=train, validation=validation)


def stacks(data, targets):
    store = ChipStore(data, targets)
    return [store.read(Chip(data.datasets[0], entry))[1] for entry in data.datasets[0].chips]


def as_ever(chip):
    """The labels of a network of buildings and contacts, from the chip itself."""
    building = np.where(chip.label == 255, 255, chip.label > 0)
    return np.stack([building, np.where(chip.label == 255, 255, chip.contact)], axis=-1).astype(np.uint8)


def test_merged_classes_give_the_bytes_of_buildings(data, chips):
    targets, notes = targets_of(data, "merge")
    assert (targets.channels, targets.activation, notes) == (("building", "contact"), "sigmoid", [])
    for stack, chip in zip(stacks(data, targets), chips, strict=True):
        assert stack.tobytes() == as_ever(chip).tobytes()


def test_a_single_class_gives_the_bytes_of_buildings_also_when_separate(data, chips):
    single = with_classes(data, [{"value": 4, "name": "roof"}])
    targets, notes = targets_of(single, "separate")
    assert targets == building_targets(contacts=True)
    assert "roof" in notes[0]
    for stack, chip in zip(stacks(single, targets), chips, strict=True):
        assert stack.tobytes() == as_ever(chip).tobytes()


def test_separate_classes_become_channel_numbers_in_the_order_of_their_values(data, chips):
    targets, _ = targets_of(data, "separate")
    values = sorted(one["value"] for one in data.datasets[0].classes)
    assert len(values) > 1
    assert [one["value"] for one in targets.classes] == values
    assert targets.channels == ("background", *(one["name"] for one in targets.classes))
    assert (targets.activation, targets.planes) == ("softmax", 1)
    seen = set()
    for stack, chip in zip(stacks(data, targets), chips, strict=True):
        expected = np.select([chip.label == 255, *(chip.label == v for v in values)], [255, *range(1, len(values) + 1)])
        np.testing.assert_array_equal(stack[..., 0], expected)
        assert stack.dtype == np.uint8
        seen |= set(np.unique(stack))
    assert {0, 1, 2, 255} <= seen


def test_shown_things_are_those_of_the_labels(data):
    for targets in (targets_of(data, "separate")[0], building_targets(contacts=False)):
        store = ChipStore(data, targets)
        (shown,) = find_shown(data, store, targets, Progress())
        assert shown.shape == (len(data.train[0]), len(targets.shown))
        for found, chip in zip(shown, data.train[0], strict=True):
            plane = store.read(chip)[1][..., 0]
            assert [bool((plane == number).any()) for number in range(1, len(found) + 1)] == list(found)


def test_a_class_that_the_dataset_does_not_list_is_an_error(data):
    listed = [{"value": 1, "name": "roof"}, {"value": 77, "name": "water"}]
    targets, _ = targets_of(with_classes(data, listed), "separate")
    with pytest.raises(InputUnreadableError, match="holds class 4"):
        stacks(data, targets)


def test_classes_of_an_initial_model_bind(data):
    with pytest.raises(InvalidParameterError, match="the others are other, more"):
        targets_of(data, "separate", FACTS)
    names = [one["name"] for one in data.datasets[0].classes]
    known = tuple({"value": 300 + i, "name": name} for i, name in enumerate([*names, "water"]))
    targets, notes = targets_of(data, "separate", dataclasses.replace(FACTS, classes=known))
    assert targets.classes == known
    assert any("water" in note for note in notes)


def test_targets_without_classes_are_of_a_building():
    assert Targets(("building",)).shown == ("building",)
