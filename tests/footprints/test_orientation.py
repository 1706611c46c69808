"""Directions offered to footprints: lines, neighbours, the user's; and what of them reaches the result."""

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from shapely.affinity import rotate, translate

from building_segmenter import tasks
from building_segmenter.errors import InputUnreadableError, InvalidParameterError, MissingCrsError
from building_segmenter.footprints.alignment import Alignment
from building_segmenter.footprints.neighbours import Directed, consensus, own_directions
from building_segmenter.footprints.orientation import Orientation
from building_segmenter.footprints.streaming import regularize_footprints
from building_segmenter.geo.ground import scaled_frame
from building_segmenter.geo.strips import OneFrame
from building_segmenter.progress import Progress

UTM = "EPSG:32616"
EAST, NORTH = 741_000.0, 3_731_000.0
PLANE = OneFrame(scaled_frame(1.0))


def folded(angle):
    return (np.asarray(angle) + 45) % 90 - 45


def house(x, y, angle, width=12.0, depth=8.0):
    return rotate(shapely.box(x, y, x + width, y + depth), angle)


def rough_house(x, y, angle, noise, seed):
    """A house of 12 x 8 m with a point every metre, each off by some normal noise."""
    ring = shapely.segmentize(shapely.box(0, 0, 12, 8), 1.0).exterior.coords[:-1]
    moved = np.array(ring) + np.random.default_rng(seed).normal(0, noise, (len(ring), 2))
    return translate(rotate(shapely.Polygon(moved), angle, origin=(6, 4)), x, y)


def aligned(lines, outlines, tolerance=10.0):
    outlines = np.array(outlines, object)
    alignment = Alignment(geopandas.GeoSeries(lines), PLANE, tolerance)
    places, angles = alignment.directions(outlines, PLANE.strips(shapely.bounds(outlines)))
    return [sorted(folded(angles[places == k]).round(6)) for k in range(len(outlines))]


def test_the_nearest_line_within_the_tolerance_is_followed():
    road, far = shapely.LineString([(-100, -5), (100, 15)]), shapely.LineString([(-100, 40), (100, 90)])
    angle = round(np.degrees(np.arctan2(20, 200)), 6)
    assert aligned([far, road], [house(0, 8, 0), house(0, 200, 0)]) == [[angle], []]
    assert aligned([far, road], [house(0, 8, 0)], tolerance=1.0) == [[]]


def test_at_a_bend_both_segments_are_offered():
    bent = shapely.LineString([(-50, 0), (0, 0), (30, 20)])
    corner = house(-14, 3, 0)
    apex = shapely.LineString([(-20, 10), (0, 0), (20, 10)])
    assert aligned([bent], [corner]) == [[0.0]]
    below = house(-6, -12, 0)
    assert aligned([apex], [below]) == [
        sorted([round(np.degrees(np.arctan2(-10, 20)), 6), round(np.degrees(np.arctan2(10, 20)), 6)])
    ]


def test_a_line_through_a_footprint_counts_once():
    crossing = shapely.LineString([(-50, 4), (6, 4), (50, 20)])
    assert len(aligned([crossing], [house(0, 0, 0)])[0]) == 1


def test_outlines_of_parcels_are_lines_too_and_bad_ones_are_none():
    parcel = rotate(shapely.box(-20, -20, 40, 40), 15)
    lines = [None, shapely.LineString(), shapely.Point(6, 4), shapely.LineString([(0, 0), (0, 0)]), parcel]
    assert aligned(lines, [house(0, 0, 3), None, shapely.Polygon()], tolerance=30.0) == [[15.0], [], []]
    assert aligned([], [house(0, 0, 3)]) == [[]]


