"""Touching polygons keep one common wall: no overlaps, no gaps, and the promises of regularization for each."""

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from shapely.affinity import rotate, translate

from building_segmenter.errors import CancelledError
from building_segmenter.footprints.regularize import REASONS, Settings, regularize_polygons
from building_segmenter.footprints.shared_walls import regularize_together
from building_segmenter.footprints.streaming import regularize_footprints
from building_segmenter.progress import Progress
from building_segmenter.tasks import RegularizeFootprints

TURN = 20.0


def turned(polygons, angle=TURN):
    return np.array([rotate(polygon, angle, origin=(0, 0)) for polygon in polygons], object)


def noisy(polygons, step=0.5, spread=0.1, seed=0):
    """Roughen a coverage: points every `step` metres, each moved, the same way in all polygons that have it."""
    # Gives corners that lie on a wall of a neighbour a point there.
    dense = shapely.segmentize(shapely.coverage_clean(polygons, snapping_distance=1e-6), step)
    coordinates = shapely.get_coordinates(dense)
    places, which = np.unique(coordinates.round(6), axis=0, return_inverse=True)
    moves = np.random.default_rng(seed).normal(0, spread, places.shape).clip(-2 * spread, 2 * spread)
    return shapely.set_coordinates(dense, coordinates + moves[which.ravel()])


def pairs(polygons, near=1e-9):
    a, b = shapely.STRtree(polygons).query(polygons, predicate="dwithin", distance=near)
    return a[a < b], b[a < b]


def hausdorff(one, other):
    dense = [shapely.segmentize(each.boundary, 0.05) for each in (one, other)]
    return max(
        shapely.distance(shapely.points(shapely.get_coordinates(dense[k])), (one, other)[1 - k].boundary).max()
        for k in (0, 1)
    )


def court_area(polygons):
    whole = shapely.get_parts(shapely.union_all(polygons))
    return sum(shapely.area(shapely.polygons(ring)) for part in whole for ring in part.interiors)


def assert_together(originals, tolerance=1.0, method="right-angles", status=None):
    """Regularize touching polygons, check what is promised of them together and of each; return the result."""
    originals = np.asarray(originals, object)
    found = regularize_together(originals, Settings(method, tolerance, threads=1))
    new = found.geometry
    assert len(new) == len(originals) and shapely.is_valid(new).all()
    assert set(found.reason[found.status == 1]) <= set(REASONS) and (found.reason[found.status == 0] == "").all()
    a, b = pairs(originals)
    assert shapely.area(shapely.intersection(new[a], new[b])).max(initial=0) == 0
    assert shapely.distance(new[a], new[b]).max(initial=0) == 0
    assert shapely.coverage_is_valid(new)
    for old, outline, regular, deviation in zip(originals, new, found.status == 0, found.max_dev_m, strict=True):
        assert len(outline.interiors) == len(old.interiors)
        assert hausdorff(old, outline) <= tolerance * (1 + 1e-9)
        if regular:
            assert hausdorff(old, outline) <= deviation + 1e-6 <= tolerance * (1 + 2e-3)
    if status is not None:
        assert found.status.tolist() == status
    return found


def corners(polygon):
    return len(shapely.get_coordinates(shapely.simplify(polygon, 1e-6))) - 1 - len(polygon.interiors)


def row(count, width=6.0, depth=10.0):
    return [shapely.box(k * width, 0, (k + 1) * width, depth) for k in range(count)]


def test_a_row_of_houses_becomes_rectangles_with_common_walls():
    originals = noisy(turned(row(8)))
    found = assert_together(originals, status=[0] * 8)
    assert [corners(house) for house in found.geometry] == [4] * 8
    assert found.vertices.tolist() == [4] * 8
    assert np.allclose(found.angle_deg, TURN, atol=0.5) and (found.method == "right-angles").all()
    true = shapely.area(shapely.intersection(found.geometry, turned(row(8)))) / 60
    assert true.min() > 0.95 and found.iou.min() > 0.9


