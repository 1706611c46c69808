"""Which footprint is which, on polygons with known overlaps."""

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from building_segmenter.assessment.matching import match_footprints
from building_segmenter.assessment.objects import object_accuracy
from building_segmenter.errors import MissingCrsError
from building_segmenter.geo.ground import local_frame


def boxes(*places):
    return np.array([shapely.box(*place) for place in places], object)


def pairs(matches):
    return sorted(zip(matches.predicted.tolist(), matches.reference.tolist(), strict=True))


def test_pairs_and_their_overlap():
    predicted = boxes((0, 0, 10, 10), (100, 0, 110, 10), (50, 0, 60, 10))
    reference = boxes((52, 0, 62, 10), (0, 0, 10, 8), (200, 0, 210, 10))
    matches = match_footprints(predicted, reference)
    assert pairs(matches) == [(0, 1), (2, 0)]
    assert matches.iou.tolist() == pytest.approx([0.8, 2 / 3])
    assert (matches.precision, matches.recall, matches.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))


def test_the_least_overlap_is_a_limit():
    predicted, reference = boxes((0, 0, 10, 10)), boxes((0, 0, 10, 5))
    assert len(match_footprints(predicted, reference, 0.5)) == 1
    assert len(match_footprints(predicted, reference, 0.501)) == 0


def test_two_houses_in_one_outline_are_at_most_one_match():
    houses = boxes((0, 0, 12, 10), (12, 0, 20, 10))
    assert pairs(match_footprints(boxes((0, 0, 20, 10)), houses)) == [(0, 0)]
    assert len(match_footprints(boxes((0, 0, 20, 10)), boxes((0, 0, 10, 10), (10, 0, 20, 10)))) == 1


def test_the_best_pairs_come_first_below_a_half():
    predicted = boxes((0, 0, 10, 10), (4, 0, 14, 10))
    reference = boxes((3, 0, 13, 10))
    matches = match_footprints(predicted, reference, 0.3)
    assert pairs(matches) == [(1, 0)]


@pytest.mark.parametrize(("found", "true"), [(0, 0), (0, 2), (2, 0)])
def test_nothing_found_or_nothing_there(found, true):
    matches = match_footprints(boxes(*[(0, 0, 1, 1)] * found), boxes(*[(5, 5, 6, 6)] * true))
    assert len(matches) == 0
    assert (matches.precision, matches.recall, matches.f1) == (0, 0, 0)


corners = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 8), st.integers(1, 8))


@given(st.lists(corners, max_size=8), st.lists(corners, max_size=8), st.sampled_from([0.1, 0.3, 0.5, 0.7]))
def test_each_at_most_once_and_no_pair_left(some, others, least):
    predicted = boxes(*((x, y, x + w, y + h) for x, y, w, h in some))
    reference = boxes(*((x, y, x + w, y + h) for x, y, w, h in others))
    matches = match_footprints(predicted, reference, least)
    assert len(set(matches.predicted.tolist())) == len(matches) == len(set(matches.reference.tolist()))
    for k, one in enumerate(predicted):
        for n, other in enumerate(reference):
            free = k not in matches.predicted and n not in matches.reference
            assert not free or one.intersection(other).area / one.union(other).area < least


def test_corners_of_holes_count():
    ring = shapely.box(0, 0, 10, 10).difference(shapely.box(2, 2, 4, 4))
    result = object_accuracy(layer([ring]), layer(boxes((0, 0, 10, 10))), shapely.box(-5, -5, 20, 20))
    assert (result.predicted_corners, result.reference_corners) == (8, 4)


def layer(polygons, crs="EPSG:32616"):
    return geopandas.GeoDataFrame(geometry=list(polygons), crs=crs)


def test_objects_in_ground_metres_of_web_mercator():
    place = local_frame("EPSG:4326", (85.5, 27.6, 85.5, 27.6))
    truth = boxes((0, 0, 10, 2.2), (30, 0, 40, 1.8), (60, 0, 80, 20))
    found = boxes((0, 0, 10, 2.4), (30, 0, 40, 1.8), (60, 0, 80, 20))
    tee = shapely.union_all([found[2], shapely.box(65, 20, 75, 25)])
    predicted = layer(place.geometry_to_layer(np.array([*found[:2], tee], object)), "EPSG:4326").to_crs(3857)
    reference = layer(place.geometry_to_layer(truth), "EPSG:4326")
    (view,) = layer(place.geometry_to_layer(boxes((-50, -50, 150, 150))), "EPSG:4326").to_crs(3857).geometry
    result = object_accuracy(predicted, reference, view)
    # In the layer's own units the second is larger than 20 m2; on the ground it is 18.
    assert predicted.geometry[1].area > 20
    assert (result.matches.predicted_count, result.matches.reference_count, len(result.matches)) == (2, 2, 2)
    assert (result.predicted_corners, result.reference_corners) == ((4 + 8) / 2, 4)


def test_what_the_edge_cuts_counts_as_far_as_it_is_inside_and_says_nothing_of_corners():
    truth = layer(boxes((-30, 0, 10, 10), (20, 0, 30, 10), (-100, 0, -90, 10)))
    found = layer([shapely.box(-5, 0, 10, 10), shapely.box(20, 0, 30, 10).buffer(0.1)])
    result = object_accuracy(found, truth, shapely.box(0, -50, 100, 50))
    assert len(result.matches) == 2
    assert result.matches.reference_count == 2
    assert result.reference_corners == 4
    assert result.predicted_corners > 4


def test_invalid_and_missing_geometries_do_no_harm():
    bow = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    found = layer([bow, None, shapely.Polygon(), shapely.box(20, 0, 30, 10)])
    result = object_accuracy(found, layer(boxes((20, 0, 30, 10))), shapely.box(-50, -50, 100, 50))
    assert (result.matches.predicted_count, len(result.matches)) == (2, 1)
    with pytest.raises(MissingCrsError):
        object_accuracy(found.set_crs(None, allow_override=True), layer([]), shapely.box(0, 0, 1, 1))
