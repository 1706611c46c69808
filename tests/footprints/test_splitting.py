"""Regions of buildings that touch come apart where the band of contacts says so, and only there."""

import threading

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from contact_scenes import PIXEL, drawn, in_pixels, softened, write_planes
from hypothesis import given, settings
from hypothesis import strategies as st

from building_segmenter.errors import CancelledError
from building_segmenter.footprints.polygonize import polygonize_raster, trace_raster
from building_segmenter.footprints.splitting import SplitRule, contact_band, splitter
from building_segmenter.footprints.tracing import TraceRule
from building_segmenter.geo.ground import scaled_frame
from building_segmenter.geo.unions import union_of
from building_segmenter.progress import Progress, SilentSink

RULE = SplitRule()
ROW = [shapely.box(20 + 60 * k, 30, 80 + 60 * k, 110) for k in range(5)]


def split(path, band=None, value=None, **options):
    return trace_raster(str(path), TraceRule(band, value=value, split=RULE), **options)


def iou(one, other):
    return one.intersection(other).area / one.union(other).area


def check_partition(pieces, whole):
    """The pieces make the whole up: no gaps, no overlaps, and all vertices of common lines are common."""
    assert shapely.is_valid(pieces).all()
    assert shapely.coverage_is_valid(pieces)
    assert shapely.area(pieces).sum() == pytest.approx(whole.area, rel=1e-9)
    assert union_of([*pieces]).symmetric_difference(whole).area < 1e-4


@pytest.mark.parametrize("soft", [0.0, 1.0, 2.0])
def test_a_row_of_touching_houses_comes_apart(tmp_path, soft):
    planes = drawn(ROW, (140, 340))
    path = write_planes(tmp_path / "p.tif", softened(planes, soft) if soft else planes)
    traced = split(path)
    pieces = sorted(in_pixels(traced.polygons), key=lambda one: one.centroid.x)
    assert len(pieces) == 5
    for piece, house in zip(pieces, ROW, strict=True):
        assert iou(piece, house) > 0.95
    (whole,) = in_pixels(polygonize_raster(path))
    check_partition(np.array(pieces), whole)
    assert traced.regions.tolist() == [0] * 5
    assert traced.is_parted


@settings(max_examples=15)
@given(
    widths=st.lists(st.integers(28, 70), min_size=2, max_size=4),
    depths=st.lists(st.integers(45, 90), min_size=4, max_size=4),
    angle=st.floats(0, 90),
)
def test_rows_of_any_houses_in_any_direction(tmp_path_factory, widths, depths, angle):
    starts = np.cumsum([0, *widths])
    houses = [
        shapely.affinity.rotate(shapely.box(a, -depth / 2, b, depth / 2), angle, origin=(0, 0))
        for a, b, depth in zip(starts[:-1], starts[1:], depths, strict=False)
    ]
    left, top, right, bottom = shapely.total_bounds(houses)
    houses = [shapely.affinity.translate(house, 10 - left, 10 - top) for house in houses]
    path = tmp_path_factory.mktemp("row") / "p.tif"
    write_planes(path, softened(drawn(houses, (int(bottom - top) + 20, int(right - left) + 20))))
    pieces = in_pixels(split(path).polygons)
    assert len(pieces) == len(houses)
    for house in houses:
        assert max(iou(piece, house) for piece in pieces) > 0.9
    whole = in_pixels(polygonize_raster(str(path)))
    check_partition(pieces, union_of(whole))


@pytest.mark.parametrize(
    "building",
    [
        shapely.box(20, 30, 320, 60),
        shapely.Polygon([(20, 20), (200, 20), (200, 50), (60, 50), (60, 130), (20, 130)]),
        shapely.Polygon([(20, 20), (60, 20), (60, 90), (160, 90), (160, 20), (200, 20), (200, 130), (20, 130)]),
        shapely.box(20, 20, 200, 130).difference(shapely.box(70, 60, 150, 90)),
    ],
    ids=["hall", "L", "U", "yard"],
)
def test_one_building_stays_whole_to_the_byte(tmp_path, building):
    path = write_planes(tmp_path / "p.tif", softened(drawn([building], (150, 340))))
    traced, before = split(path), polygonize_raster(path)
    assert not traced.is_parted
    assert shapely.to_wkb(traced.polygons.geometry).tolist() == shapely.to_wkb(before.geometry).tolist()
    assert traced.polygons.drop(columns="geometry").equals(before.drop(columns="geometry"))


