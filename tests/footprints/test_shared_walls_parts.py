"""The steps of regularizing touching polygons, each by itself."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from building_segmenter.footprints.shared_walls.blocks import blocks_of
from building_segmenter.footprints.shared_walls.chains import layout_of
from building_segmenter.footprints.shared_walls.course import Course
from building_segmenter.footprints.shared_walls.nearness import boundary_distance
from building_segmenter.footprints.shared_walls.neighbours import coverages, without_short_contacts
from building_segmenter.footprints.shared_walls.straight import breaks_along, straightened, with_points
from building_segmenter.footprints.shared_walls.topology import OUTSIDE, topology_of

NOWHERE = np.empty((0, 4))


def coverage(*polygons):
    return shapely.coverage_clean(np.array(polygons, object), snapping_distance=1e-9)


def test_every_line_is_one_arc_with_a_face_on_each_side():
    topology = topology_of(coverage(shapely.box(0, 0, 5, 5), shapely.box(5, 0, 9, 5), shapely.box(0, 5, 9, 8)))
    assert len(topology.arcs) == 6 and len(topology.nodes) == 4
    inner = {frozenset((arc.left, arc.right)) for arc in topology.arcs if OUTSIDE not in (arc.left, arc.right)}
    assert inner == {frozenset((0, 1)), frozenset((0, 2)), frozenset((1, 2))}
    for number, rings in enumerate(topology.faces):
        points = np.concatenate([topology.points(piece)[:-1] for piece in rings[0]])
        assert all(topology.left(piece) == number for piece in rings[0])
        assert shapely.LinearRing(points).is_ccw


def test_overlapping_polygons_have_no_topology():
    assert topology_of(np.array([shapely.box(0, 0, 5, 5), shapely.box(0, 0, 5, 5)], object)) is None


def test_a_court_that_touches_the_outside_in_a_point_is_a_ring_of_its_own():
    ring = shapely.Polygon([(0, 0), (10, 0), (10, 10), (0, 10)], [[(0, 5), (5, 7), (5, 3)]])
    halves = coverage(ring & shapely.box(0, 0, 10, 5), ring & shapely.box(0, 5, 10, 10))
    rings = topology_of(halves).boundary({0, 1})
    assert len(rings) == 2


def test_lines_go_straight_on_at_nodes():
    houses = coverage(*(shapely.box(x, y, x + 5, y + 5) for x in (0, 5, 10) for y in (0, 5)))
    layout = layout_of(topology_of(houses), [frozenset(range(6))], frozenset(), 2.0)
    rim, *lines = layout.chains
    assert rim.closed and rim.rim and rim.length == pytest.approx(50)
    assert sum(line.length for line in lines) == pytest.approx(35) and len(lines) <= 5
    assert all(np.hypot(*(line.points[-1] - line.points[0])) == pytest.approx(line.length) for line in lines)
    assert all(layout.host(k, last) is not None for k in range(1, len(lines) + 1) for last in (False, True))


def test_what_stays_as_it_is_comes_first_and_blocks_end_on_it():
    topology = topology_of(coverage(*(shapely.box(x, 0, x + 5, 8) for x in (0, 5, 10))))
    layout = layout_of(topology, [frozenset([0]), frozenset([2])], frozenset([1]), 2.0)
    assert [chain.block for chain in layout.chains].count(-1) >= 1
    assert not any(chain.closed for chain in layout.chains if chain.block >= 0)
    assert set(layout.place) == set(range(len(topology.arcs)))


def test_blocks_follow_the_directions_of_their_members():
    topology = topology_of(coverage(*(shapely.box(x, 0, x + 5, 8) for x in (0, 5, 10, 15))))
    directions, sizes = np.array([1.0, 2.0, -20.0, -19.0]), np.full(4, 5.0)
    found = blocks_of(topology, range(4), directions, sizes, 1.0, 6.0)
    assert {faces for faces, _ in found} == {frozenset((0, 1)), frozenset((2, 3))}
    assert len(blocks_of(topology, range(4), directions, sizes, 1.0, 45.0)) == 1


def test_directions_are_the_same_modulo_a_right_angle():
    topology = topology_of(coverage(shapely.box(0, 0, 5, 8), shapely.box(5, 0, 10, 8)))
    ((faces, angle),) = blocks_of(topology, range(2), np.array([44.0, -44.0]), np.full(2, 5.0), 1.0, 6.0)
    assert faces == {0, 1} and abs(angle) == pytest.approx(45)


def line_through(corners, spread=0.1, step=0.25, seed=1):
    x, y = with_points(*np.array(corners, float).T, step)
    return x, y + np.random.default_rng(seed).uniform(-spread, spread, len(y))


def solved(x, y, starts=NOWHERE, ends=NOWHERE, reach=0.5):
    angles = np.array([0.0, math.pi / 2])
    return straightened(x, y, breaks_along(x, y, 0.25), angles, np.ones(2), math.pi / 2, reach, starts, ends)


def test_an_open_line_gets_the_fewest_corners():
    x, y = line_through([(0, 0), (10, 0), (10, 6), (18, 6)])
    cost, ways, offsets, room, begins = solved(x, y)
    assert np.isfinite(cost) and ways.tolist() == [0, 1, 0]
    assert np.allclose(offsets, [0, -10, 6], atol=0.1)
    assert (room <= 0.5).all() and begins[0] == 0


def test_an_open_line_meets_the_walls_at_its_ends():
    x, y = line_through([(0.2, 0), (9.8, 0)])
    beside = [np.array([[at, -3.0, at, 3.0]]) for at in (0.0, 10.0)]
    assert solved(x, y, *beside)[1].tolist() == [0]
    assert solved(x, y, np.array([[-4.0, -3.0, -4.0, 3.0]]), beside[1])[0] == np.inf


def test_a_line_farther_off_than_the_tolerance_has_no_solution():
    x, y = line_through([(0, 0), (8, 4)])
    assert solved(x, y, reach=0.05)[0] == np.inf


def test_shifting_a_wall_moves_its_corners_along_the_neighbours():
    square = Course(np.array([(0.0, 0), (4, 0), (4, 4), (0, 4)]), True, np.ones(4))
    assert square.shift(1, np.array((5.0, 2.0)))
    assert square.vertices.tolist() == [[0, 0], [5, 0], [5, 4], [0, 4]]
    assert not square.shift(1, np.array((-1.0, 2.0)))
    assert square.vertices.tolist() == [[0, 0], [5, 0], [5, 4], [0, 4]]


def test_lines_meet_a_course_once_in_a_place():
    course = Course(np.array([(0.0, 0), (4, 0), (4, 4)]), False, np.ones(2))
    first, again = (course.meet(0, np.array((2.0 + off, 0.0))) for off in (0.0, 1e-8))
    corner = course.meet(0, np.array((4.0, 1e-8)))
    assert first is again and corner.tolist() == [4, 0]
    points, numbers = course.whole()
    assert points.tolist() == [[0, 0], [2, 0], [4, 0], [4, 4]]
    assert numbers == {(0, 2.0, 0.0): 1, (0, 4.0, 0.0): 2}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_distance_of_boundaries_is_a_sharp_upper_bound(seed):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * math.pi, (2, 12)), axis=1)
    one, other = (shapely.Polygon(np.column_stack((np.cos(a), np.sin(a))) * rng.uniform(3, 5, (12, 1))) for a in angles)
    dense = [shapely.points(shapely.get_coordinates(shapely.segmentize(each, 0.01))) for each in (one, other)]
    true = max(shapely.distance(dense[0], other.boundary).max(), shapely.distance(dense[1], one.boundary).max())
    assert true - 1e-9 <= boundary_distance(one, other, 20.0) <= true + 0.02 + 0.01
    assert boundary_distance(one, other, true * 0.9) == np.inf


def test_short_contacts_become_points():
    houses = coverage(shapely.box(0, 0, 5, 5), shapely.box(4.9, 5, 9, 9))
    (point,) = (shapely.intersection(*without_short_contacts(houses, 0.25)),)
    assert point.geom_type == "Point"
    assert shapely.intersection(*without_short_contacts(houses, 0.05)).length == pytest.approx(0.1)


def test_groups_leave_out_what_has_no_neighbour():
    houses = [shapely.box(0, 0, 5, 5), shapely.box(20, 0, 25, 5), shapely.box(5, 1, 9, 4), shapely.box(24.8, 2, 28, 4)]
    found = coverages(np.array(houses, object), 1.0)
    assert [group.members.tolist() for group in found] == [[0, 2], [1, 3]]
    assert all(shapely.coverage_is_valid(group.polygons) for group in found)
    assert shapely.area(shapely.intersection(*found[1].polygons)) == 0
