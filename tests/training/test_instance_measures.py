"""Average precision, score and figures of each chip, of objects that are found by hand."""

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from building_segmenter.training.instances.measures import evaluate
from building_segmenter.training.instances.samples import UNKNOWN, ObjectChip


def chip(*boxes, class_ids=None, unknown=0):
    numbers = np.zeros((40, 40), np.int32)
    for number, (y1, x1, y2, x2) in enumerate(boxes, 1):
        numbers[y1:y2, x1:x2] = number
    numbers[:, 40 - unknown :] = UNKNOWN
    ids = np.ones(len(boxes), np.int32) if class_ids is None else np.array(class_ids, np.int32)
    # The image says which chip it is.
    return ObjectChip(np.full((40, 40, 1), len(boxes), np.uint8), numbers, ids)


def found(*objects):
    """Objects as (y1, x1, y2, x2, score, class)."""
    masks = np.zeros((40, 40, len(objects)), bool)
    for number, (y1, x1, y2, x2, _, _) in enumerate(objects):
        masks[y1:y2, x1:x2, number] = True
    scores, class_ids = np.array([one[4] for one in objects]), np.array([one[5] for one in objects], np.int32)
    return {"masks": masks, "scores": scores, "class_ids": class_ids}


A, B = (2, 2, 12, 12), (20, 2, 30, 12)


def test_all_found_and_one_too_much():
    result = evaluate([chip(A, B)], lambda _: found((*A, 0.9, 1), (*B, 0.8, 1), (2, 20, 12, 30, 0.3, 1)), ("house",))
    assert result.metrics == {
        "ap50": 1.0,
        "ap75": 1.0,
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "threshold": 0.5,
    }
    assert result.chips == [1.0]
    at = {round(row["threshold"], 2): row for row in result.curve}
    assert at[0.2]["precision"] == pytest.approx(2 / 3) and at[0.85]["recall"] == 0.5


def test_a_chip_without_objects_has_no_figure_and_what_is_found_on_it_is_false():
    answers = {0: found((*A, 0.95, 1)), 1: found((*A, 0.9, 1))}
    result = evaluate([chip(), chip(A)], lambda image: answers[int(image[0, 0, 0])], ("house",))
    assert result.chips[0] is None and result.chips[1] == 1.0 and result.metrics["ap50"] == 0.5


def test_an_object_of_another_class_is_not_found():
    result = evaluate([chip(A, B, class_ids=[1, 2])], lambda _: found((*A, 0.9, 1), (*B, 0.8, 1)), ("house", "shed"))
    assert result.metrics["ap50: house"] == 1.0 and result.metrics["ap50: shed"] == 0.0
    assert result.metrics["ap50"] == 0.5 and result.metrics["recall"] == 0.5


def test_what_lies_where_nobody_knows_is_not_held_against_it():
    seen = found((*A, 0.6, 1), (2, 25, 12, 39, 0.9, 1))
    assert evaluate([chip(A, unknown=15)], lambda _: seen, ("house",)).metrics["ap50"] == 1.0
    assert evaluate([chip(A)], lambda _: seen, ("house",)).metrics["ap50"] == 0.5


def test_nothing_found_and_nothing_there():
    assert evaluate([chip(A)], lambda _: found(), ("house",)).metrics["ap50"] == 0.0
    assert evaluate([chip()], lambda _: found(), ("house",)).metrics["ap50"] == 1.0