def test_regions_without_contact_keep_their_bytes_beside_one_that_comes_apart(tmp_path):
    alone = [shapely.box(20, 130, 90, 190), shapely.Point(200, 170).buffer(30)]
    path = write_planes(tmp_path / "p.tif", softened(drawn([*ROW, *alone], (220, 340))))
    after, before = split(path), polygonize_raster(path)
    assert len(after.polygons) == 7
    assert len(before) == 3
    kept = after.polygons[after.regions != 0]
    assert shapely.to_wkb(kept.geometry).tolist() == shapely.to_wkb(before.geometry[1:]).tolist()


def test_a_blot_of_contact_inside_a_hall_parts_nothing(tmp_path):
    planes = drawn([shapely.box(20, 30, 320, 110)], (140, 340))
    planes[1, 60:75, 150:165] = 1.0
    assert len(split(write_planes(tmp_path / "p.tif", planes)).polygons) == 1


def test_a_shed_too_small_for_a_building_is_part_of_its_neighbour(tmp_path):
    side = int(0.8 * RULE.min_piece**0.5 / PIXEL)
    houses = [ROW[0], shapely.box(80, 30, 80 + side, 30 + side)]
    assert len(split(write_planes(tmp_path / "p.tif", drawn(houses, (140, 340)))).polygons) == 1


def test_three_houses_that_meet_in_a_point(tmp_path):
    houses = [shapely.box(20, 20, 100, 80), shapely.box(100, 20, 180, 80), shapely.box(20, 80, 180, 140)]
    path = write_planes(tmp_path / "p.tif", softened(drawn(houses, (160, 200))))
    pieces = in_pixels(split(path).polygons)
    assert len(pieces) == 3
    assert min(max(iou(piece, house) for piece in pieces) for house in houses) > 0.95
    check_partition(pieces, in_pixels(polygonize_raster(path))[0])


def test_houses_around_a_yard_and_one_in_it(tmp_path):
    houses = [
        shapely.box(20, 20, 220, 70),
        shapely.box(20, 70, 70, 200),
        shapely.box(170, 70, 220, 200),
        shapely.box(20, 200, 220, 250),
        shapely.box(105, 115, 135, 155),
    ]
    path = write_planes(tmp_path / "p.tif", softened(drawn(houses, (270, 240))))
    traced = split(path)
    pieces = in_pixels(traced.polygons)
    assert len(pieces) == 5
    assert min(max(iou(piece, house) for piece in pieces) for house in houses) > 0.93
    assert (shapely.get_num_interior_rings(pieces) == 0).all()
    ring = traced.regions == np.bincount(traced.regions).argmax()
    check_partition(pieces[ring], max(in_pixels(polygonize_raster(path)), key=lambda one: one.area))


def test_nodata_and_the_edge_of_the_raster(tmp_path):
    houses = [shapely.box(-20, 30, 60, 110), shapely.box(60, 30, 140, 110), shapely.box(140, 30, 300, 110)]
    valid = np.ones((140, 220), bool)
    valid[:70, 100:] = False
    path = write_planes(tmp_path / "p.tif", drawn(houses, (140, 220)), valid=valid)
    pieces = in_pixels(split(path).polygons)
    assert len(pieces) == 3
    check_partition(pieces, in_pixels(polygonize_raster(path))[0])
    bounds = shapely.total_bounds(pieces)
    assert (bounds[0], bounds[2]) == pytest.approx((0, 220), abs=1e-6)


def test_scores_and_measures_are_those_of_each_piece(tmp_path):
    planes = drawn(ROW[:2], (140, 340))
    planes[0, :, :80] *= 0.7
    layer = split(write_planes(tmp_path / "p.tif", planes)).polygons.sort_values("score")
    assert layer.score.tolist() == pytest.approx([70, 100], abs=0.5)
    ground = layer.geometry.to_numpy()
    assert layer.area_m2.tolist() == pytest.approx(shapely.area(ground).tolist(), rel=2e-3)
    assert layer.perim_m.tolist() == pytest.approx(shapely.length(ground).tolist(), rel=2e-3)
    assert layer.vertices.tolist() == (shapely.get_num_coordinates(ground) - 1).tolist()


