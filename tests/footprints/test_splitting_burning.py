"""Polygons onto pixels, against GDAL."""

import numpy as np
import shapely
import shapely.affinity
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize

from building_segmenter.footprints.splitting.burning import burnt


def star(rng, x, y, size):
    angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
    reach = rng.uniform(0.4, 1, 9) * size
    whole = shapely.Polygon(np.column_stack([x + reach * np.cos(angle), y + reach * np.sin(angle)]))
    hole = whole.centroid.buffer(0.15 * size)
    # Where the middle lies outside, a star may cross itself.
    return whole - hole if whole.is_valid and whole.contains(hole) else whole


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), shift=st.floats(-12, 12))
def test_pixels_are_those_that_gdal_finds(seed, shift):
    rng = np.random.default_rng(seed)
    shapes = [star(rng, 15 + 30 * k + shift, 20 + rng.uniform(-5, 5), rng.uniform(2, 14)) for k in range(3)]
    shapes = np.array([shape for shape in shapes if shape.is_valid and shape.geom_type == "Polygon"])
    assume(len(shapes) > 0)
    found = burnt(shapes, 40, 90)
    truth = rasterize([(shape, k) for k, shape in enumerate(shapes, start=1)], (40, 90), dtype="int32")
    # GDAL rounds where a middle lies within some billionths of an edge.
    assert np.count_nonzero(found != truth) <= 1


def test_a_middle_on_a_common_line_belongs_to_one_side():
    halves = np.array([shapely.box(0, 0, 2.5, 4), shapely.box(2.5, 0, 6, 4)])
    assert burnt(halves, 4, 6).tolist() == [[1, 1, 2, 2, 2, 2]] * 4
    assert burnt(halves[::-1], 4, 6).tolist() == [[2, 2, 1, 1, 1, 1]] * 4


def test_what_reaches_beyond_the_window_is_cut():
    assert burnt(np.array([shapely.box(-5, -5, 2, 50)]), 3, 4).tolist() == [[1, 1, 0, 0]] * 3
    assert not burnt(np.array([shapely.box(-5, -5, -2, 50)]), 3, 4).any()
