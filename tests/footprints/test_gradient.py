"""The gradient of a probability raster along outlines: weights, directions, CRS, nodata, and the task that uses it."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.features import rasterize
from scipy.ndimage import gaussian_filter

from building_segmenter import engine
from building_segmenter.errors import InvalidParameterError, MissingCrsError
from building_segmenter.footprints.gradient import evidence_of, probability_gradient, with_directions
from building_segmenter.footprints.regularize import Offered
from building_segmenter.geo.strips import ground_of
from building_segmenter.progress import Progress
from building_segmenter.rasters.probability import ProbabilityPlan, probability_writer, quantized
from building_segmenter.tasks import RegularizeFootprints

UTM, WEST, NORTH, GSD, SIZE = 32636, 500_000.0, 33_000.0, 0.5, 200
TURN = 20.0


def house():
    """Return a house in the raster's middle, turned by `TURN`, with a point every half metre."""
    box = shapely.box(WEST + 38, NORTH - 58, WEST + 62, NORTH - 44)
    return shapely.segmentize(shapely.affinity.rotate(box, TURN), 0.5)


def written(path, east):
    """Write the house's probability, times `east` in the east, without data in the first 30 rows."""
    transform = Affine(GSD, 0, WEST, 0, -GSD, NORTH)
    inside = rasterize([house()], (SIZE, SIZE), transform=transform, dtype="float32")
    faint = np.where(np.arange(SIZE) < SIZE // 2, 1.0, east).astype(np.float32)
    probability = gaussian_filter(inside, 1.0) * faint
    valid = np.ones((SIZE, SIZE), bool)
    valid[:30] = False
    with probability_writer(path, ProbabilityPlan(SIZE, SIZE, transform, f"EPSG:{UTM}", ("building",))) as dataset:
        dataset.write(quantized(probability, valid), 1)
    return str(path)


@pytest.fixture
def raster(tmp_path):
    """Give a raster that is sharp in the west and faint in the east."""
    return written(tmp_path / "probability.tif", 0.2)


def evidence(path, outlines, crs):
    """Return the evidence for outlines that are in UTM, handed over in another CRS."""
    layer = geopandas.GeoSeries(outlines, crs=UTM).to_crs(crs)
    ground = ground_of(layer.crs)
    outlines = layer.to_numpy()
    strips = ground.strips(shapely.bounds(outlines))
    with probability_gradient(path, layer.crs) as gradient:
        return gradient.evidence(ground.to_ground(outlines, strips), ground, strips)


@pytest.mark.parametrize("crs", [UTM, 4326, 3857, 32635])
def test_weights_and_direction_whatever_the_crs(raster, tmp_path, crs):
    found = evidence(raster, [house()], crs)
    east = shapely.get_coordinates(house())[:, 0] - WEST
    assert found.masses[east < 48].mean() > 3 * found.masses[east > 52].mean()
    # The step from sharp to faint is no wall: directions are right without it.
    clear = evidence(written(tmp_path / "clear.tif", 1.0), [house()], crs)
    assert clear.angles[0] == pytest.approx(TURN, abs=0.5)


def test_all_crs_agree(raster):
    first, *others = [evidence(raster, [house()], crs) for crs in (UTM, 4326, 3857)]
    for other in others:
        np.testing.assert_allclose(other.masses, first.masses, atol=0.01)


def test_outside_and_nodata_tell_nothing(raster):
    far = shapely.affinity.translate(house(), 10_000, 0)
    without_data = shapely.box(WEST + 5, NORTH - 12, WEST + 20, NORTH - 4)
    found = evidence(raster, [far, house(), without_data], UTM)
    counts = shapely.get_num_coordinates([far, house(), without_data])
    ours = np.repeat([False, True, False], counts)
    assert (found.masses[~ours] == 1).all()
    assert found.masses[ours].std() > 0.3
    np.testing.assert_array_equal(np.isnan(found.angles), [True, False, True])


def test_weights_are_relative_and_bounded():
    gradient = np.array([1, 1, 4, 0, np.nan, 5, 5, np.nan], complex)
    found = evidence_of(gradient, np.array([0, 0, 0, 0, 0, 1, 1, 2]), 3)
    np.testing.assert_allclose(found.masses, [2 / 3, 2 / 3, 8 / 3, 0.1, 1, 1, 1, 1])


def test_a_round_gradient_has_no_direction():
    around = np.exp(1j * np.linspace(0, 2 * np.pi, 64, endpoint=False))
    walls = np.exp(1j * (np.radians(12) + np.pi / 2 * np.arange(64)))
    found = evidence_of(np.concatenate((around, walls)), np.repeat([0, 1], 64), 2)
    assert np.isnan(found.angles[0])
    assert found.angles[1] == pytest.approx(12)


def test_directions_go_where_nothing_else_is_offered():
    offered = Offered(np.array([7.0, 8.0]), np.array([0, 0, 2, 2]))
    joined = with_directions(offered, np.array([1.0, 2.0, np.nan]))
    assert joined.angles.tolist() == [1.0, 7.0, 8.0]
    assert joined.ends.tolist() == [0, 1, 3, 3]


def rough_house():
    """Return the house with its eastern wall wavy, where the raster is faint."""
    points = shapely.get_coordinates(house())
    waves = np.where(points[:, 0] > WEST + 50, 0.6 * np.sin(points[:, 1] * 1.7), 0.0)
    waves[-1] = waves[0]
    return shapely.Polygon(points + np.column_stack((waves, waves)))


def regularized(folder, name, **options):
    source, output = folder / "rough.gpkg", folder / f"{name}.gpkg"
    outlines = [rough_house(), None, shapely.affinity.translate(rough_house(), 10_000, 0)]
    geopandas.GeoDataFrame({"number": [1, 2, 3]}, geometry=outlines, crs=UTM).to_crs(4326).to_file(source)
    engine.run(RegularizeFootprints(str(source), str(output), method="right-angles", **options), Progress())
    return geopandas.read_file(output)


def test_the_task_heeds_the_raster_only_where_it_lies(raster, tmp_path):
    without = regularized(tmp_path, "without")
    for use in ("weights", "directions", "both"):
        found = regularized(tmp_path, use, probability=raster, probability_use=use)
        assert found["number"].tolist() == [1, 2, 3]
        assert not found.geometry[0].equals(without.geometry[0])
        assert found.geometry[1] is None
        assert found.geometry[2].equals(without.geometry[2])


def test_a_raster_without_crs_is_refused(tmp_path):
    path = tmp_path / "nowhere.tif"
    with probability_writer(path, ProbabilityPlan(8, 8, Affine.scale(1), None, ("building",))) as dataset:
        dataset.write(np.zeros((8, 8), np.uint8), 1)
    with pytest.raises(MissingCrsError, match=r"nowhere\.tif"):
        regularized(tmp_path, "refused", probability=str(path))
    assert not (tmp_path / "refused.gpkg").exists()


def test_shared_walls_go_without_a_raster():
    with pytest.raises(InvalidParameterError, match="SHARED_WALLS"):
        RegularizeFootprints("in.gpkg", "out.gpkg", probability="p.tif", shared_walls=True)
