"""Instances of overlapping tiles become buildings: each whole, each once, neighbours apart."""

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from instance_scenes import (
    SCENES,
    SIDE,
    Mistakes,
    box_and_mask,
    by_rows,
    compared,
    courtyard,
    horseshoe,
    house,
    merged_outlines,
    noisy,
    perfect,
    row_of_houses,
    tiles,
)
from shapely.affinity import rotate, translate

from building_segmenter.footprints.instances import Merger, Tile, merged, placed

GRID = tiles()
SLOW = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def found_by(detect, grid=GRID):
    polygons, instances = merged_outlines(by_rows(detect, grid))
    return polygons, instances


def assert_each_once(truth, polygons, least):
    table = compared(truth, polygons)
    assert len(polygons) == len(truth)
    if truth:
        assert table.max(axis=1).min() >= least
        assert sorted(table.argmax(axis=1)) == list(range(len(truth)))


@SLOW
@given(SCENES, st.booleans())
def test_perfect_masks_give_each_building_once(truth, pieces):
    polygons, _ = found_by(lambda tile: perfect(truth, tile, pieces=pieces))
    assert_each_once(truth, polygons, 0.97)
    assert shapely.is_valid(polygons).all()


@SLOW
@given(SCENES)
def test_small_masks_give_each_building_once(truth):
    polygons, _ = found_by(lambda tile: perfect(truth, tile, 28))
    assert_each_once(truth, polygons, 0.95)


def at(shapes, x, y, turn=0):
    return [translate(rotate(one, turn, origin=(0, 0)), x, y) for one in shapes]


@pytest.mark.parametrize("cells", [None, 28])
@pytest.mark.parametrize(
    ("truth", "views"),
    [
        (at(house(30, 30), 60, 60), 1),
        (at(house(30, 30), 112, 60), 2),
        (at(house(30, 30), 96, 96, 30), 1),
        (at(house(60, 40), 112, 60, 20), 2),
        (at(house(60, 60), 112, 112, 45), 4),
        (at(house(440, 40), 240, 60), 5),
        (at(house(440, 60), 240, 240, 40), None),
        (at(courtyard(250, 250, 30), 240, 240), None),
    ],
    ids=[
        "no line",
        "whole in two",
        "whole in one, cut in three",
        "1 line",
        "2 lines",
        "4 lines",
        "across",
        "courtyard",
    ],
)
def test_cut_buildings_come_out_whole_and_once(truth, views, cells):
    polygons, (instance,) = found_by(lambda tile: perfect(truth, tile, cells))
    assert_each_once(truth, polygons, 0.97)
    assert [len(one.interiors) for one in polygons] == [len(one.interiors) for one in truth]
    assert instance.score == pytest.approx(0.9)
    assert views is None or instance.views == views


@pytest.mark.parametrize("turn", [0, 90, 45, 10])
def test_rows_of_touching_houses_stay_apart(turn):
    truth = [one for one in at(row_of_houses(14, 24, 36), 240 - 168, 240) for one in [rotate(one, turn, (240, 240))]]
    polygons, _ = found_by(lambda tile: perfect(truth, tile))
    assert_each_once(truth, polygons, 0.97)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_wings_that_meet_behind_a_seam_are_one_building(turn):
    truth = at(horseshoe(90, 170, 20), 200, 200, turn)
    polygons, _ = found_by(lambda tile: perfect(truth, tile, pieces=True))
    assert_each_once(truth, polygons, 0.97)


def test_seam_between_halls_that_touch():
    truth = [*at(house(400, 40), 240, 100), *at(house(400, 40), 240, 140)]
    polygons, _ = found_by(lambda tile: perfect(truth, tile))
    assert_each_once(truth, polygons, 0.97)


@SLOW
@given(SCENES, st.randoms(use_true_random=False))
def test_the_order_of_tiles_does_not_matter(truth, random):
    mistakes = Mistakes(jitter=2.0, missing=0.1, short=5.0)
    numbers = np.random.default_rng(len(truth))
    rows = by_rows(lambda tile: noisy(truth, tile, numbers, mistakes), GRID)
    flat = [one for _, instances in rows for one in instances]
    random.shuffle(flat)
    together = Merger()
    together.add(flat)
    at_once = together.settled()
    for _, instances in rows:
        random.shuffle(instances)
    row_by_row = sorted((one for batch in merged(rows) for one in batch), key=lambda one: one.order)
    assert len(at_once) == len(row_by_row)
    for one, other in zip(at_once, row_by_row, strict=True):
        assert (one.score, one.views, one.is_whole, one.patch.extent) == (
            other.score,
            other.views,
            other.is_whole,
            other.patch.extent,
        )
        np.testing.assert_array_equal(one.patch.values, other.patch.values)


def test_settled_instances_are_given_before_the_last_row():
    truth = at(house(30, 30), 60, 40) + at(house(30, 30), 60, 430)
    batches = list(merged(by_rows(lambda tile: perfect(truth, tile), GRID)))
    assert [len(batch) for batch in batches] == [0, 1, 0, 0, 0, 1]


def random_scene(seed):
    """Return a town: rows of touching houses, single ones and halls."""
    random = np.random.default_rng(seed)
    buildings = []
    for _ in range(40):
        kind = random.integers(3)
        shapes = (
            row_of_houses(int(random.integers(3, 9)), int(random.integers(16, 30)), int(random.integers(20, 36)))
            if kind == 0
            else house(*random.integers(20, 60, 2))
            if kind == 1
            else house(random.integers(150, 400), random.integers(24, 50))
        )
        group = at(shapes, *random.integers(30, SIDE - 30, 2), random.choice([0, 90, random.integers(180)]))
        whole = shapely.union_all(group)
        if shapely.box(4, 4, SIDE - 4, SIDE - 4).contains(whole) and (
            not buildings or whole.distance(shapely.union_all(buildings)) > 4
        ):
            buildings += group
    return buildings


