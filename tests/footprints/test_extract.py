import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from building_segmenter import tasks
from building_segmenter.footprints.extract import extract_buildings
from building_segmenter.progress import Progress

CRSS = ["EPSG:4326", "EPSG:3857", "EPSG:32616", "EPSG:2240"]
ORIENTATIONS = ["north-up", "rotated", "south-up", "non-square"]
FIELDS = "score area_m2 perim_m vertices status reason method angle_deg max_dev_m iou geometry".split()


@pytest.fixture
def extract(tmp_path, bright_model):
    def run(path, name="footprints.gpkg", **options):
        output = tmp_path / name
        progress = Progress()
        facts = {"model": bright_model, "inference_precision": "f32"} | options
        result = extract_buildings(tasks.ExtractBuildings(input=path, output=str(output), **facts), progress)
        return geopandas.read_file(output), result, progress.sink

    return run


def in_scene(layer, path, orientation, width):
    """Return footprints in metres of the drawn scene, whatever CRS and orientation the file has."""
    with rasterio.open(path) as dataset:
        to_pixels = ~dataset.transform
        height = dataset.height
    pixels = shapely.transform(layer.geometry.to_numpy(), lambda x, y: to_pixels @ (x, y), interleaved=False)
    if orientation == "south-up":
        pixels = shapely.transform(pixels, lambda x, y: (x, height - y), interleaved=False)
    if orientation == "non-square":
        pixels = shapely.transform(pixels, lambda x, y: (x / 2, y), interleaved=False)
    return sorted(
        (shapely.affinity.scale(one, 0.15, 0.15, origin=(0, 0)) for one in pixels), key=lambda one: one.centroid.x
    )


def corner_errors(polygon):
    for ring in (polygon.exterior, *polygon.interiors):
        points = np.array(ring.coords)[:-1]
        before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
        cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
        turn = np.degrees(np.arctan2(cross, (before * after).sum(axis=1)))
        yield np.abs(np.abs(turn) - 90).max()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_same_footprints_in_every_crs(extract, write_image, flat_scene, orientation):
    seen = []
    for crs in CRSS:
        path = write_image(flat_scene.image, f"{crs[5:]}.tif", crs=crs, orientation=orientation)
        layer, _, _ = extract(path, f"{crs[5:]}.gpkg")
        assert layer.crs == crs
        assert (layer["status"] == 0).all()
        seen.append(in_scene(layer, path, orientation, 400))
    for other in seen[1:]:
        assert len(other) == len(seen[0]) == 3
        for one, same in zip(seen[0], other, strict=True):
            assert shapely.hausdorff_distance(one, same) < 0.01


def test_footprints_are_the_drawn_roofs(extract, write_image, flat_scene):
    path = write_image(flat_scene.image)
    layer, result, _ = extract(path)
    assert list(layer.columns) == FIELDS
    assert result["features"] == 3
    truth = sorted(
        (shapely.affinity.scale(one, 0.15, 0.15, origin=(0, 0)) for one in flat_scene.roofs),
        key=lambda one: one.centroid.x,
    )
    for found, true in zip(in_scene(layer, path, "north-up", 400), truth, strict=True):
        assert found.is_valid
        assert len(found.interiors) == len(true.interiors)
        assert found.intersection(true).area / found.union(true).area > 0.97
        assert shapely.get_num_coordinates(found) == shapely.get_num_coordinates(true)
        assert max(corner_errors(found)) < 0.1
    assert layer["area_m2"].sum() == pytest.approx(sum(one.area for one in truth), rel=0.02)
    assert layer["score"].between(90, 100).all()


def test_right_angles_hold_in_ground_metres_although_web_mercator_bends_them(extract, write_image, flat_scene):
    from building_segmenter.geo.ground import local_frame

    layer, _, _ = extract(write_image(flat_scene.image, crs="EPSG:3857"), "mercator.gpkg")
    ground = local_frame(layer.crs, tuple(layer.total_bounds)).geometry_to_ground(layer.geometry.to_numpy())
    assert max(max(corner_errors(one)) for one in ground) < 0.1
    assert max(max(corner_errors(one)) for one in layer.geometry) > 0.1


def test_the_probability_raster_on_request(extract, write_image, flat_scene, tmp_path):
    extract(write_image(flat_scene.image), probability=str(tmp_path / "probability.tif"))
    with rasterio.open(tmp_path / "probability.tif") as dataset:
        assert dataset.scales == (1 / 254,)
        assert dataset.nodata == 255
    assert sorted(path.name for path in tmp_path.iterdir()) == ["footprints.gpkg", "image.tif", "probability.tif"]


def test_no_building_is_a_success_with_an_empty_layer(extract, write_image, flat_scene):
    layer, result, sink = extract(write_image(np.full_like(flat_scene.image, 30)))
    assert len(layer) == result["features"] == 0
    assert list(layer.columns) == FIELDS
    assert sink.warnings


