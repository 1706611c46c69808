"""The dynamic programmes against each other, and the kernels around them against GEOS and exact figures."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.typed import List
from shapely.affinity import rotate

from building_segmenter.footprints.regularize import Settings, optimum, regularize_polygons, slanted, solve
from building_segmenter.footprints.regularize.circle import circle_ring, circle_sides, fitted_circles
from building_segmenter.footprints.regularize.outline import corner_places, densified
from building_segmenter.footprints.regularize.overlap import shared_areas
from building_segmenter.footprints.regularize.parts import ragged

ELL = np.array([(0, 0), (20, 0), (20, 8), (9, 8), (9, 15), (0, 15)], float)


def rough(ring, noise, seed):
    points = np.array(shapely.segmentize(shapely.LinearRing(ring), 0.4).coords)[:-1]
    return points + np.random.default_rng(seed).normal(0, noise, points.shape)


def as_ring(points):
    return np.ascontiguousarray(np.vstack([points.T, np.ones(len(points))]))


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.floats(0.0, 0.3), st.floats(-45, 45), st.sampled_from([0.5, 1.0, 2.0]))
def test_the_lap_for_all_walls_gives_the_same_right_angles_as_the_fast_one(seed, noise, degrees, tolerance):
    points, breaks, sums = solve.outline_of(*as_ring(rough(ELL, noise, seed)), tolerance, 1.5 * tolerance)
    limits = solve.limits_of(2.0, tolerance, 2 * sums[0, len(breaks)] * tolerance**2)
    ring = optimum.turned(points[0], points[1], breaks, sums, math.radians(degrees), True, True)
    fast = optimum.square_ring(ring, len(breaks), limits, 10**9)
    slow = slanted.any_ring(ring, len(breaks), limits, solve.prices_of(solve.SQUARE, limits[3], 1.5), 10**9)
    assert slow[0] == pytest.approx(fast[0], rel=1e-9)
    if math.isfinite(fast[0]):
        assert np.array_equal(fast[1], slow[1]) and np.array_equal(fast[2], slow[2])
        assert np.allclose(fast[3], slow[3]) and np.allclose(fast[4], slow[4])


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.floats(0.0, 0.2))
def test_more_kinds_of_walls_never_cost_more(seed, noise):
    outline = solve.outline_of(*as_ring(rough(ELL, noise, seed)), 1.0, 1.5)
    limits = solve.limits_of(2.0, 1.0, 2 * outline[2][0, len(outline[1])])
    outlines, all_limits = List([outline]), List([limits])
    costs = [
        solve.solved(outlines, all_limits, 0.1, walls, 1.5, 10**9)[0]
        for walls in (solve.SQUARE, solve.DIAGONAL, solve.ANY)
    ]
    assert costs[1] <= costs[0] and costs[2] <= costs[0]


def shapes(seed, count=40):
    random = np.random.default_rng(seed)
    for _ in range(count):
        angles = np.sort(random.uniform(0, 2 * math.pi, 12))
        ring = random.uniform(3, 10, 12)[:, None] * np.column_stack((np.cos(angles), np.sin(angles)))
        hole = 0.2 * ring[::-1] if random.random() < 0.5 else None
        polygon = shapely.Polygon(ring, [hole] if hole is not None else [])
        if polygon.is_valid:
            yield polygon


@pytest.mark.parametrize("place", [0.0, 3e6])
def test_shared_areas_are_those_of_the_intersection(place):
    a = np.array([shapely.transform(p, lambda xy: xy + place) for p in shapes(1)], object)
    b = np.array([shapely.transform(p, lambda xy: xy + place + 2) for p in shapes(2)], object)
    count = min(len(a), len(b))
    a, b = a[:count], b[:count]
    # Whichever way round rings are written.
    a[::2] = shapely.reverse(a[::2])
    expected = shapely.area(shapely.intersection(a, b))
    assert count > 20 and (expected > 1).all()
    assert np.allclose(shared_areas(*ragged(a), *ragged(b)), expected, rtol=1e-7)


def test_long_edges_get_points_near_their_ends_and_in_their_middle():
    ring = densified(as_ring(np.array([(0, 0), (40, 0), (40, 0.9), (0, 0.9)], float)), 1.0, True)
    bottom = ring[0][ring[1] == 0]
    assert bottom.tolist() == [0, 1, 3, 7, 15, 20, 25, 33, 37, 39, 40]
    assert np.array_equal(ring[:, 11:12], [[40], [0.9], [1]])


def test_places_for_corners_are_at_the_corners_and_not_far_apart():
    points = rough(ELL, 0.0, 0)
    places = corner_places(points[:, 0].copy(), points[:, 1].copy(), 1.5, 1.0)
    found = points[places]
    assert all(np.hypot(*(found - corner).T).min() == 0 for corner in ELL)
    assert np.hypot(*(np.roll(found, -1, axis=0) - found).T).max() < 1.6


def test_a_circle_is_found_from_part_of_its_points_and_its_polygon_has_its_area():
    random = np.random.default_rng(3)
    angles = np.sort(random.uniform(0, 2 * math.pi, 200))
    radii = 6 + random.normal(0, 0.1, 200)
    ring = np.column_stack((5e5 + radii * np.cos(angles), 3e6 + radii * np.sin(angles)))
    ring = np.vstack([ring, ring[:1]])
    (x, y, radius, deviation, square) = fitted_circles(ring, np.ones(201), np.array([0, 201]), 1.0)[0]
    assert (x, y, radius) == pytest.approx((5e5, 3e6, 6), abs=0.05)
    assert deviation == pytest.approx(np.abs(radii - 6).max(), abs=0.1) and square == pytest.approx(0.01, rel=0.3)
    polygon, departure = circle_ring(x, y, radius, circle_sides(radius, 0.5))
    assert shapely.Polygon(polygon).area == pytest.approx(math.pi * radius**2, rel=1e-9)
    assert departure < 0.5 / 20


def test_circles_by_area_ratio_say_their_ratio_and_keep_it():
    tower = shapely.Point(0, 0).buffer(10, quad_segs=3)
    square = shapely.box(30, 0, 50, 20)
    asked = Settings("circle", 0.1, tolerance_type="area-ratio", threads=1)
    found = regularize_polygons([tower, square], asked)
    assert list(found.reason) == ["", "not-round"]
    new = found.geometry[0]
    expected = shapely.area(shapely.symmetric_difference(tower, new)) / new.area
    assert found.area_ratio[0] == pytest.approx(expected, rel=1e-6) and expected <= 0.1
    # Of a square a fifth of the circle's area lies on the other side.
    wider = regularize_polygons([square], Settings("circle", 0.2, tolerance_type="area-ratio", threads=1))
    assert wider.status[0] == 0 and 0.15 < wider.area_ratio[0] < 0.2


@pytest.mark.parametrize(("low", "high", "reason"), [(0.1, 5.0, "radius"), (7.0, 100.0, "radius"), (5.0, 7.0, "")])
def test_radii_have_limits(low, high, reason):
    asked = Settings("circle", 1.0, min_radius=low, max_radius=high, threads=1)
    assert regularize_polygons([shapely.Point(0, 0).buffer(6)], asked).reason[0] == reason


def test_auto_takes_the_simplest_method_that_serves():
    house = shapely.box(0, 0, 14, 9)
    cut = shapely.Polygon([(0, 0), (17, 0), (21, 4), (21, 13), (0, 13)])
    wedge = shapely.Polygon([(0, 0), (22, 0), (15, 13), (0, 13)])
    tower = shapely.Point(0, 0).buffer(7)
    outlines = [
        shapely.Polygon(rough(np.array(rotate(shape, 23).exterior.coords)[:-1], 0.08, k))
        for k, shape in enumerate((house, cut, wedge, tower))
    ]
    found = regularize_polygons(outlines, Settings("auto", 0.8, threads=1))
    assert list(found.method) == ["right-angles", "right-angles-and-diagonals", "any-angle", "circle"]
    assert list(found.vertices[:3]) == [4, 5, 4]
    assert np.allclose(found.angle_deg[:3], 23, atol=1.5) and math.isnan(found.angle_deg[3])


def test_a_higher_penalty_gives_fewer_diagonals():
    cut = shapely.Polygon(rough(np.array([(0, 0), (17, 0), (20, 3), (20, 12), (0, 12)], float), 0.05, 1))
    free, dear = (
        regularize_polygons([cut], Settings("right-angles-and-diagonals", 1.0, diagonal_penalty=penalty, threads=1))
        for penalty in (0.0, 10.0)
    )
    assert free.vertices[0] == 5
    assert dear.vertices[0] % 2 == 0
