"""The drawn scene: same seed same scene, and footprints that are exactly the painted roofs."""

import functools

import numpy as np
import pytest
import shapely
from rasterio import Affine
from rasterio.features import rasterize

from demo.scene import draw_scene
from demo.scene.buildings import plan_boxes
from demo.scene.canvas import SUPER, Sun
from demo.scene.light import horizon
from demo.scene.style import STYLES

SIZE = 512
TOWNS = sorted(STYLES)


@functools.cache
def scene_of(seed, town=None):
    return draw_scene(seed, SIZE, SIZE, town=town)


def corner_cosines(ring):
    """Cosine of the angle at each vertex: 0 if right, 1 or -1 if straight."""
    points = np.asarray(ring.coords)[:-1]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return (before * after).sum(axis=1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)


def test_same_seed_gives_the_same_scene_and_another_seed_another():
    first, again = draw_scene(5, 300, 200), draw_scene(5, 300, 200)
    assert first.image.shape == (200, 300, 3) and first.image.dtype == np.uint8
    assert np.array_equal(first.image, again.image)
    assert [f.wkb for f in first.footprints] == [f.wkb for f in again.footprints]
    assert not np.array_equal(first.image, draw_scene(6, 300, 200).image)


@pytest.mark.parametrize("town", TOWNS)
def test_footprints_are_the_painted_roofs(town):
    scene = scene_of(3, town)
    assert len(scene.footprints) >= 5
    shapes = [(footprint, number + 1) for number, footprint in enumerate(scene.footprints)]
    expected = rasterize(shapes, out_shape=scene.roofs.shape, transform=Affine.scale(1 / SUPER), dtype="int32")
    for number in range(1, len(shapes) + 1):
        painted, true = scene.roofs == number, expected == number
        assert (painted & true).sum() / (painted | true).sum() > 0.99


@pytest.mark.parametrize("town", TOWNS)
def test_all_corners_are_right_and_no_vertex_lies_on_a_straight_wall(town):
    for footprint in scene_of(3, town).footprints:
        assert footprint.geom_type == "Polygon" and footprint.is_valid
        for ring in (footprint.exterior, *footprint.interiors):
            assert np.abs(corner_cosines(ring)).max() < 1e-6


def test_scenes_hold_touching_houses_courtyards_and_no_overlaps():
    scenes = [scene_of(seed, town) for town in TOWNS for seed in (3, 4, 8)]
    assert any(footprint.interiors for scene in scenes for footprint in scene.footprints)
    touching = 0
    for scene in scenes:
        first, second = shapely.STRtree(scene.footprints).query(scene.footprints, predicate="intersects")
        for one, other in zip(first[first < second], second[first < second], strict=True):
            assert scene.footprints[one].intersection(scene.footprints[other]).area < 1e-3
            touching += 1
    assert touching >= 5


@pytest.mark.parametrize("form", ["box", "L", "T", "U", "court", "step", "porch"])
def test_a_plan_fills_its_box(form):
    rng = np.random.default_rng(1)
    for _ in range(20):
        boxes = [shapely.box(b.left, b.top, b.right, b.bottom) for b in plan_boxes(rng, form, 14.0, 10.0)]
        plan = shapely.union_all(boxes)
        assert plan.bounds == pytest.approx((-7, -5, 7, 5))
        assert plan.geom_type == "Polygon"
        assert len(plan.interiors) == (form == "court")


def test_a_shadow_is_as_long_as_the_sun_is_low():
    height = np.zeros((40, 120), np.float32)
    height[18:22, 20:24] = 6.0
    sun = Sun(-1.0, 0.0, float(np.arctan(0.5)))
    shadow = horizon(height, sun, gsd=0.25) > 0.01
    # 6 m under a sun whose rays fall half a metre a metre: 12 m, 48 px, away from the sun.
    assert shadow[19, 24:70].all() and not shadow[19, 74:].any()
    assert not shadow[19, :20].any() and not shadow[:16].any() and not shadow[24:].any()


def test_roofs_stand_out_and_shadows_darken():
    """A check that there is a picture: neither flat nor clipped."""
    for town in TOWNS:
        image = scene_of(3, town).image
        assert 60 < image.mean() < 190
        assert image.std() > 20
        assert (image == 255).mean() < 0.05