def test_an_image_without_crs_gives_footprints_in_its_pixels(extract, write_image, flat_scene):
    path = write_image(flat_scene.image, crs=None, transform=Affine.identity())
    layer, _, _ = extract(path, gsd=0.15)
    truth = shapely.union_all(flat_scene.roofs)
    found = layer.geometry.union_all()
    assert found.intersection(truth).area / found.union(truth).area > 0.97
    assert layer["area_m2"].sum() == pytest.approx(truth.area * 0.15**2, rel=0.02)


@pytest.mark.parametrize("name", ["f.geojson", "f.fgb", "f.shp", "f.parquet", "füße und mehr.gpkg"])
def test_formats_by_ending(write_image, flat_scene, tmp_path, bright_model, name):
    output = tmp_path / name
    options = tasks.ExtractBuildings(input=write_image(flat_scene.image), output=str(output), model=bright_model)
    extract_buildings(options, Progress())
    read = geopandas.read_parquet if output.suffix == ".parquet" else geopandas.read_file
    layer = read(output)
    assert len(layer) == 3
    assert set(FIELDS) <= set(layer.columns)


@pytest.fixture(scope="module")
def contact_model(tmp_path_factory, bright_model):
    """A model that sees buildings in the first band and contacts in the second."""
    import dataclasses

    import keras

    from building_segmenter.networks.model_file import load_model, save_model

    path = tmp_path_factory.mktemp("model") / "contact.keras"
    _, facts = load_model(bright_model)
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, activation="sigmoid")(inputs))
    weights = np.zeros((1, 1, 3, 2), np.float32)
    weights[0, 0, 0, 0] = weights[0, 0, 1, 1] = 0.05
    model.set_weights([weights, np.array([-7.0, -7.0], np.float32)])
    save_model(model, dataclasses.replace(facts, channels=("building", "contact")), path)
    return str(path)


def test_touching_buildings_come_apart_unless_asked_not_to(extract, write_image, contact_model):
    image = np.full((300, 400, 3), 40, np.uint8)
    image[60:200, 50:330, 0] = 240
    image[60:200, 187:193, 1] = 240
    path = write_image(image)
    layer, result, sink = extract(path, "apart.gpkg", model=contact_model)
    assert result["features"] == 2
    assert layer["area_m2"].tolist() == pytest.approx([140 * 140 * 0.15**2] * 2, rel=0.05)
    assert any("parted into 2 buildings" in line for line in sink.logs)
    for off in ({"split": False}, {"contact_threshold": 1.0}):
        together, _, _ = extract(path, "together.gpkg", model=contact_model, **off)
        assert len(together) == 1
    shared, _, _ = extract(path, "shared.gpkg", model=contact_model, shared_walls=True)
    one, other = shared.geometry
    assert shapely.coverage_is_valid([one, other])
    assert one.intersection(other).length == pytest.approx(140 * 0.15 * 1.0, rel=0.05)


def test_a_model_of_several_classes_gives_polygons_of_each(extract, write_image, bright_model, tmp_path):
    import dataclasses

    import keras

    from building_segmenter.networks.facts import UNUSED_THRESHOLD
    from building_segmenter.networks.model_file import load_model, save_model

    _, facts = load_model(bright_model)
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1, activation="softmax")(inputs))
    # Red is a building, green a road, neither is background.
    weights = np.zeros((1, 1, 3, 3), np.float32)
    weights[0, 0, 0, 1] = weights[0, 0, 1, 2] = 0.1
    model.set_weights([weights, np.array([14.0, 0.0, 0.0], np.float32)])
    classes = ({"value": 1, "name": "building"}, {"value": 7, "name": "road"})
    path = tmp_path / "classes.keras"
    channels = ("background", "building", "road")
    facts = dataclasses.replace(
        facts, channels=channels, classes=classes, activation="softmax", threshold=UNUSED_THRESHOLD
    )
    save_model(model, facts, path)
    image = np.full((300, 400, 3), 40, np.uint8)
    image[60:200, 50:190, 0] = 240
    image[60:200, 190:330, 1] = 240
    layer, result, sink = extract(write_image(image), model=str(path))
    assert result["features"] == 2
    assert list(layer.columns) == ["class", "class_name", *FIELDS]
    assert list(zip(layer["class"], layer["class_name"], strict=True)) == [(1, "building"), (7, "road")]
    assert (layer["status"] == 0).all()
    assert layer["area_m2"].tolist() == pytest.approx([140 * 140 * 0.15**2] * 2, rel=0.02)
    assert any("each by itself" in line for line in sink.logs)


def test_an_image_without_buildings_is_named_as_the_user_did(extract, write_image):
    path = write_image(np.full((40, 50, 3), 20, np.uint8), "empty ground.tif")
    layer, result, sink = extract(path)
    assert (len(layer), result["features"]) == (0, 0)
    assert sink.warnings == [f"No polygon was found in {path}: nothing inside is larger than 4 m2."]
