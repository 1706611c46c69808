"""Ground metres by meridian strips: true, the same beside any neighbours, and back again."""

import numpy as np
import pytest
import shapely
from pyproj import CRS, Geod, Transformer

from building_segmenter.errors import MissingCrsError
from building_segmenter.geo.ground import scaled_frame
from building_segmenter.geo.strips import NOWHERE, OneFrame, ground_of

PLACES = [
    ("EPSG:4326", 32.59, 0.35), ("EPSG:3857", 32.59, 0.35), ("EPSG:3857", 24.9, 60.2), ("EPSG:32636", 32.59, 0.35),
    ("EPSG:2240", -84.4, 33.7), ("EPSG:4326", 24.9, 78.2), ("EPSG:4807", 2.35, 48.85), ("EPSG:3832", -179.99, -17.0),
]  # fmt: skip


def stars(crs, lon, lat, count=40, spread=0.3):
    """Stars of eight rays of 1 km on the ellipsoid, strewn over some strips, in a CRS."""
    random = np.random.default_rng(7)
    base = CRS(crs).geodetic_crs
    geod, to_crs = base.get_geod() or Geod(ellps="WGS84"), Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    middles = np.stack([lon + random.uniform(-spread, spread, count), lat + random.uniform(-spread, spread, count)], 1)
    shapes = []
    for x, y in middles:
        lons, lats, _ = geod.fwd(np.full(8, x), np.full(8, y), np.arange(0, 360, 45.0), np.full(8, 1000.0))
        shapes.append(shapely.MultiPoint(np.stack(to_crs.transform([x, *lons], [y, *lats]), axis=1)))
    return np.array(shapes, object)


@pytest.mark.parametrize(("crs", "lon", "lat"), PLACES)
def test_distances_are_true_and_north_is_up(crs, lon, lat):
    shapes = stars(crs, lon, lat)
    ground = ground_of(crs)
    strips = ground.strips(shapely.bounds(shapes))
    assert len(set(strips)) > 3
    points = shapely.get_coordinates(ground.to_ground(shapes, strips)).reshape(-1, 9, 2)
    rays = points[:, 1:] - points[:, :1]
    # The datum of Paris is not the one that the rays were drawn on.
    np.testing.assert_allclose(np.hypot(*rays.T), 1000.0, rtol=2e-4 if crs == "EPSG:4807" else 1e-6)
    assert np.degrees(np.abs(rays[:, 0, 0] / rays[:, 0, 1])).max() < 0.06


@pytest.mark.parametrize(("crs", "lon", "lat"), PLACES)
def test_there_and_back(crs, lon, lat):
    shapes = stars(crs, lon, lat)
    ground = ground_of(crs)
    strips = ground.strips(shapely.bounds(shapes))
    again = ground.to_ground(ground.to_layer(ground.to_ground(shapes, strips), strips), strips)
    first = ground.to_ground(shapes, strips)
    np.testing.assert_allclose(shapely.get_coordinates(again), shapely.get_coordinates(first), rtol=0, atol=1e-6)


def test_a_feature_lies_the_same_whatever_is_beside_it():
    shapes = stars("EPSG:32636", 32.59, 0.35)
    ground = ground_of("EPSG:32636")
    strips = ground.strips(shapely.bounds(shapes))
    together = shapely.to_wkb(ground.to_ground(shapes, strips))
    for k in (0, 17, 39):
        one = shapes[k : k + 1]
        assert shapely.to_wkb(ground.to_ground(one, ground.strips(shapely.bounds(one))))[0] == together[k]


def test_what_has_no_place():
    bounds = np.array([[0, 0, 1, 1], [np.nan] * 4, [0, 95, 1, 96], [np.inf, 0, np.inf, 1]])
    assert list(ground_of("EPSG:4326").strips(bounds) == NOWHERE) == [False, True, True, True]
    assert list(OneFrame(scaled_frame(0.5)).strips(bounds) == NOWHERE) == [False, True, False, True]


def test_nothing_is_moved_nowhere():
    ground = ground_of("EPSG:4326")
    shapes = np.array([None, shapely.Polygon(), shapely.Point(10, 50)], object)
    strips = ground.strips(shapely.bounds(shapes))
    moved = ground.to_layer(ground.to_ground(shapes, strips), strips)
    assert moved[0] is None and moved[1].is_empty and moved[2].distance(shapes[2]) < 1e-12
    assert len(ground.to_ground(shapes[:0], strips[:0])) == 0


def test_a_crs_without_a_place_on_earth():
    site = CRS.from_wkt('LOCAL_CS["site",UNIT["foot",0.3048],AXIS["x",EAST],AXIS["y",NORTH]]')
    ground = ground_of(site)
    box = np.array([shapely.box(0, 0, 10, 10)], object)
    assert shapely.area(ground.to_ground(box, ground.strips(shapely.bounds(box))))[0] == pytest.approx(3.048**2)
    with pytest.raises(MissingCrsError):
        ground_of(None)
