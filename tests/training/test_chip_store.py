"""What training sees of datasets in several formats."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from building_segmenter.chips.dataset import open_dataset
from building_segmenter.errors import InvalidParameterError
from building_segmenter.training.datasets import Chip, join_datasets
from building_segmenter.training.pipeline import ChipStore
from building_segmenter.training.targets import building_targets

_spec = importlib.util.spec_from_file_location("drawn_chips", Path(__file__).parent.parent / "chips" / "drawn_chips.py")
drawn = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(drawn)


@pytest.mark.parametrize("name", ["classified-tiles", "rcnn-masks", "coco", "yolo", "hdf5"])
def test_an_object_of_any_class_is_a_building(tmp_path, name):
    chips = drawn.some_chips()
    dataset = open_dataset(drawn.export(tmp_path / "d", name, chips))
    data = join_datasets([dataset])
    store = ChipStore(data, building_targets(contacts=True))
    for chip, entry in zip(chips, dataset.chips, strict=True):
        image, target = store.read(Chip(dataset, entry))
        np.testing.assert_array_equal(image, chip.image)
        expected = np.where(chip.label == 255, 255, chip.label > 0)
        np.testing.assert_array_equal(target[..., 0], expected)
        np.testing.assert_array_equal(target[..., 1], np.where(chip.label == 255, 255, chip.contact))
    assert {4, 1, 255} <= set(np.unique([chip.label for chip in chips]))


@pytest.mark.parametrize("name", ["pascal-voc", "kitti", "export-tiles"])
def test_datasets_without_pixels_are_refused(tmp_path, name):
    dataset = open_dataset(drawn.export(tmp_path / "d", name, drawn.some_chips()))
    with pytest.raises(InvalidParameterError, match="has no classes of pixels") as raised:
        join_datasets([dataset])
    assert "Export the chips again in another format" in raised.value.hint
