"""Boxes and masks on pixels, and the outlines of what they hold."""

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from instance_scenes import coverage
from shapely.affinity import rotate

from building_segmenter.errors import MissingCrsError
from building_segmenter.footprints.instances import Merged, Place, Tile, features, placed
from building_segmenter.footprints.instances.outlines import outlines
from building_segmenter.footprints.instances.pasting import pasted
from building_segmenter.footprints.instances.patch import Patch
from building_segmenter.geo.ground import scaled_frame

TILE = Tile.of((64, 32, 96, 80), (0, 0, 400, 400))
UTM = Place(Affine(0.2, 0, 740_000, 0, -0.2, 3_730_000), 32616, (0.2, 0.2))


def outline(patch, min_hole_area=0.0):
    (polygon,) = outlines([patch], min_hole_area)
    return polygon


def hausdorff(one, other):
    return shapely.hausdorff_distance(one.exterior, other.exterior, densify=0.02)


@given(st.integers(0, 9), st.integers(0, 60), st.integers(0, 55), st.randoms(use_true_random=False))
def test_a_mask_of_pixels_stays_as_it_is(seed, x, y, random):
    mask = np.random.default_rng(seed).random((random.randint(1, 19), random.randint(1, 30))).astype(np.float32)
    rows, columns = mask.shape
    patch = pasted((x + 2, y + 2, x + 2 + columns, y + 2 + rows), mask, TILE)
    box = (64 + 2 + x, 32 + 2 + y, min(64 + 2 + x + columns, 160), min(32 + 2 + y + rows, 112))
    seen = mask[: box[3] - box[1], : box[2] - box[0]]
    np.testing.assert_array_equal(patch.over(box), np.rint(255 * seen))
    assert patch.values.sum(dtype=int) == patch.over(box).sum(dtype=int)


SIDES = st.tuples(st.floats(3, 40), st.floats(6, 50)).map(lambda drawn: (drawn[0], drawn[0] + drawn[1]))


@given(SIDES, st.tuples(st.floats(3, 30), st.floats(6, 40)), st.sampled_from([7, 14, 28, 56]))
def test_a_full_mask_has_its_outline_on_the_box(across, down, cells):
    box = (across[0], down[0], across[1], down[0] + down[1])
    polygon = outline(pasted(box, np.ones((cells, cells)), TILE))
    np.testing.assert_allclose(polygon.bounds, np.add(box, (64, 32, 64, 32)), atol=0.15)


@given(st.integers(0, 99), st.floats(3, 30), st.floats(3, 30), st.floats(5, 40), st.floats(5, 40))
def test_neither_side_is_preferred(seed, x, y, width, height):
    mask = np.random.default_rng(seed).random((14, 14))
    # Of 96 by 80 pixels; mirrored on the middles of the tile.
    patch = pasted((x, y, x + width, y + height), mask, TILE)
    other = pasted((96 - x - width, 80 - y - height, 96 - x, 80 - y), mask[::-1, ::-1], TILE)
    mirrored = other.over(TILE.box)[::-1, ::-1].astype(int)
    assert np.abs(patch.over(TILE.box) - mirrored).max() <= 1


@pytest.mark.parametrize(("angle", "size"), [(0, (60, 40)), (20, (60, 40)), (45, (50, 30)), (70, (18, 14))])
def test_small_masks_have_no_stairs(angle, size):
    truth = rotate(shapely.box(48.3 - size[0] / 2, 39.6 - size[1] / 2, 48.3 + size[0] / 2, 39.6 + size[1] / 2), angle)
    left, top, right, bottom = truth.bounds
    mask = coverage(truth, left, top, right - left, bottom - top, 28, 28)
    polygon = outline(pasted(truth.bounds, mask, TILE))
    polygon = shapely.transform(polygon, lambda points: points - (64, 32))
    cell = max(right - left, bottom - top) / 28
    # Corners are rounded by less than a cell, sides stay where they are.
    assert hausdorff(polygon, truth) < 0.75 * max(cell, 1)
    assert polygon.intersection(truth).area / polygon.union(truth).area > 0.97
    sides = truth.exterior.difference(shapely.union_all(shapely.points(truth.exterior.coords)).buffer(2 * max(cell, 1)))
    points = shapely.points(shapely.get_coordinates(shapely.segmentize(sides, 0.5)))
    assert shapely.distance(points, polygon.exterior).max() < 0.3 * max(cell, 1)