def test_lines_come_before_neighbours_and_preferences():
    outlines = np.array([house(0, 2, 0), house(0, 500, 0), None], object)
    alignment = Alignment(geopandas.GeoSeries([shapely.LineString([(-50, 0), (50, 10)])]), PLANE, 10.0)
    orientation = Orientation((30.0, 75.0), np.array([np.nan, 5.0, 6.0, np.nan]), alignment)
    offered = orientation.offered(np.array([1, 2, 3]), outlines, PLANE.strips(shapely.bounds(outlines)))
    assert list(offered.ends) == [0, 1, 4, 6]
    assert offered.angles[0] == pytest.approx(np.degrees(np.arctan2(10, 100)))
    assert list(offered.angles[1:]) == [30.0, 75.0, 6.0, 30.0, 75.0]
    assert Orientation().offered(np.arange(3), outlines, PLANE.strips(shapely.bounds(outlines))) is None


def directed(outlines, chord=3.0):
    outlines = np.array(outlines, object)
    return Directed(*PLANE.degrees(shapely.bounds(outlines)), *own_directions(outlines, chord))


@pytest.mark.parametrize("angle", [-44.0, -20.0, 0.0, 33.0])
def test_the_own_direction_of_an_outline(angle):
    found = directed([house(0, 0, angle), None, shapely.Polygon(), shapely.MultiPolygon([house(50, 0, angle)])])
    np.testing.assert_allclose(folded(np.degrees(found.angle) - angle)[[0, 3]], 0, atol=1e-6)
    assert np.isnan(found.angle[[1, 2]]).all()
    np.testing.assert_allclose(found.variance[[0, 3]], 0, atol=1e-9)


def test_the_error_of_a_direction_is_known():
    angle, variance = own_directions(np.array([rough_house(0, 0, 20, 0.3, k) for k in range(300)], object), 3.0)
    error = folded(np.degrees(angle) - 20)
    assert np.degrees(np.sqrt(variance.mean())) == pytest.approx(error.std(), rel=0.35)


