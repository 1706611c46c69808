"""Unions that GEOS' plain ones get wrong."""

import numpy as np
import pytest
import shapely
import shapely.affinity
from hypothesis import given, settings
from hypothesis import strategies as st

from building_segmenter.geo.unions import union_of


def row_of_houses(widths, depths, angle, place):
    starts = np.cumsum([0, *widths])
    houses = [
        shapely.affinity.rotate(shapely.box(a, -depth / 2, b, depth / 2), angle, origin=(0, 0))
        for a, b, depth in zip(starts[:-1], starts[1:], depths, strict=False)
    ]
    return [shapely.affinity.translate(house, *place) for house in houses]


def test_no_house_of_a_row_is_lost():
    houses = row_of_houses([61, 28, 28], [45, 70, 45], 13.0, (0, 0))
    assert union_of(houses).area == pytest.approx(sum(house.area for house in houses), rel=1e-9)


@settings(deadline=None, max_examples=200)
@given(
    widths=st.lists(st.integers(3, 70), min_size=2, max_size=4),
    depths=st.lists(st.integers(3, 90), min_size=4, max_size=4),
    angle=st.floats(0, 90),
    place=st.sampled_from([(0, 0), (-300.3, 12.1), (456_789.125, 5_123_456.75)]),
)
def test_a_union_has_the_area_of_its_parts_in_any_direction_and_place(widths, depths, angle, place):
    houses = row_of_houses(widths, depths, angle, place)
    union = union_of(houses)
    assert shapely.is_valid(union)
    assert union.area == pytest.approx(sum(house.area for house in houses), rel=1e-5)


def test_of_nothing_or_a_point_sized_place():
    assert union_of([]).is_empty
    assert union_of([shapely.Polygon()]).is_empty