def test_what_the_side_of_the_tile_cuts_goes_on():
    patch = pasted((-0.4, 20.0, 96.3, 60.0), np.ones((28, 28)), TILE)
    assert (patch.values[len(patch.values) // 2] == 255).all()
    assert (patch.extent[0], patch.extent[2]) == (64, 160)


@pytest.mark.parametrize("box", [(5, 5, 5, 20), (20, 5, 10, 20), (100, 5, 120, 20), (-20, 5, -10, 20)])
def test_boxes_without_extent_in_the_tile_are_left_out(box):
    assert placed([box], [np.ones((28, 28))], [0.9], [1], TILE) == []


def test_what_is_less_likely_than_not_is_left_out():
    assert placed([(10, 10, 30, 30)], [np.full((28, 28), 0.4)], [0.9], [1], TILE) == []


def test_rims_of_what_lies_behind_a_seam_are_left_out():
    boxes = [(0, 10, 3.6, 40), (10, 0, 40, 3.6), (92.4, 10, 96, 40), (10, 76.4, 40, 80), (0, 10, 9, 40)]
    found = placed(boxes, [np.ones((28, 28))] * 5, [0.9] * 5, [1] * 5, TILE)
    assert [one.patch.extent for one in found] == [(64, 42, 73, 72)]
    edge = Tile.of((0, 32, 96, 80), (0, 0, 400, 400))
    assert len(placed(boxes[:1], [np.ones((28, 28))], [0.9], [1], edge)) == 1


def patch_of(*rows, column=10, row=20):
    return Patch(column, row, np.array([[255 if letter == "#" else 0 for letter in line] for line in rows], np.uint8))


def test_the_largest_piece_is_kept():
    polygon = outline(patch_of("##...", "##...", ".....", "..###", "..###"))
    assert polygon.bounds == (12, 23, 15, 25)


def test_small_holes_are_filled():
    patch = patch_of("######", "#.##.#", "####.#", "####.#", "######")
    assert [len(outline(patch, area).interiors) for area in (0, 1, 4)] == [2, 1, 0]


def test_nothing_inside_has_no_outline():
    assert outlines([Patch(0, 0, np.zeros((4, 4), np.uint8))], 0.0).tolist() == [None]
    assert outlines([], 0.0).tolist() == []


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10**6)), min_size=2, max_size=8))
def test_outlines_are_the_same_alone_and_together(sizes):
    patches = [
        Patch(k * 7, 10**6 - k, np.random.default_rng(seed).integers(0, 256, (rows, columns), np.uint8))
        for k, (rows, columns, seed) in enumerate(sizes)
    ]
    for patch, polygon in zip(patches, outlines(patches, 1.0), strict=True):
        alone = outline(patch, 1.0)
        assert (polygon is None) == (alone is None) == (patch.area == 0)
        # Points on a line may be there or not: that is a matter of the last digit.
        assert polygon is None or polygon.symmetric_difference(alone).area < 1e-6


def merged_of(patch, score=0.8, label=1):
    return Merged(patch, score, label, True, 1)


SQUARE = Patch(100, 200, np.full((50, 40), 255, np.uint8))


def test_features_lie_on_the_map_and_are_measured_on_the_ground():
    frame = features([merged_of(SQUARE)], UTM)
    assert isinstance(frame, geopandas.GeoDataFrame)
    assert frame.columns.tolist() == ["score", "area_m2", "perim_m", "vertices", "geometry"]
    assert frame.crs.to_epsg() == 32616
    np.testing.assert_allclose(frame.total_bounds, (740_020, 3_729_950, 740_028, 3_729_960))
    row = frame.iloc[0]
    assert (row.score, row.vertices) == (80.0, 8)
    # UTM's scale there is 1.00031.
    assert row.area_m2 == pytest.approx(80 / 1.00031**2, rel=1e-3)
    assert row.perim_m == pytest.approx((36 - 0.8 * (1 - 0.5**0.5)) / 1.00031, rel=1e-4)
    assert row.geometry.exterior.is_ccw
    assert row.geometry.is_valid


def test_small_features_are_left_out_and_classes_are_told():
    small = Patch(0, 0, np.full((5, 5), 255, np.uint8))
    frame = features(
        [merged_of(small), merged_of(SQUARE, label=2)], UTM, classes={1: (10, "house"), 2: (20, "hall")}, min_area=2.0
    )
    assert frame.columns.tolist() == ["class", "class_name", "score", "area_m2", "perim_m", "vertices", "geometry"]
    assert frame[["class", "class_name"]].to_numpy().tolist() == [[20, "hall"]]


def test_no_instance_gives_an_empty_layer_with_the_same_fields():
    frame = features([], UTM)
    assert len(frame) == 0
    assert frame.columns.tolist() == ["score", "area_m2", "perim_m", "vertices", "geometry"]
    assert frame.crs.to_epsg() == 32616
    assert {name: str(kind) for name, kind in frame.dtypes.items() if name != "geometry"} == {
        name: str(kind) for name, kind in features([merged_of(SQUARE)], UTM).dtypes.items() if name != "geometry"
    }


def test_without_crs_the_ground_frame_tells_the_size():
    place = Place(Affine.scale(1, -1), None, (0.5, 0.5), scaled_frame(0.5))
    assert features([merged_of(SQUARE)], place).area_m2.item() == pytest.approx(500, rel=1e-3)
    with pytest.raises(MissingCrsError):
        features([merged_of(SQUARE)], Place(Affine.identity(), None, (0.5, 0.5)))
