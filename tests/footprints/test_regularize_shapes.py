"""Known shapes as a predicted mask shows them: the corners, the direction and the place they really have."""

import numpy as np
import pytest
import shapely
from rasterio.features import rasterize
from rasterio.transform import from_origin
from scipy.ndimage import gaussian_filter
from shapely.affinity import affine_transform
from skimage.measure import find_contours

from building_segmenter.footprints.regularize import Offered, Settings, regularize_polygons

PIXEL, FINER = 0.3, 4
ROTATIONS = 20
SETTINGS = Settings(tolerance=1.2, threads=1)

RECTANGLE = shapely.box(0, 0, 16, 10)
L = shapely.Polygon([(0, 0), (20, 0), (20, 8), (9, 8), (9, 18), (0, 18)])
U = shapely.Polygon([(0, 0), (24, 0), (24, 18), (17, 18), (17, 7), (7, 7), (7, 18), (0, 18)])
T = shapely.Polygon([(0, 0), (24, 0), (24, 8), (16, 8), (16, 20), (8, 20), (8, 8), (0, 8)])
Z = shapely.Polygon([(0, 0), (16, 0), (16, 8), (24, 8), (24, 18), (8, 18), (8, 9), (0, 9)])
COURTYARD = shapely.box(0, 0, 26, 22).difference(shapely.box(8, 7, 19, 15))
SHAPES = {"rectangle": RECTANGLE, "L": L, "U": U, "T": T, "Z": Z, "courtyard": COURTYARD}


def seen(truth, seed, noise=0.12):
    """Return a polygon as a network predicts it: blurred, noisy, as contours of the probability at half."""
    random = np.random.default_rng(seed)
    west, south, east, north = shapely.buffer(truth, 4).bounds
    columns, rows = int((east - west) / PIXEL), int((north - south) / PIXEL)
    fine = from_origin(west, north, PIXEL / FINER, PIXEL / FINER)
    cover = rasterize([truth], (rows * FINER, columns * FINER), transform=fine, dtype="uint8")
    cover = cover.reshape(rows, FINER, columns, FINER).mean(axis=(1, 3))
    blotches = gaussian_filter(random.standard_normal(cover.shape), 2.0)
    field = gaussian_filter(cover, 1.5) + noise * blotches / blotches.std()
    rings = [ring for ring in find_contours(field, 0.5) if len(ring) > 3]
    outlines = [
        shapely.Polygon(np.column_stack((west + (x + 0.5) * PIXEL, north - (y + 0.5) * PIXEL)))
        for y, x in (ring.T for ring in rings)
    ]
    outlines = sorted((outline for outline in outlines if outline.area > 4), key=lambda outline: -outline.area)
    return shapely.Polygon(outlines[0].exterior, [hole.exterior for hole in outlines[1:] if outlines[0].contains(hole)])


def turned(shape, seed):
    """Return a shape at a random direction and place, and the direction in degrees."""
    random = np.random.default_rng(seed)
    angle = random.uniform(-45, 45)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return affine_transform(shape, [c, -s, s, c, *random.uniform(0, 30, 2)]), angle


def corners(polygon):
    return len(shapely.get_coordinates(polygon)) - 1 - len(polygon.interiors)


def iou(a, b):
    return a.intersection(b).area / a.union(b).area


def apart(a, b):
    """Return the angle in degrees between two main directions, which repeat after a right angle."""
    return abs((a - b + 45) % 90 - 45)


def seen_set(shape, noise=0.12, count=ROTATIONS):
    """Return truths at random directions, their directions, and what is seen of them."""
    truths, angles = zip(*(turned(shape, 100 + seed) for seed in range(count)), strict=True)
    return list(truths), list(angles), [seen(truth, 200 + seed, noise) for seed, truth in enumerate(truths)]


@pytest.mark.parametrize("name", SHAPES)
def test_seen_shapes_get_their_corners_direction_and_place(name):
    truths, angles, outlines = seen_set(SHAPES[name])
    found = regularize_polygons(outlines, SETTINGS)
    assert list(found.reason) == [""] * ROTATIONS
    assert [len(polygon.interiors) for polygon in found.geometry] == [len(SHAPES[name].interiors)] * ROTATIONS
    # All 20 when written.
    right = sum(corners(polygon) == corners(SHAPES[name]) for polygon in found.geometry)
    assert right >= 0.85 * ROTATIONS
    # Below 1 degree when written.
    assert max(map(apart, found.angle_deg, angles)) < 3
    # On average 0.018 better when written, as blots and round corners of the outline go.
    assert np.mean(list(map(iou, found.geometry, truths))) > np.mean(list(map(iou, outlines, truths))) + 0.005


def test_rough_outlines_mostly_get_their_corners_and_direction():
    truths, angles, outlines = (
        [item for items in lists for item in items]
        for lists in zip(*(seen_set(shape, noise=0.16, count=10) for shape in SHAPES.values()), strict=True)
    )
    found = regularize_polygons(outlines, SETTINGS)
    assert (found.status == 0).mean() > 0.95
    wanted = [corners(truth) for truth in truths]
    shares = {
        "corners": np.mean(np.array(list(map(corners, found.geometry))) == wanted),
        "direction": np.mean([apart(*pair) < 3 for pair in zip(found.angle_deg, angles, strict=True)]),
    }
    assert shares["corners"] > 0.75 and shares["direction"] > 0.85, shares
    assert np.mean(list(map(iou, found.geometry, truths))) > np.mean(list(map(iou, outlines, truths)))


