"""Average precision of drawn masks, by hand and against COCO's own program."""

import contextlib
import io

import numpy as np
import pytest

from building_segmenter.assessment.average_precision import ImageDetections, mask_ious, ranked


def image(scores, ious, unjudged=None):
    scores = np.array(scores, float)
    ious = np.array(ious, float)
    return ImageDetections(scores, ious, np.zeros(len(scores), bool) if unjudged is None else np.array(unjudged))


def test_overlaps_are_shares_of_pixels():
    masks = np.zeros((3, 4, 6), bool)
    masks[0, :2], masks[1, 1:3], masks[2, 3, 3:] = True, True, True
    numbers = np.zeros((4, 6), np.int32)
    numbers[:2], numbers[2], numbers[3] = 1, 2, -1
    ious = mask_ious(masks, numbers, 3)
    assert ious == pytest.approx(np.array([[1, 0, 0], [1 / 3, 1 / 2, 0], [0, 0, 0]]))
    assert mask_ious(masks[:0], numbers, 3).shape == (0, 3)
    assert (mask_ious(np.zeros((1, 4, 6), bool), numbers, 2) == 0).all()


def test_each_true_object_is_found_once_by_the_surest():
    ranking = ranked([image([0.4, 0.9, 0.6], [[0.9], [0.7], [0.8]])], 0.5)
    assert ranking.scores.tolist() == [0.9, 0.6, 0.4] and ranking.hits.tolist() == [True, False, False]
    assert ranking.average_precision == 1.0
    assert ranked([image([0.4, 0.9, 0.6], [[0.9], [0.7], [0.8]])], 0.75).hits.tolist() == [False, True, False]


def test_average_precision_of_a_short_row_by_hand():
    # Hit, miss, hit of four objects: precision 1 up to recall 1/4 and 2/3 up to 1/2; 26 and 25 of the 101 recalls.
    ranking = ranked([image([0.9, 0.8], [[1, 0], [0, 0]]), image([0.7], [[0.6, 0]])], 0.5)
    assert ranking.average_precision == pytest.approx((26 + 25 * 2 / 3) / 101)


def test_what_lies_where_nobody_knows_counts_only_if_it_is_true():
    plain = ranked([image([0.9, 0.8], [[0.0], [0.9]])], 0.5)
    unjudged = ranked([image([0.9, 0.8], [[0.0], [0.9]], unjudged=[True, True])], 0.5)
    assert plain.average_precision == pytest.approx(0.5) and unjudged.average_precision == 1.0
    assert unjudged.scores.tolist() == [0.8]


def test_nothing_to_find():
    assert ranked([], 0.5).average_precision == 1.0
    assert ranked([image([0.3], np.zeros((1, 0)))], 0.5).average_precision == 0.0
    assert ranked([image([], np.zeros((0, 2)))], 0.5).average_precision == 0.0


def test_figures_at_a_score():
    ranking = ranked([image([0.9, 0.8, 0.7], [[1, 0], [0, 0], [0, 1]])], 0.5)
    assert ranking.at(0.7) == {"precision": 2 / 3, "recall": 1.0, "f1": 0.8}
    assert ranking.at(0.71) == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert ranking.at(0.95) == {"precision": 1.0, "recall": 0.0, "f1": 0.0}


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_cocos_own_program_says(seed):
    rng = np.random.default_rng(seed)
    scenes = [drawn(rng) for _ in range(6)]
    found = [
        ImageDetections(scores, mask_ious(masks, numbers, numbers.max()), np.zeros(len(scores), bool))
        for numbers, masks, scores in scenes
    ]
    for min_iou in (0.5, 0.75):
        assert ranked(found, min_iou).average_precision == pytest.approx(of_coco(scenes, min_iou), abs=1e-9)


def drawn(rng):
    """True rectangles, and found ones that are moved, doubled, missing or of nothing, with scores that may be equal."""
    picture = np.zeros((60, 60), np.int32)
    for number in range(rng.integers(0, 7)):
        picture[rectangle(rng.integers(0, 40, 2), rng.integers(6, 18, 2))] = number + 1
    numbers = np.unique(picture, return_inverse=True)[1].reshape(picture.shape)  # those that others hide are gone
    true = [numbers == number for number in range(1, numbers.max() + 1)]
    found = [np.roll(mask, rng.integers(-3, 4, 2), (0, 1)) for mask in true for _ in range(rng.integers(0, 3))]
    found += [rectangle(rng.integers(0, 40, 2), rng.integers(6, 18, 2)) for _ in range(rng.integers(0, 3))]
    return numbers, np.stack(found) if found else np.zeros((0, 60, 60), bool), rng.integers(1, 12, len(found)) / 12


def rectangle(corner, size):
    mask = np.zeros((60, 60), bool)
    mask[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = True
    return mask


def of_coco(scenes, min_iou):
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    truths, found = [], []
    for number, (numbers, masks, scores) in enumerate(scenes, 1):
        truths += [annotation(numbers == one, number) | {"iscrowd": 0} for one in range(1, numbers.max() + 1)]
        found += [annotation(mask, number) | {"score": score} for mask, score in zip(masks, scores, strict=True)]
    for number, one in enumerate(truths, 1):
        one["id"] = number
    with contextlib.redirect_stdout(io.StringIO()):
        known = coco.COCO()
        known.dataset = {
            "images": [{"id": n, "height": 60, "width": 60} for n in range(1, 7)],
            "categories": [{"id": 1}],
            "annotations": truths,
        }
        known.createIndex()
        judge = evaluation.COCOeval(known, known.loadRes(found), "segm")
        judge.params.iouThrs = np.array([min_iou])
        judge.evaluate()
        judge.accumulate()
    return float(judge.eval["precision"][0, :, 0, 0, -1].mean())


def annotation(mask, image_id):
    from pycocotools.mask import area, encode

    runs = encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"image_id": image_id, "category_id": 1, "segmentation": runs, "area": float(area(runs))}
