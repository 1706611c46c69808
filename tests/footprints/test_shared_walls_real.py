"""Attached houses as people drew them: the labels of a town in Nepal."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from building_segmenter.footprints.regularize import Settings
from building_segmenter.footprints.shared_walls import regularize_together

LABELS = Path(__file__).parents[3] / "shared" / "data" / "banepa_13cm" / "centre" / "labels.geojson"


@pytest.fixture(scope="module")
def houses():
    if not LABELS.exists():
        pytest.skip(f"NOT TESTED on real attached houses: {LABELS} is absent")
    frame = geopandas.read_file(LABELS)
    return np.asarray(frame.to_crs(frame.estimate_utm_crs()).geometry, object)


def test_houses_that_touched_share_their_walls(houses):
    a, b = shapely.STRtree(houses).query(houses, predicate="intersects")
    a, b = a[a < b], b[a < b]
    assert len(a) > 90
    found = regularize_together(houses, Settings(threads=1))
    new = found.geometry
    assert shapely.is_valid(new).all()
    assert shapely.area(shapely.intersection(new[a], new[b])).max() == 0
    assert shapely.distance(new[a], new[b]).max() == 0
    members = np.unique(np.concatenate((a, b)))
    assert (found.status[members] == 0).mean() > 0.75
    assert np.nanmax(found.max_dev_m) <= 1.0 + 1e-9
    links = coo_array((np.ones(len(a)), (a, b)), shape=(len(houses),) * 2)
    labels = connected_components(links, directed=False)[1]
    for group in (np.flatnonzero(labels == label) for label in np.unique(labels[members])):
        assert _courts(new[group]) <= _courts(houses[group]) + 0.01


def _courts(polygons):
    """Return the area of all holes that the polygons enclose together: where slivers would be."""
    whole = shapely.get_parts(shapely.union_all(polygons))
    return sum(shapely.Polygon(hole).area for part in whole for hole in part.interiors)
