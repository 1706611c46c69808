"""A folder of logs is added to, so the model may lie in it."""

import pytest

from building_segmenter import tasks
from building_segmenter.errors import InvalidParameterError
from building_segmenter.outputs import check_outputs


def test_model_may_lie_in_the_folder_of_logs(tmp_path):
    check_outputs(tasks.TrainModel(dataset=("chips",), output=str(tmp_path / "m.keras"), log_dir=str(tmp_path)))


def test_folder_that_is_replaced_may_not_hold_an_input(tmp_path):
    with pytest.raises(InvalidParameterError, match="would replace INPUT"):
        check_outputs(tasks.ExportChips(input=str(tmp_path / "a.tif"), footprints="f.gpkg", output=str(tmp_path)))