def test_alone_the_same_houses_overlap_or_part():
    originals = noisy(turned(row(8)))
    alone = regularize_polygons(originals, Settings(threads=1)).geometry
    a, b = pairs(originals)
    assert (shapely.area(shapely.intersection(alone[a], alone[b])) > 0).any()


def test_a_long_row_with_steps_in_its_facade():
    houses = [shapely.box(6 * k, 2.5 * (k % 2), 6 * k + 6, 12) for k in range(20)]
    found = assert_together(noisy(turned(houses)), status=[0] * 20)
    assert [corners(house) for house in found.geometry] == [4] * 20


def test_four_houses_that_meet_in_a_point_keep_it():
    houses = [shapely.box(x, y, x + 8, y + 9) for x in (0, 8) for y in (0, 9)]
    found = assert_together(noisy(turned(houses)), status=[0] * 4)
    assert [corners(house) for house in found.geometry] == [4] * 4
    assert shapely.distance(found.geometry[0], found.geometry[3]) == 0
    assert shapely.distance(found.geometry[1], found.geometry[2]) == 0


def test_party_walls_on_both_sides_of_a_spine():
    front = [shapely.box(7 * k, 0, 7 * k + 7, 10) for k in range(5)]
    rear = [shapely.box(5 * k, 10, 5 * k + 5, 18) for k in range(7)]
    found = assert_together(noisy(turned(front + rear)), status=[0] * 12)
    assert [corners(house) for house in found.geometry] == [4] * 12


def test_a_court_between_houses_stays_open():
    block = [shapely.box(0, 0, 20, 6), shapely.box(0, 6, 6, 14), shapely.box(14, 6, 20, 14), shapely.box(0, 14, 20, 20)]
    originals = noisy(turned(block))
    found = assert_together(originals, status=[0] * 4)
    assert court_area(found.geometry) == pytest.approx(64, rel=0.1)


def test_a_house_in_the_court_of_another():
    whole = shapely.box(0, 0, 20, 20)
    inner = shapely.box(6, 7, 13, 14)
    found = assert_together(noisy(turned([whole - inner, inner])), status=[0, 0])
    assert corners(found.geometry[1]) == 4
    assert shapely.Polygon(found.geometry[0].interiors[0]).equals(found.geometry[1])


def test_two_houses_that_fill_a_court():
    inner = [shapely.box(6, 7, 10, 14), shapely.box(10, 7, 13, 14)]
    found = assert_together(noisy(turned([shapely.box(0, 0, 20, 20) - shapely.union_all(inner), *inner])))
    assert found.status.tolist() == [0, 0, 0]


def test_a_corner_on_a_wall_that_has_no_point_there():
    houses = turned([shapely.box(0, 0, 20, 8), shapely.box(4, 8, 11, 15)])
    found = assert_together(houses, status=[0, 0])
    assert [corners(house) for house in found.geometry] == [4, 4]


@pytest.mark.parametrize("apart", [0.006, -0.3])
def test_small_gaps_and_overlaps_are_closed(apart):
    houses = turned([shapely.box(0, 0, 8, 10), shapely.box(8 + apart, 0, 15, 10)])
    found = regularize_together(houses, Settings(threads=1))
    assert found.status.tolist() == [0, 0]
    assert shapely.area(shapely.intersection(*found.geometry)) == 0
    assert shapely.length(shapely.intersection(*found.geometry)) == pytest.approx(10, abs=0.5)
    assert found.max_dev_m.max() <= 1.0


def test_houses_that_touch_in_a_point_still_do():
    houses = turned([shapely.box(0, 0, 8, 10), shapely.box(8, 10, 15, 18)])
    assert_together(noisy(houses), status=[0, 0])


def test_houses_of_two_directions_that_touch_in_a_point():
    other = translate(rotate(shapely.box(0, 0, 9, 7), 40, origin=(0, 0)), 8, 10)
    assert_together(noisy([shapely.box(0, 0, 8, 10), other]), status=[0, 0])


