"""Classes of several datasets joined by their names."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from building_segmenter.errors import InvalidParameterError
from building_segmenter.training.classes import join_classes

A, B = Path("a"), Path("b")


def test_values_stay_where_datasets_agree():
    joined, notes = join_classes({A: {2: "water", 1: "roof"}, B: {1: "roof", 2: "water"}})
    assert list(joined.items()) == [(1, "roof"), (2, "water")]
    assert notes == []


def test_a_class_of_one_dataset_only_is_told():
    joined, notes = join_classes({A: {1: "roof", 2: "water"}, B: {1: "roof", 2: "water", 3: "wood"}})
    assert joined == {1: "roof", 2: "water", 3: "wood"}
    assert len(notes) == 1
    assert "a has no wood" in notes[0]


def test_other_numbers_of_the_same_names_are_joined_in_alphabetical_order():
    # As exports number texts: a class more shifts those behind it.
    joined, notes = join_classes({A: {1: "roof", 2: "water"}, B: {1: "field", 2: "Roof", 3: "water"}})
    assert list(joined.items()) == [(1, "field"), (2, "roof"), (3, "water")]
    assert any("joined by name: 1 field, 2 roof, 3 water" in note for note in notes)


def test_numbers_without_names_are_classes_too():
    assert join_classes({A: {10: "10", 20: "20"}, B: {20: "20", 300: "300"}})[0] == {10: "10", 20: "20", 300: "300"}


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ({1: "Dach", 2: "Wasser"}, {1: "roof", 2: "water"}, "roof, water"),
        ({1: "1", 2: "2"}, {1: "roof", 2: "water"}, "roof, water"),
        ({1: "1", 2: "water"}, {1: "roof", 2: "water"}, "Class 1 is named roof"),
    ],
)
def test_other_names_for_maybe_the_same_are_refused(first, second, told):
    with pytest.raises(InvalidParameterError, match=told) as caught:
        join_classes({A: first, B: second})
    assert "CLASS_FIELD" in caught.value.hint


def test_an_initial_model_says_which_classes_there_are():
    known = {4: "wood", 5: "roof", 6: "water"}
    joined, notes = join_classes({A: {1: "roof", 2: "water"}}, known)
    assert joined == known
    assert any("wood" in note for note in notes)
    with pytest.raises(InvalidParameterError, match="field"):
        join_classes({A: {1: "field", 2: "roof"}}, known)


@given(names=st.lists(st.sampled_from("abcdef"), min_size=2, max_size=6, unique=True), data=st.data())
def test_every_class_of_every_dataset_has_exactly_one_value(names, data):
    first = dict(enumerate(sorted(names), start=1))
    part = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    second = dict(enumerate(sorted(part), start=1))
    joined, _ = join_classes({A: first, B: second})
    assert sorted(joined.values()) == sorted(names)
    assert list(joined) == sorted(joined)