@pytest.mark.parametrize("orientation", ["north-up", "rotated", "south-up", "feet", "non-square"])
def test_the_same_pieces_in_every_orientation(tmp_path, orientation):
    upright = Affine.translation(740_000, 3_732_000) @ Affine.scale(PIXEL, -PIXEL)
    planes, crs, transform = softened(drawn(ROW, (140, 340))), "EPSG:32616", upright
    if orientation == "rotated":
        transform = upright @ Affine.rotation(31)
    elif orientation == "south-up":
        planes, transform = planes[:, ::-1], upright @ Affine.translation(0, 140) @ Affine.scale(1, -1)
    elif orientation == "feet":
        foot = 1200 / 3937
        crs = "EPSG:2240"
        transform = Affine.translation(2_200_000, 1_360_000) @ Affine.scale(PIXEL / foot, -PIXEL / foot)
    elif orientation == "non-square":
        planes, transform = np.repeat(planes, 2, axis=2), upright @ Affine.scale(0.5, 1)
    layer = split(write_planes(tmp_path / "p.tif", planes, crs=crs, transform=transform)).polygons
    assert layer.area_m2.tolist() == pytest.approx([60 * 80 * PIXEL**2] * 5, rel=0.03)


def test_a_region_beyond_the_bound_is_parted_at_lower_resolution(tmp_path, monkeypatch):
    path = write_planes(tmp_path / "p.tif", softened(drawn(ROW, (140, 340))))
    monkeypatch.setattr(splitter, "MOST_PIXELS", 140 * 340 // 9)
    pieces = in_pixels(split(path).polygons)
    assert len(pieces) == 5
    assert min(max(iou(piece, house) for piece in pieces) for house in ROW) > 0.9
    check_partition(pieces, in_pixels(polygonize_raster(path))[0])


def test_the_file_s_blocks_do_not_matter(tmp_path, monkeypatch):
    planes = softened(drawn(ROW, (140, 340)))
    one = split(write_planes(tmp_path / "a.tif", planes)).polygons
    monkeypatch.setattr("building_segmenter.footprints.contours.field._BAND_PIXELS", 3000)
    monkeypatch.setattr("building_segmenter.footprints.contours.field._READ_PIXELS", 9000)
    monkeypatch.setattr("building_segmenter.footprints.splitting.view._STRIP_PIXELS", 3000)
    other = split(write_planes(tmp_path / "b.tif", planes, tiled=True, blockxsize=64, blockysize=64)).polygons
    assert shapely.to_wkb(one.geometry).tolist() == shapely.to_wkb(other.geometry).tolist()


def test_a_raster_without_crs(tmp_path):
    path = write_planes(tmp_path / "p.tif", drawn(ROW, (140, 340)), crs=None, transform=Affine.scale(1, -1))
    assert len(split(path, ground=scaled_frame(PIXEL)).polygons) == 5


def test_rasters_without_contacts_and_other_bands_are_not_parted(tmp_path):
    planes = drawn(ROW, (140, 340))
    single = write_planes(tmp_path / "one.tif", planes[:1], names=("building",))
    with rasterio.open(single) as dataset:
        assert contact_band(dataset) is None
    assert len(split(single).polygons) == 1
    both = write_planes(tmp_path / "two.tif", planes)
    with rasterio.open(both) as dataset:
        assert contact_band(dataset) == 2
    # The contacts themselves, and a mask, are no buildings to be parted.
    assert not split(both, band=2).is_parted
    assert not split(both, value=254).is_parted


def test_cancelled_before_a_region_is_parted(tmp_path, monkeypatch):
    stop = threading.Event()

    class StopsAtOnce(SilentSink):
        def progress(self, fraction, stage, eta_s):
            stop.set()

    path = write_planes(tmp_path / "p.tif", drawn(ROW, (140, 340)))
    monkeypatch.setattr(splitter, "basins", lambda *args: pytest.fail("worked on a region after the cancel"))
    with pytest.raises(CancelledError):
        split(path, progress=Progress(StopsAtOnce(), stop))