def test_a_row_along_a_bent_street_follows_it():
    first, second = row(4), turned([translate(house, 24, 0) for house in row(3)], 0)
    bent = [rotate(house, -15, origin=(24, 0)) for house in second]
    wedge = shapely.Polygon([(24, 0), (24, 10), bent[0].exterior.coords[2]])
    houses = [*first[:3], first[3].union(wedge), *bent]
    found = assert_together(noisy(houses), status=[0] * 7)
    assert np.allclose(found.angle_deg[:3], 0, atol=1.5) and np.allclose(found.angle_deg[-3:], -15, atol=1.5)


def test_what_no_right_angles_fit_is_kept_and_its_neighbours_are_fitted_to_it():
    fan = shapely.Polygon([(12, 0), (30, -9), (33, 1), (26, 16), (12, 10), (12, 5)])
    found = assert_together([*row(2), fan], tolerance=0.3, status=[0, 0, 1])
    assert found.reason[2] in ("shared-walls", "not-rectilinear", "no-outline", "staircase")
    assert found.geometry[2].equals(fan) and np.isnan(found.iou[2]) and np.isnan(found.max_dev_m[2])


def test_polygons_without_neighbours_come_out_as_ever():
    lone = np.array([rotate(shapely.box(50 * k, 0, 50 * k + 9, 7), 5 * k, origin="center") for k in range(5)], object)
    mixed = np.concatenate([noisy(lone, seed=3), noisy(turned(row(3))), [None, shapely.Polygon(), shapely.Point(1, 2)]])
    found = regularize_together(mixed, Settings(threads=1))
    alone = regularize_polygons(mixed[:5], Settings(threads=1))
    assert all(a.equals_exact(b, 0) for a, b in zip(found.geometry[:5], alone.geometry, strict=True))
    assert found.status.tolist() == [0] * 8 + [1] * 3
    assert found.reason[8:].tolist() == ["empty", "empty", "not-polygon"]
    assert found.geometry[10] is mixed[10]


def test_parts_of_a_feature_share_walls_too_and_stay_one_feature():
    a, b, c = noisy(turned(row(3)))
    far = translate(shapely.box(0, 0, 8, 5), 100, 0)
    found = regularize_together([shapely.MultiPolygon([a, far]), b, c], Settings(threads=1))
    assert found.status.tolist() == [0, 0, 0]
    assert found.geometry[0].geom_type == "MultiPolygon" and len(found.geometry[0].geoms) == 2
    assert shapely.area(shapely.intersection(found.geometry[0], found.geometry[1])) == 0
    assert shapely.length(shapely.intersection(found.geometry[0], found.geometry[1])) > 9


def test_a_part_that_is_kept_keeps_its_feature_but_not_its_neighbours():
    a, b, c = noisy(turned(row(3)))
    star = shapely.Point(100, 0).buffer(8, quad_segs=16)
    originals = [shapely.MultiPolygon([a, star]), b, c]
    found = regularize_together(originals, Settings(tolerance=0.5, threads=1))
    assert found.status.tolist() == [1, 0, 0]
    assert found.geometry[0].symmetric_difference(originals[0]).area < 1e-6
    assert shapely.area(shapely.intersection(found.geometry[0], found.geometry[1])) == 0


def test_a_copy_of_a_polygon_is_no_neighbour():
    house = turned([shapely.box(0, 0, 8, 10)])[0]
    found = regularize_together([house, house], Settings(threads=1))
    assert found.status.tolist() == [0, 0]
    assert found.geometry[0].equals_exact(found.geometry[1], 1e-9)


@pytest.mark.parametrize("method", ["right-angles-and-diagonals", "any-angle", "auto"])
def test_other_methods_share_walls_too(method):
    houses = [shapely.box(0, 0, 8, 10), shapely.Polygon([(8, 0), (14, 0), (18, 4), (18, 10), (8, 10)])]
    found = assert_together(noisy(turned(houses)), tolerance=0.6, method=method, status=[0, 0])
    assert [corners(house) for house in found.geometry] == [4, 5]


