"""Polygons and masks as lists of numbers, and back."""

import numpy as np
import pytest
import shapely
import shapely.affinity
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterio.features import rasterize

from building_segmenter.chips.formats import polygons, rle

SIZE = (64, 48)


def direct(polygon):
    return rasterize([polygon], (SIZE[1], SIZE[0]), dtype=np.int32)


@st.composite
def pierced(draw):
    """A polygon of one or two parts, each with up to three yards."""
    parts = []
    for left in (2, 34)[: draw(st.integers(1, 2))]:
        part = shapely.box(left, 3, left + draw(st.floats(14, 26)), 3 + draw(st.floats(14, 40)))
        for number in range(draw(st.integers(0, 3))):
            x, y = left + 2 + 4 * number, draw(st.floats(5, 12))
            part = part.difference(shapely.box(x, y, x + draw(st.floats(0.5, 3)), y + draw(st.floats(0.5, 4))))
        parts.append(part)
    whole = shapely.MultiPolygon(parts) if len(parts) > 1 else parts[0]
    return shapely.affinity.rotate(whole, draw(st.floats(0, 360)), origin=(SIZE[0] / 2, SIZE[1] / 2))


@settings(max_examples=25)
@given(pierced())
def test_one_ring_shows_holes_and_parts(polygon):
    ring = polygons.one_ring(polygon)
    np.testing.assert_array_equal(polygons.burn([[ring]], SIZE), direct(polygon))
    corners = {tuple(corner) for corner in shapely.get_coordinates(polygon).tolist()}
    assert {tuple(corner) for corner in ring.tolist()} == corners
    # Bridges go there and back, so they do not count.
    signed = shapely.Polygon(ring).area
    total = sum(shapely.Polygon(outer).area + sum(shapely.Polygon(hole).area for hole in holes)
                for outer, holes in polygons.parts_of(polygon))  # fmt: skip
    assert signed == pytest.approx(total)


@settings(max_examples=15)
@given(st.lists(pierced(), max_size=3))
def test_later_shapes_lie_over_earlier_ones(drawn):
    shapes = [[ring for outer, holes in polygons.parts_of(polygon) for ring in (outer, *holes)] for polygon in drawn]
    expected = np.zeros((SIZE[1], SIZE[0]), np.int32)
    for number, polygon in enumerate(drawn, 1):
        expected[direct(polygon) > 0] = number
    np.testing.assert_array_equal(polygons.burn(shapes, SIZE), expected)


@given(arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_run_lengths_there_and_back(mask):
    runs = rle.encoded(mask)
    assert sum(runs["counts"]) == mask.size
    assert all(count > 0 for count in runs["counts"][1:])
    np.testing.assert_array_equal(rle.decoded(runs), mask)


def test_run_lengths_that_do_not_add_up():
    with pytest.raises(ValueError, match="add up to 3 pixels, not 2 x 2"):
        rle.decoded({"size": [2, 2], "counts": [1, 2]})
