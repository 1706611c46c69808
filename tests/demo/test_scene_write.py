"""Writing a scene: its pixel is exact on the ground in every CRS, and image and footprints stay together."""

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

from building_segmenter.geo.ground import ground_pixel, local_frame
from demo.scene import Corner, draw_scene, write_scene
from demo.scene.__main__ import main

ATLANTA = Corner(-84.39, 33.75)
KAMPALA = Corner(32.5825, 0.3476)
PLACES = [("EPSG:4326", KAMPALA), ("EPSG:3857", ATLANTA), ("EPSG:32636", KAMPALA), ("EPSG:2240", ATLANTA)]


@pytest.fixture(scope="module")
def scene():
    return draw_scene(8, 400, 300, gsd=0.2)


@pytest.mark.parametrize(("crs", "corner"), PLACES)
def test_the_pixel_is_exact_on_the_ground(scene, tmp_path, crs, corner):
    write_scene(scene, tmp_path / "a.tif", tmp_path / "a.gpkg", crs, corner)
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert raster.crs == rasterio.CRS.from_string(crs)
        t = raster.transform
        assert ground_pixel(raster.crs, (t.a, t.d), (t.b, t.e), raster.bounds) == pytest.approx((0.2, 0.2), rel=1e-6)
        assert np.array_equal(np.moveaxis(raster.read(), 0, 2), scene.image)
        placed = geopandas.read_file(tmp_path / "a.gpkg")
        pixels = shapely.transform(placed.geometry.to_numpy(), lambda xy: np.column_stack(~t * (xy[:, 0], xy[:, 1])))
        frame = local_frame(crs, tuple(raster.bounds))
    for footprint, back in zip(scene.footprints, pixels, strict=True):
        assert shapely.hausdorff_distance(footprint, back) < 1e-3
    ground = frame.geometry_to_ground(placed.geometry.to_numpy())
    assert shapely.area(ground) == pytest.approx(placed.area_m2.to_numpy(), rel=1e-5)


@pytest.mark.parametrize(("crs", "corner"), PLACES)
def test_right_angles_are_right_on_the_ground(scene, tmp_path, crs, corner):
    write_scene(scene, tmp_path / "a.tif", tmp_path / "a.gpkg", crs, corner)
    placed = geopandas.read_file(tmp_path / "a.gpkg")
    frame = local_frame(crs, tuple(placed.total_bounds))
    for footprint in frame.geometry_to_ground(placed.geometry.to_numpy()):
        points = np.asarray(footprint.exterior.coords)[:-1]
        before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
        lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        angles = np.degrees(np.arccos(np.abs((before * after).sum(axis=1) / lengths)))
        assert np.abs(angles - 90).max() < 0.01


def test_the_command_writes_scenes_for_training(tmp_path, monkeypatch, capsys):
    options = ["--seed", "3", "--size", "160", "--count", "2", "--town", "suburb"]
    monkeypatch.setattr("sys.argv", ["demo.scene", str(tmp_path / "new"), *options])
    main()
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["scene_3.gpkg", "scene_3.tif", "scene_4.gpkg", "scene_4.tif"]
    assert "scene_4.tif" in capsys.readouterr().out