def test_far_from_the_origin_the_result_is_the_same():
    originals = noisy(turned(row(4)))
    far = shapely.transform(originals, lambda c: c + np.array((5e6, 9e6)))
    here, there = (regularize_together(each, Settings(threads=1)) for each in (originals, far))
    assert there.status.tolist() == [0] * 4 and shapely.coverage_is_valid(there.geometry)
    moved = shapely.transform(here.geometry, lambda c: c + np.array((5e6, 9e6)))
    assert all(a.hausdorff_distance(b) < 1e-3 for a, b in zip(there.geometry, moved, strict=True))


def test_it_stops_when_asked():
    progress = Progress()
    progress.cancelled.set()
    with pytest.raises(CancelledError):
        regularize_together(turned(row(3)), Settings(threads=1), progress)


@pytest.mark.parametrize("crs", [4326, 3857])
def test_a_layer_keeps_shared_walls_in_its_own_crs(tmp_path, crs):
    metres = shapely.transform(noisy(turned(row(4))), lambda c: c + np.array((5e5, 5e6)))
    source, output = tmp_path / "houses.gpkg", tmp_path / "regular.gpkg"
    layer = geopandas.GeoDataFrame({"name": list("abcd")}, geometry=metres, crs=32632).to_crs(crs)
    layer.iloc[[2, 0, 3, 1]].to_file(source)
    options = RegularizeFootprints(input=str(source), output=str(output), method="right-angles", shared_walls=True)
    regularize_footprints(options, Progress())
    found = geopandas.read_file(output)
    assert found["name"].tolist() == list("cadb") and found["status"].tolist() == [0] * 4
    houses = found.sort_values("name").geometry.to_numpy()
    assert shapely.coverage_is_valid(houses)
    assert shapely.area(shapely.intersection(houses[:-1], houses[1:])).max() == 0
    assert shapely.distance(houses[:-1], houses[1:]).max() == 0


def subdivided(box, cuts):
    """Cut a rectangle into smaller ones by a list of shares, the largest one each time."""
    boxes = [box]
    for share in cuts:
        x0, y0, x1, y1 = boxes.pop(max(range(len(boxes)), key=lambda k: shapely.box(*boxes[k]).area))
        if x1 - x0 > y1 - y0:
            x = round(x0 + share * (x1 - x0), 2)
            boxes += [(x0, y0, x, y1), (x, y0, x1, y1)]
        else:
            y = round(y0 + share * (y1 - y0), 2)
            boxes += [(x0, y0, x1, y), (x0, y, x1, y1)]
    return [shapely.box(*each) for each in boxes]


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(
    cuts=st.lists(st.floats(0.3, 0.7), min_size=1, max_size=9),
    angle=st.floats(0, 90),
    spread=st.floats(0, 0.12),
    seed=st.integers(0, 1000),
    tolerance=st.floats(0.4, 2.0),
    dropped=st.integers(-1, 3),
)
def test_any_subdivision_of_a_rectangle_stays_one(cuts, angle, spread, seed, tolerance, dropped):
    houses = subdivided((0.0, 0.0, 40.0, 25.0), cuts)
    if 0 <= dropped < len(houses) - 1:
        houses.pop(dropped)
    originals = noisy(turned(houses, angle), spread=spread, seed=seed)
    assume(shapely.is_valid(originals).all())
    found = assert_together(originals, tolerance)
    before, after = shapely.union_all(originals), shapely.union_all(found.geometry)
    assert court_area(found.geometry) <= court_area(originals) + 2 * tolerance * before.length
    assert len(shapely.get_parts(after)) <= len(shapely.get_parts(before))
    assert after.area == pytest.approx(before.area, rel=0.25)
    holes = [sum(len(part.interiors) for part in shapely.get_parts(whole)) for whole in (before, after)]
    assert holes[1] <= holes[0]