def rates(mistakes, seeds, cells=None):
    """Return shares of buildings: found once and well (IoU 0.5), found, and results that match none, over truth."""
    once = found = false = total = 0
    for seed in seeds:
        truth, random = random_scene(seed), np.random.default_rng(seed + 1)
        polygons, _ = found_by(lambda tile, truth=truth, random=random: noisy(truth, tile, random, mistakes, cells))
        table = compared(truth, polygons)
        overlap = np.array([shapely.area(shapely.intersection(one, polygons)) for one in truth])
        best = table.max(axis=1)
        # What lies mostly in one building, or covers most of one.
        on_it = overlap / np.minimum(shapely.area(np.array(truth))[:, None], shapely.area(polygons)) > 0.5
        once += int(((best >= 0.5) & (on_it.sum(axis=1) == 1)).sum())
        found += int((best >= 0.5).sum())
        false += int((table.max(axis=0) < 0.5).sum())
        total += len(truth)
    return once / total, found / total, false / total


@pytest.mark.parametrize("cells", [None, 28])
@pytest.mark.parametrize(
    ("mistakes", "least", "most"),
    [
        (Mistakes(jitter=1.0), 0.99, 0.01),
        (Mistakes(jitter=2.0, short=6.0), 0.98, 0.02),
        (Mistakes(jitter=2.0, short=6.0, missing=0.1), 0.9, 0.1),
    ],
    ids=["borders", "and short of seams", "and a tenth missed"],
)
def test_mistakes_of_the_detector_do_little_harm(mistakes, least, most, cells):
    once, found, false = rates(mistakes, range(3), cells)
    assert once >= least
    assert found >= least
    assert false <= most


def test_classes_are_kept_apart():
    tile = GRID[0][0]
    (part,) = at(house(30, 30), 60, 60)
    box, mask = box_and_mask(part, tile, None)
    merger = Merger()
    merger.add(placed([box, box], [mask, mask], [0.9, 0.8], [1, 2], tile))
    assert [(one.label, one.score) for one in merger.settled()] == [(1, 0.9), (2, 0.8)]


def instance(polygon, tile, score):
    box, mask = box_and_mask(shapely.intersection(polygon, shapely.box(*tile.box)), tile, None)
    return placed([box], [mask], [score], [1], tile)


def scores_of(*instances):
    merger = Merger()
    for some in instances:
        merger.add(some)
    return sorted(one.score for one in merger.settled())


LEFT, RIGHT = Tile.of((0, 0, 128, 128), (0, 0, 224, 128)), Tile.of((96, 0, 128, 128), (0, 0, 224, 128))


def test_a_piece_is_dropped_where_the_neighbour_shows_the_whole():
    building = shapely.box(110, 30, 160, 80)
    assert scores_of(instance(building, LEFT, 0.99), instance(building, RIGHT, 0.6)) == [0.6]


def test_the_score_of_joined_pieces_is_weighted_by_their_pixels():
    hall = shapely.box(28, 30, 176, 70)
    assert scores_of(instance(hall, LEFT, 0.9), instance(hall, RIGHT, 0.5)) == [
        pytest.approx((100 * 0.9 + 80 * 0.5) / 180)
    ]


def test_a_part_inside_of_a_building_is_no_building():
    building, roof = shapely.box(20, 20, 80, 80), shapely.box(25, 25, 50, 50)
    assert scores_of(instance(building, LEFT, 0.8), instance(roof, LEFT, 0.95)) == [0.8]


def test_what_covers_two_surer_houses_is_none():
    one, other = shapely.box(20, 20, 50, 50), shapely.box(50, 20, 80, 50)
    both = shapely.box(20, 20, 80, 50)
    found = scores_of(instance(one, LEFT, 0.95), instance(other, LEFT, 0.9), instance(both, LEFT, 0.7))
    assert found == [0.9, 0.95]


def test_a_rim_over_the_seam_does_not_chain_two_houses():
    first, second = shapely.box(60, 30, 101, 80), shapely.box(96, 30, 150, 80)
    # The left tile misses the second house, and marks the first five pixels too far.
    assert scores_of(instance(first, LEFT, 0.9), instance(second, RIGHT, 0.8)) == [0.8, 0.9]


def test_a_part_inside_of_joined_pieces_is_no_building():
    hall, roof = shapely.box(28, 30, 176, 70), shapely.box(40, 40, 60, 60)
    found = scores_of(instance(hall, LEFT, 0.7), instance(hall, RIGHT, 0.7), instance(roof, LEFT, 0.95))
    assert found == [pytest.approx(0.7)]


def test_two_houses_that_one_tile_takes_for_one_are_told_by_the_surer_tile():
    one, other, both = shapely.box(104, 30, 112, 80), shapely.box(112, 30, 119, 80), shapely.box(104, 30, 119, 80)
    # All lie well within the ground that both tiles see.
    wide = Tile.of((0, 0, 128, 128), (0, 0, 160, 128)), Tile.of((32, 0, 128, 128), (0, 0, 160, 128))
    houses = instance(one, wide[0], 0.9), instance(other, wide[0], 0.8)
    assert scores_of(*houses, instance(both, wide[1], 0.7)) == [0.8, 0.9]
    assert scores_of(*houses, instance(both, wide[1], 0.95)) == [0.95]
