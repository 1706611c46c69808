import numpy as np
import pytest
from pyproj import Geod, Transformer

from building_segmenter.errors import InputUnreadableError, MissingCrsError
from building_segmenter.geo.ground import frames_by_place, ground_pixel, local_frame

PLACES = [
    ("EPSG:4326", 32.59, 0.35), ("EPSG:3857", 32.59, 0.35), ("EPSG:3857", 85.52, 27.63), ("EPSG:32636", 32.59, 0.35),
    ("EPSG:2240", -84.4, 33.7), ("EPSG:4326", 24.9, 60.2), ("EPSG:3857", 24.9, 60.2), ("EPSG:4267", -84.4, 33.7),
]  # fmt: skip


@pytest.mark.parametrize(("crs", "lon", "lat"), PLACES)
def test_distances_are_those_on_the_ellipsoid(crs, lon, lat):
    """Distances of 2 km in eight directions agree with the geodesic to a tenth of a millimetre a metre."""
    geod = Geod(ellps="clrk66" if crs == "EPSG:4267" else "WGS84")
    base = "EPSG:4267" if crs == "EPSG:4267" else "EPSG:4326"
    to_crs = Transformer.from_crs(base, crs, always_xy=True)
    angles = np.arange(0, 360, 45.0)
    lons, lats, _ = geod.fwd(np.full(8, lon), np.full(8, lat), angles, np.full(8, 2000.0))
    x0, y0 = to_crs.transform(lon, lat)
    frame = local_frame(crs, (x0, y0, x0, y0))
    east, north = frame.to_ground(*to_crs.transform(lons, lats))
    e0, n0 = frame.to_ground(x0, y0)
    np.testing.assert_allclose(np.hypot(east - e0, north - n0), 2000.0, rtol=1e-5)


@pytest.mark.parametrize(("crs", "lon", "lat"), PLACES)
def test_there_and_back(crs, lon, lat):
    x0, y0 = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    frame = local_frame(crs, (x0, y0, x0, y0))
    east, north = np.meshgrid(np.linspace(-3000, 3000, 7), np.linspace(-3000, 3000, 7))
    again = frame.to_ground(*frame.to_layer(east, north))
    np.testing.assert_allclose(again, (east, north), atol=1e-5)


def test_web_mercator_pixels_are_smaller_on_the_ground():
    """Figures measured independently for real imagery: scales 1.1279 east-west and 1.1339 north-south in Banepa."""
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(85.52, 27.63)
    width, height = ground_pixel("EPSG:3857", (1.0, 0.0), (0.0, -1.0), (x, y, x + 10, y + 10))
    assert (1 / width, 1 / height) == pytest.approx((1.1279, 1.1339), abs=2e-4)


def test_us_survey_feet():
    width, height = ground_pixel("EPSG:2240", (0.25, 0.0), (0.0, -0.25), (2.2e6, 1.37e6, 2.205e6, 1.375e6))
    assert (width, height) == pytest.approx((0.25 * 1200 / 3937, 0.25 * 1200 / 3937), rel=2e-4)


def test_wide_layers_get_several_frames():
    x = np.array([10.0, 10.001, 25.0, np.nan])
    bounds = np.stack([x, x, x + 1e-4, x + 1e-4], axis=1)
    groups = [members.tolist() for members, _ in frames_by_place("EPSG:4326", bounds)]
    assert groups == [[0, 1], [2]]


def test_no_crs_is_said():
    with pytest.raises(MissingCrsError) as caught:
        local_frame(None, (0, 0, 1, 1))
    assert "GSD" in caught.value.hint


def test_an_extent_outside_its_crs_is_said():
    with pytest.raises(InputUnreadableError, match="outside the area"):
        local_frame("EPSG:4326", (500000.0, 3700000.0, 500100.0, 3700100.0))
