"""Rings and their nesting on fields with exact truth, and on random ones against independent answers."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from building_segmenter.footprints.contours.nesting import nested
from building_segmenter.footprints.contours.rings import contour_rings, neighbours

VALUES = st.one_of(
    st.sampled_from([-0.5, 0.5, 0.0, float("nan")]),
    st.floats(-0.5, 0.5, width=32),
)
FIELDS = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=VALUES)
MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))


def in_pixels(rings):
    _, after = neighbours(rings)
    ahead = rings.points[after]
    cross = rings.points[:, 0] * ahead[:, 1] - rings.points[:, 1] * ahead[:, 0]
    length = np.hypot(*(ahead - rings.points).T)
    return (
        (
            np.array([abs(part.sum()) / 2 for part in np.split(cross, rings.starts[1:])]),
            np.array([part.sum() for part in np.split(length, rings.starts[1:])]),
        )
        if len(rings)
        else (np.zeros(0), np.zeros(0))
    )


def outlines(field, heights=None, min_area=0.0, min_hole_area=0.0):
    field = np.asarray(field, np.float32)
    cuts = np.cumsum(heights or [len(field)])
    bands = [band for band in np.split(field, cuts) if len(band)]
    batches = list(nested(contour_rings(bands, field.shape), in_pixels, min_area, min_hole_area))
    return (
        np.concatenate([batch.polygons for batch in batches]),
        np.concatenate([batch.area for batch in batches]),
        np.concatenate([batch.mean_excess for batch in batches]),
    )


def mask(*rows):
    return np.array([[0.5 if letter == "#" else -0.5 for letter in row] for row in rows])


def test_circle_from_a_soft_field_is_within_a_twentieth_of_a_pixel():
    y, x = np.mgrid[0:90, 0:100] + 0.5
    radius = 31.7
    distance = np.hypot(x - 48.3, y - 44.6)
    (polygon,), (area,), _ = outlines(1 / (1 + np.exp((distance - radius) / 2)) - 0.5)
    around = np.hypot(*(shapely.get_coordinates(polygon) - (48.3, 44.6)).T)
    assert np.abs(around - radius).max() < 0.05
    assert area == pytest.approx(np.pi * radius**2, rel=1e-3)
    assert polygon.area == pytest.approx(area, rel=1e-12)


def test_rectangle_mask_has_straight_sides_and_corners_cut_by_half_a_pixel():
    field = np.full((10, 12), -0.5)
    field[2:7, 3:9] = 0.5
    (polygon,), (area,), (excess,) = outlines(field)
    assert polygon.bounds == (3, 2, 9, 7)
    assert len(polygon.exterior.coords) - 1 == 8
    assert area == 5 * 6 - 4 * 0.125
    assert excess == 0.5


def test_hole_and_island_in_the_hole():
    field = np.full((20, 20), -0.5)
    for inset, value in ((1, 0.5), (4, -0.5), (7, 0.5), (9, -0.5)):
        field[inset : 20 - inset, inset : 20 - inset] = value
    polygons, area, _ = outlines(field)
    assert [polygon.bounds for polygon in polygons] == [(7, 7, 13, 13), (1, 1, 19, 19)]
    assert [len(polygon.interiors) for polygon in polygons] == [1, 1]
    assert polygons[1].interiors[0].bounds == (4, 4, 16, 16)
    assert area.tolist() == [36 - 4, 18**2 - 12**2]


def test_two_holes_and_the_shell_that_is_smallest_gets_them():
    polygons, _, _ = outlines(mask("#########", "#...#...#", "#.#.#...#", "#...#...#", "#########"))
    assert [len(polygon.interiors) for polygon in polygons] == [0, 2]


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize(
    ("corners", "joined"),
    [
        ([[0.5, -0.5], [-0.5, 0.5]], False),
        ([[0.4, -0.1], [-0.1, 0.4]], True),
        ([[0.1, -0.4], [-0.4, 0.1]], False),
        ([[0.4, np.nan], [-0.1, 0.4]], False),
    ],
)
def test_saddle_joins_where_the_bilinear_surface_does(corners, joined, turns):
    field = np.rot90(np.pad(corners, 2, constant_values=-0.5), turns)
    polygons, _, _ = outlines(field)
    assert len(polygons) == (1 if joined else 2)
    assert shapely.is_valid(polygons).all()


def test_full_raster_gives_exactly_its_rectangle():
    (polygon,), (area,), _ = outlines(np.full((3, 5), 0.2))
    assert polygon.equals(shapely.box(0, 0, 5, 3))
    assert len(polygon.exterior.coords) == 5
    assert area == 15


@pytest.mark.parametrize("turns", range(4))
def test_outline_runs_along_the_edge_that_it_meets(turns):
    field = np.full((8, 9), -0.5)
    field[0:4, 2:6] = 0.5
    (polygon,), (area,), _ = outlines(np.rot90(field, turns))
    # Two corners lie on the edge and are square, two are cut.
    assert area == 16 - 2 * 0.125
    edge = shapely.box(0, 0, *np.rot90(field, turns).shape[::-1]).exterior
    assert polygon.exterior.intersection(edge).length == 4


def test_nodata_is_left_out_at_the_edge_of_its_pixels():
    field = np.full((7, 7), 0.25)
    field[:, 4:] = np.nan
    (polygon,), (area,), (excess,) = outlines(field)
    assert polygon.bounds == (0, 0, 4, 7)
    assert (area, excess) == (28, 0.25)


def test_hole_of_nodata_is_a_hole():
    field = np.full((7, 7), 0.5)
    field[3, 3] = np.nan
    (polygon,), _, (excess,) = outlines(field)
    assert [ring.bounds for ring in polygon.interiors] == [(3, 3, 4, 4)]
    assert excess == 0.5


def test_nothing_inside_gives_nothing():
    assert len(outlines(np.full((4, 4), -0.5))[0]) == 0
    assert len(outlines(np.full((4, 4), np.nan))[0]) == 0


def test_small_holes_are_filled_and_count_in_the_mean():
    field = np.full((9, 9), 0.5)
    field[4, 4] = -0.5
    (polygon,), (area,), (excess,) = outlines(field, min_hole_area=1.0)
    assert (len(polygon.interiors), area) == (0, 81)
    assert excess == pytest.approx((80 * 0.5 - 0.5) / 81, abs=1e-6)
    (polygon,), (area,), (excess,) = outlines(field, min_hole_area=0.4)
    assert (len(polygon.interiors), area, excess) == (1, 80.5, 0.5)


def test_area_that_counts_is_that_without_holes():
    field = np.full((12, 12), -0.5)
    field[2:10, 2:10], field[3:9, 3:9] = 0.5, -0.5
    ring_area = 64 - 36
    assert len(outlines(field, min_area=ring_area)[0]) == 1
    assert len(outlines(field, min_area=ring_area + 0.1)[0]) == 0


def test_hole_of_a_shell_that_is_left_out_does_not_go_to_the_next_one():
    field = np.full((20, 20), 0.5)
    field[3:17, 3:17], field[5:15, 5:15], field[6:14, 6:14] = -0.5, 0.5, -0.5
    (polygon,), (area,), _ = outlines(field, min_area=50)
    assert [ring.bounds for ring in polygon.interiors] == [(3, 3, 17, 17)]
    assert area == polygon.area


def test_small_hole_with_a_polygon_in_it_stays():
    field = np.full((12, 12), 0.5)
    field[3:9, 3:9], field[5:7, 5:7] = -0.5, 0.5
    polygons, _, _ = outlines(field, min_area=1, min_hole_area=50)
    assert [len(polygon.interiors) for polygon in polygons] == [0, 1]
    polygons, _, _ = outlines(field, min_area=4, min_hole_area=50)
    assert [len(polygon.interiors) for polygon in polygons] == [0]


@settings(max_examples=150, deadline=None)
@given(FIELDS, st.data())
def test_bands_do_not_change_a_bit(field, data):
    heights = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=9))
    limit = data.draw(st.sampled_from([0.0, 0.3, 2.0]))
    for cuts in ([1] * len(field), heights):
        whole, cut = outlines(field, None, limit, limit), outlines(field, cuts, limit, limit)
        assert shapely.to_wkb(whole[0]).tolist() == shapely.to_wkb(cut[0]).tolist()
        assert whole[1].tolist() == cut[1].tolist()
        assert whole[2].tolist() == cut[2].tolist()


@settings(max_examples=150, deadline=None)
@given(FIELDS)
def test_polygons_are_valid_apart_and_hold_the_pixels_inside(field):
    polygons, area, excess = outlines(field)
    assert shapely.is_valid(polygons).all()
    y, x = np.mgrid[0 : field.shape[0], 0 : field.shape[1]] + 0.5
    holds = np.array([shapely.contains_xy(polygon, x, y) for polygon in polygons]).reshape(-1, *field.shape)
    np.testing.assert_array_equal(holds.sum(axis=0), (field >= 0).astype(int))
    np.testing.assert_allclose([field[held].mean() for held in holds], excess, atol=1e-6)
    union = shapely.union_all(polygons)
    assert union.area == pytest.approx(area.sum(), abs=1e-9)
    assert union.area == pytest.approx(shapely.area(polygons).sum(), abs=1e-9)


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_masks_give_a_shell_per_component_and_a_hole_per_gap(inside):
    polygons, _, _ = outlines(np.where(inside, 0.5, -0.5))
    _, components = ndimage.label(inside)
    _, gaps = ndimage.label(~np.pad(inside, 1), structure=np.ones((3, 3)))
    assert len(polygons) == components
    assert shapely.get_num_interior_rings(polygons).sum() == gaps - 1


@settings(max_examples=50, deadline=None)
@given(FIELDS)
def test_turned_and_mirrored_fields_give_turned_and_mirrored_polygons(field):
    area = np.sort(outlines(field)[1])
    for same in (np.rot90(field), field[::-1], field[:, ::-1], field.T):
        np.testing.assert_allclose(np.sort(outlines(same)[1]), area, atol=1e-9)