def street(noise, spread, count=120, seed=4):
    random = np.random.default_rng(seed)
    truth = 20 + random.normal(0, spread, count)
    places = [(18.0 * (k % 12), 18.0 * (k // 12)) for k in range(count)]
    return truth, [
        rough_house(x, y, angle, noise, k) for k, ((x, y), angle) in enumerate(zip(places, truth, strict=True))
    ]


def test_rough_outlines_of_a_street_agree():
    truth, outlines = street(noise=0.5, spread=0.0)
    layer = directed(outlines)
    own, common = folded(np.degrees(layer.angle) - truth), folded(consensus(layer, 40.0) - truth)
    assert np.nanmean(np.abs(common)) < 0.5 * np.abs(own).mean()


def test_clean_outlines_that_differ_stay_as_they_are():
    truth, outlines = street(noise=0.02, spread=3.0)
    common = consensus(directed(outlines), 40.0)
    assert np.nanmean(np.abs(folded(common - truth))) < 0.5


def test_neighbours_are_those_within_the_distance_that_agree():
    lonely = [house(0, 0, 5), house(500, 0, 5), house(520, 0, 5)]
    assert np.isnan(consensus(directed(lonely), 100.0)).all()
    assert np.isfinite(consensus(directed(lonely), 1000.0)).all()
    crosswise = [house(0, 0, 0), house(20, 0, 30), house(40, 0, -30), house(60, 0, 30)]
    assert np.isnan(consensus(directed(crosswise), 100.0)).all()
    quarter = [house(0, 0, 44), house(20, 0, -44), house(40, 0, 45.5), house(60, 0, -45)]
    assert np.abs(folded(consensus(directed(quarter), 100.0) - 45)).max() < 2


def test_nothing_has_no_neighbours():
    assert list(consensus(directed([None, shapely.Polygon()]), 50.0)) == pytest.approx([np.nan] * 2, nan_ok=True)


def write(path, geometries, crs=UTM):
    pyogrio.write_dataframe(geopandas.GeoDataFrame(geometry=geometries, crs=crs), path)
    return str(path)


def run(tmp_path, source, **options):
    output = str(tmp_path / "out.gpkg")
    regularize_footprints(tasks.RegularizeFootprints(source, output, **options), Progress())
    return pyogrio.read_dataframe(output)


def town(angle=20.0, noise=0.35):
    return [translate(rough_house(18.0 * (k % 8), 18.0 * (k // 8), angle, noise, k), EAST, NORTH) for k in range(48)]


def errors(found, angle=20.0):
    kept = found["status"] == 1
    assert kept.mean() < 0.1
    return np.abs(folded(found.loc[~kept, "angle_deg"] - angle))


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326", "EPSG:2240"])
def test_footprints_follow_a_line_in_another_crs(tmp_path, crs):
    source = write(tmp_path / "in.gpkg", town())
    step = np.array([np.cos(np.radians(20)), np.sin(np.radians(20))]) * 300
    middle = np.array([EAST + 60, NORTH + 40])
    road = geopandas.GeoSeries([shapely.LineString([middle - step, middle + step])], crs=UTM).to_crs(crs)
    far = geopandas.GeoSeries([shapely.LineString([(EAST + 9e4, NORTH), (EAST + 9e4, NORTH + 9)])], crs=UTM).to_crs(crs)
    lines = write(tmp_path / "lines.gpkg", [*road, *far], crs)
    alone, along = run(tmp_path, source), run(tmp_path, source, alignment=lines, alignment_tolerance=200.0)
    # The grid of the zone and the ground's own differ by less than the convergence, 1.5 degrees here.
    turned = np.nanmedian(folded(along["angle_deg"] - 20))
    assert abs(turned) < 1.6
    assert (errors(along, 20 + turned) < 0.05).mean() > 0.9
    assert errors(along, 20 + turned).mean() < 0.3 * errors(alone, 20 + turned).mean()


def test_neighbours_and_preferences_through_the_task(tmp_path):
    source = write(tmp_path / "in.gpkg", town())
    alone = run(tmp_path, source)
    centre = np.nanmedian(folded(alone["angle_deg"]))
    near = run(tmp_path, source, neighbor_distance=40.0)
    assert errors(near, centre).mean() < 0.6 * errors(alone, centre).mean()
    wanted = run(tmp_path, source, directions=(float(centre),))
    assert (errors(wanted, centre) < 1e-6).mean() > 0.9


def test_what_is_offered_does_not_depend_on_batches(tmp_path, monkeypatch):
    source = write(tmp_path / "in.gpkg", town())
    whole = run(tmp_path, source, neighbor_distance=40.0)
    monkeypatch.setattr("building_segmenter.geo.vectors.reading.PolygonLayer.batches.__defaults__", (7,))
    parts = run(tmp_path, source, neighbor_distance=40.0)
    assert shapely.to_wkb(whole.geometry.to_numpy()).tolist() == shapely.to_wkb(parts.geometry.to_numpy()).tolist()


def test_lines_that_cannot_be_used_are_named(tmp_path):
    source = write(tmp_path / "in.gpkg", town()[:3])
    points = write(tmp_path / "points.gpkg", [shapely.Point(EAST, NORTH)])
    with pytest.raises(InputUnreadableError, match=r"alignment lines .*holds Point"):
        run(tmp_path, source, alignment=points)
    placeless = write(tmp_path / "lines.gpkg", [shapely.LineString([(0, 0), (1, 1)])], None)
    with pytest.raises(MissingCrsError, match="alignment lines"):
        run(tmp_path, source, alignment=placeless)
    assert not (tmp_path / "out.gpkg").exists()


def test_directions_are_read_from_text():
    made = tasks.RegularizeFootprints("a", "b", directions="12.5, 57.5; -30")
    assert made.directions == (12.5, 57.5, -30.0)
    assert tasks.build_task("regularize", tasks.as_request(made)["options"]) == made
    with pytest.raises(InvalidParameterError, match="DIRECTIONS"):
        tasks.RegularizeFootprints("a", "b", directions="north")
    with pytest.raises(InvalidParameterError, match="at most 360 degrees"):
        tasks.RegularizeFootprints("a", "b", directions=[400])