@pytest.mark.parametrize("overlap", [0.5, 1.0])
def test_houses_that_touch_at_a_corner_stay_one_outline_of_eight_corners(overlap):
    pair = shapely.union(shapely.box(0, 0, 12, 10), shapely.box(12 - overlap, 10 - overlap, 24, 20))
    _, _, outlines = seen_set(pair, noise=0.08, count=12)
    # The narrowest place is near the size of a pixel: some are seen as two.
    whole = [outline for outline in outlines if outline.area > 0.8 * pair.area]
    assert len(whole) >= 9
    found = regularize_polygons(whole, SETTINGS)
    assert (found.status == 0).mean() > 0.8
    assert all(map(shapely.is_valid, found.geometry))
    assert np.mean([corners(polygon) == 8 for polygon in found.geometry]) > 0.7


def test_parts_that_share_a_corner_stay_two_parts():
    pair, angle = turned(shapely.MultiPolygon([shapely.box(0, 0, 12, 10), shapely.box(12, 10, 24, 20)]), 7)
    found = regularize_polygons([pair], SETTINGS)
    assert found.status[0] == 0
    assert len(found.geometry[0].geoms) == 2 and found.geometry[0].is_valid
    assert shapely.hausdorff_distance(found.geometry[0], pair) < 1e-6
    assert apart(found.angle_deg[0], angle) < 1e-6


@pytest.mark.parametrize("name", SHAPES)
def test_exact_shapes_stay_where_they_are(name):
    truths, angles = zip(*(turned(SHAPES[name], seed) for seed in range(ROTATIONS)), strict=True)
    found = regularize_polygons(list(truths), SETTINGS)
    assert list(found.status) == [0] * ROTATIONS
    assert max(map(shapely.hausdorff_distance, found.geometry, truths)) < 1e-9
    assert max(map(apart, found.angle_deg, angles)) < 1e-6
    assert found.iou.min() > 1 - 1e-9 and found.max_dev_m.max() < 1e-9


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("name", SHAPES)
def test_drawn_by_hand_they_keep_corners_place_and_area(name, tolerance):
    drawn = [drawn_by_hand(turned(SHAPES[name], seed)[0], seed) for seed in range(ROTATIONS)]
    found = regularize_polygons(drawn, Settings(tolerance=tolerance, threads=1))
    assert list(found.reason) == [""] * ROTATIONS
    assert [corners(polygon) for polygon in found.geometry] == [corners(SHAPES[name])] * ROTATIONS
    # Corners were drawn up to 0.21 m off, so a wall may be 0.21 m off somewhere; no more, whatever the tolerance.
    assert found.max_dev_m.max() < 0.3
    assert min(map(iou, found.geometry, drawn)) > 0.98
    np.testing.assert_allclose(shapely.area(found.geometry), shapely.area(drawn), rtol=1e-6)


def drawn_by_hand(shape, seed):
    """Return a shape with each corner up to 0.15 m off in x and y."""
    random = np.random.default_rng(seed)

    def moved(ring):
        open_ring = np.array(ring.coords)[:-1]
        return open_ring + random.uniform(-0.15, 0.15, open_ring.shape)

    return shapely.Polygon(moved(shape.exterior), [moved(hole) for hole in shape.interiors])


def test_area_of_what_is_seen_is_restored():
    outlines = [outline for shape in SHAPES.values() for outline in seen_set(shape, count=6)[2]]
    found = regularize_polygons(outlines, SETTINGS)
    ratio = shapely.area(found.geometry) / shapely.area(outlines)
    # Ring by ring; left out where it would break the tolerance.
    assert np.mean(np.abs(ratio - 1) < 1e-4) > 0.9
    assert np.abs(ratio - 1).max() < 0.05


def test_result_does_not_depend_on_the_first_point_or_the_way_round():
    _, _, (outline,) = seen_set(U, count=1)
    ring = np.array(outline.exterior.coords)[:-1]
    turned_ring = np.roll(ring, 57, axis=0)
    found = regularize_polygons([outline, shapely.Polygon(turned_ring), shapely.Polygon(turned_ring[::-1])], SETTINGS)
    assert max(shapely.hausdorff_distance(found.geometry[0], other) for other in found.geometry[1:]) < 0.01


def test_given_directions_are_used_where_they_fit():
    truth, angle = turned(RECTANGLE, 3)
    outline = seen(truth, 3)
    found = regularize_polygons([outline], Settings(tolerance=1.2, threads=1), offered=Offered.to_all((angle,), 1))
    assert found.status[0] == 0 and apart(found.angle_deg[0], angle) < 1.5


def test_rings_run_as_in_the_standard_and_figures_fit_the_result():
    truth, _ = turned(COURTYARD, 11)
    outline = seen(truth, 11)
    found = regularize_polygons([outline], SETTINGS)
    polygon = found.geometry[0]
    assert shapely.is_ccw(polygon.exterior) and not shapely.is_ccw(polygon.interiors[0])
    assert found.vertices[0] == corners(polygon)
    assert found.iou[0] == pytest.approx(iou(polygon, outline))
    assert -45 <= found.angle_deg[0] <= 45
    side = np.diff(np.array(polygon.exterior.coords)[:2], axis=0)[0]
    assert apart(np.degrees(np.arctan2(side[1], side[0])), found.angle_deg[0]) < 1e-6
