"""Datasets in the shape that Matterport's code reads, and back; examples that are made of them; what learns when."""

from pathlib import Path

import numpy as np
import pytest

from building_segmenter.chips.dataset import ChipDataset, ChipEntry, Instances
from building_segmenter.errors import InvalidParameterError
from building_segmenter.networks.mask_rcnn.adapter import ForeignChips, MatterportDataset, read_objects


class DrawnReader:
    """Two chips of 64 px: one with two houses and one that lies under them, one empty."""

    def image(self, chip):
        return np.full((64, 64, 1), 7 if chip.name == "a" else 9, np.uint8)

    def instances(self, chip):
        numbers = np.zeros((64, 64), np.int32)
        if chip.name != "a":
            return Instances(numbers, np.zeros(0, np.int64), np.zeros(0, np.int64))
        numbers[5:20, 10:30], numbers[40:50, 40:60] = 1, 3
        return Instances(numbers, np.array([11, 12, 13]), np.array([4, 4, 9]))

    def lacks(self, kind):
        return InvalidParameterError(f"no {kind}", "none")


def dataset(**changed):
    facts = {
        "folder": Path("drawn"),
        "gsd": (0.3, 0.3),
        "tile_size": 64,
        "bands": 1,
        "dtype": "uint8",
        "statistics": [{}],
        "classes": [{"value": 9, "name": "shed"}, {"value": 4, "name": "house"}],
        "chips": [ChipEntry("a", "train"), ChipEntry("b", "validation")],
        "labels": frozenset({"instances"}),
        "reader": DrawnReader(),
    }
    return ChipDataset(**(facts | changed))


def test_chips_are_read_with_the_classes_of_a_network():
    image, masks, class_ids = read_objects(dataset(), ChipEntry("a", "train"))
    assert image.shape == (64, 64, 1)
    assert masks.shape == (2, 64, 64) and masks[0, 5:20, 10:30].all() and masks.sum() == 15 * 20 + 10 * 20
    assert class_ids.tolist() == [1, 2]


def test_the_dataset_has_the_tables_of_the_original():
    adapted = MatterportDataset(dataset())
    assert adapted.image_ids.tolist() == [0, 1] and adapted.num_classes == 3
    assert adapted.class_names == ["BG", "house", "shed"]
    assert [info["id"] for info in adapted.class_info] == [0, 4, 9]
    assert adapted.map_source_class_id("chips.9") == 2 and adapted.get_source_class_id(2, "chips") == 9
    assert adapted.source_class_ids["chips"] == [0, 1, 2] and adapted.image_reference(1) == "b"
    masks, class_ids = adapted.load_mask(0)
    assert masks.shape == (64, 64, 2) and masks.dtype == bool and class_ids.tolist() == [1, 2]
    assert adapted.load_image(0).shape == (64, 64, 3)
    assert adapted.load_mask(1)[0].shape == (64, 64, 0)
    assert MatterportDataset(dataset(), "validation").image_reference(0) == "b"


def test_a_dataset_without_masks_or_of_other_numbers_is_refused():
    with pytest.raises(InvalidParameterError, match="instances"):
        MatterportDataset(dataset(labels=frozenset({"boxes"})))
    with pytest.raises(InvalidParameterError, match="uint16"):
        MatterportDataset(dataset(dtype="uint16"))


def test_a_foreign_dataset_gives_the_chips_that_it_was_made_of():
    back = ForeignChips(MatterportDataset(dataset()))
    assert back.classes == [{"value": 1, "name": "house"}, {"value": 2, "name": "shed"}]
    for chip, original in zip(back.chips, dataset().chips, strict=True):
        _, masks, class_ids = read_objects(back, chip)
        _, expected, expected_ids = read_objects(dataset(), original)
        assert np.array_equal(masks, expected) and np.array_equal(class_ids, expected_ids)
        assert (back.read_image(chip) == back.read_image(chip)[0, 0, 0]).all()
