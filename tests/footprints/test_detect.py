"""Buildings found one by one over a whole raster, by a detector that reads from each pixel whose it is.

So it knows the truth of what a tile shows, and nothing of other tiles.
"""

import threading

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from geopandas.testing import assert_geodataframe_equal
from PIL import Image
from rasterio.features import rasterize

from building_segmenter import tasks
from building_segmenter.errors import (
    CancelledError,
    InvalidParameterError,
    ModelError,
    NoDataError,
    NoOverlapError,
)
from building_segmenter.footprints.detect import detect_buildings
from building_segmenter.footprints.extract import extract_buildings
from building_segmenter.inference.instances import detection
from building_segmenter.inference.instances.predictor import Found
from building_segmenter.inference.segment import segment_raster
from building_segmenter.networks.facts import BandFacts, ModelFacts
from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.model_file import write_mask_rcnn
from building_segmenter.networks.mask_rcnn.network import build_networks
from building_segmenter.progress import Progress, SilentSink

TILE, GSD = 128, 0.15
CONFIG = Config(
    BACKBONE="mobilenetv2",
    NUM_CLASSES=3,
    IMAGE_MIN_DIM=TILE,
    IMAGE_MAX_DIM=TILE,
    TOP_DOWN_PYRAMID_SIZE=8,
    FPN_CLASSIF_FC_LAYERS_SIZE=8,
)
ROW = [shapely.box(30 + 24 * k, 180, 54 + 24 * k, 210) for k in range(9)]
"""Nine houses that touch, across four tile lines."""
ROOFS = [
    *ROW,
    shapely.box(80, 80, 115, 112),
    shapely.box(20, 20, 290, 45),  # a hall, longer than two tiles
    shapely.affinity.rotate(shapely.box(150, 90, 190, 120), 30),
    shapely.box(240, 80, 280, 140),
]
SHEDS = (9, 11)


class Seer:
    """Finds the objects whose numbers the pixels of the first band are; the second band holds their class."""

    requests = 2

    def __init__(self, parts, config, tile_size, runtime):
        self.least = config.DETECTION_MIN_CONFIDENCE

    def predict(self, tile):
        numbers = tile[..., 0].astype(int)
        found = [number for number in np.unique(numbers) if number and score(number) >= self.least]
        boxes, masks = [], []
        for number in found:
            rows, columns = np.nonzero(numbers == number)
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            boxes.append(box)
            masks.append(np.float32(numbers[box[1] : box[3], box[0] : box[2]] == number))
        labels = [int(tile[..., 1][numbers == number].max()) for number in found]
        scores = [score(number) for number in found]
        # Masks of any size are pasted; the type says it of those of a network only.
        return Found(np.array(boxes, np.float32).reshape(-1, 4), Ragged(masks), np.array(scores), np.array(labels))


class Ragged(list):
    def sum(self):
        return sum(float(one.sum()) for one in self)


def score(number):
    return 0.5 + number / 100


@pytest.fixture(autouse=True)
def seer(monkeypatch):
    monkeypatch.setattr(detection, "InstancePredictor", Seer)
    # Nothing of its networks is wanted.
    monkeypatch.setattr(detection, "checked_numbers", lambda values: values)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "seer.keras"
    facts = ModelFacts(
        name="seer",
        architecture="Mask R-CNN",
        bands=tuple(BandFacts(str(k), 0.0, 255.0, 100.0, 50.0) for k in range(3)),
        dtype="uint8",
        scale=(1.0,) * 3,
        offset=(0.0,) * 3,
        gsd=GSD,
        tile_size=TILE,
        channels=("house", "shed"),
        classes=({"value": 7, "name": "house"}, {"value": 9, "name": "shed"}),
        threshold=0.5,
        created="2026-01-02T03:04:05Z",
    )
    write_mask_rcnn(build_networks(CONFIG), CONFIG, facts, path)
    return str(path)


def painted(width=320, height=240):
    shapes = [(roof, number) for number, roof in enumerate(ROOFS, 1)]
    numbers = rasterize(shapes, (height, width), dtype=np.uint8)
    classes = np.where(np.isin(numbers, np.array(SHEDS) + 1), 2, 1)
    return np.stack([numbers, classes, np.full_like(numbers, 90)], -1).astype(np.uint8)


@pytest.fixture
def image(write_image):
    return write_image(painted())


@pytest.fixture
def detect(tmp_path, model):
    def run(path, name="out.gpkg", sink=None, **options):
        sink = sink or StoppingSink()
        task = tasks.DetectBuildings(input=path, output=str(tmp_path / name), **({"model": model} | options))
        detect_buildings(task, Progress(sink, sink.cancelled))
        return geopandas.read_file(tmp_path / name)

    return run


class StoppingSink(SilentSink):
    """Asks to stop once so much is done; keeps what is logged."""

    def __init__(self, share=2.0):
        super().__init__()
        self.share, self.cancelled, self.told = share, threading.Event(), []

    def progress(self, fraction, stage, eta_s):
        if fraction >= self.share:
            self.cancelled.set()

    def log(self, message):
        self.told.append(message)


def on_pixels(frame, path):
    """Polygons in pixels of the image, by their score."""
    with rasterio.open(path) as dataset:
        back = ~dataset.transform
    matrix, shift = np.array([[back.a, back.d], [back.b, back.e]]), np.array([back.c, back.f])
    polygons = shapely.transform(frame.geometry.to_numpy(), lambda xy: xy @ matrix + shift)
    numbers = np.rint(frame["score"] - 50).astype(int)
    return dict(zip(numbers.tolist(), polygons, strict=True))


def iou(one, other):
    return one.intersection(other).area / one.union(other).area


def test_every_building_comes_out_whole_and_once(detect, image):
    frame = detect(image)
    found = on_pixels(frame, image)
    assert len(frame) == len(found) == len(ROOFS)
    for number, roof in enumerate(ROOFS, 1):
        assert iou(found[number], roof) > 0.95, number
    assert frame.crs.to_epsg() == 32616
    np.testing.assert_allclose(frame["area_m2"], [found[k].area * GSD**2 for k in frame_numbers(frame)], rtol=0.02)


def frame_numbers(frame):
    return np.rint(frame["score"] - 50).astype(int).tolist()


def test_classes_and_scores_are_told(detect, image):
    frame = detect(image)
    sheds = {number - 1 for number in frame_numbers(frame[frame["class"] == 9])}
    assert sheds == set(SHEDS) and set(frame["class_name"]) == {"house", "shed"}
    assert list(frame.columns[:6]) == ["class", "class_name", "score", "area_m2", "perim_m", "vertices"]
    surer = detect(image, name="surer.gpkg", min_score=0.595)
    assert sorted(frame_numbers(surer)) == list(range(10, len(ROOFS) + 1))


@pytest.mark.parametrize("orientation", ["rotated", "south-up"])
def test_any_orientation_gives_the_same_on_the_ground(detect, write_image, image, orientation):
    expected = {n: shape for n, shape in zip(*_by_score(detect(image)), strict=True)}
    turned = write_image(painted(), name="turned.tif", orientation=orientation)
    if orientation == "rotated":
        found = on_pixels(detect(turned, name="turned.gpkg"), turned)
        assert all(iou(found[number], roof) > 0.95 for number, roof in enumerate(ROOFS, 1))
        return
    found = dict(zip(*_by_score(detect(turned, name="turned.gpkg")), strict=True))
    assert all(iou(found[number], expected[number]) > 0.99 for number in expected)


def _by_score(frame):
    return frame_numbers(frame), frame.geometry.tolist()


def test_ground_outside_of_area_and_extent_is_left_out(detect, image, write_roofs):
    area = shapely.box(0, 0, 100, 120)
    found = on_pixels(detect(image, area=write_roofs([area])), image)
    assert set(found) == {10, 11} and all(shape.difference(area.buffer(0.6)).is_empty for shape in found.values())
    with rasterio.open(image) as dataset:
        (xmin, ymin), (xmax, ymax) = dataset.transform * (60, 230), dataset.transform * (200, 60)
    found = on_pixels(detect(image, name="e.gpkg", extent=(xmin, ymin, xmax, ymax)), image)
    there = shapely.box(60, 60, 200, 230)
    assert {10, 12} < set(found) and 11 not in found and 13 not in found
    assert all(shape.difference(there.buffer(0.6)).is_empty for shape in found.values())


def test_nodata_hides_what_it_covers_and_all_of_it_is_told(detect, write_image):
    picture = painted()
    picture[:, :100] = 0
    path = write_image(picture, nodata=0)
    found = on_pixels(detect(path), path)
    assert all(shape.bounds[0] > 99 for shape in found.values()) and 13 in found
    with pytest.raises(NoDataError):
        detect(write_image(np.zeros_like(picture), name="none.tif", nodata=0), name="none.gpkg")


def test_an_image_smaller_than_a_tile_finds_nothing_in_its_mirror_image(detect, write_image):
    path = write_image(painted()[60:130, 60:130])
    found = detect(path)
    assert frame_numbers(found) == [10]
    assert shapely.box(*rasterio.open(path).bounds).buffer(0.1).contains(found.geometry.iloc[0])


def test_nothing_found_is_an_empty_layer(detect, write_image):
    frame = detect(write_image(np.full((150, 150, 3), (0, 1, 90), np.uint8)))
    assert len(frame) == 0 and "score" in frame.columns


def test_a_stopped_run_goes_on_and_ends_the_same(detect, image, monkeypatch, tmp_path):
    expected = detect(image, name="whole.gpkg")
    stopping = StoppingSink(0.5)
    with pytest.raises(CancelledError):
        detect(image, sink=stopping)
    assert (tmp_path / "out.gpkg.partial").is_dir() and not (tmp_path / "out.gpkg").exists()
    tiles, at_once = [], Seer.predict
    monkeypatch.setattr(Seer, "predict", lambda self, tile: tiles.append(1) or at_once(self, tile))
    sink = StoppingSink()
    assert_geodataframe_equal(detect(image, sink=sink), expected)
    assert any("Going on" in line for line in sink.told) and 0 < len(tiles) < 6
    assert not (tmp_path / "out.gpkg.partial").exists()


def test_another_least_score_starts_afresh(detect, image):
    with pytest.raises(CancelledError):
        detect(image, sink=StoppingSink(0.5))
    sink = StoppingSink()
    assert len(detect(image, sink=sink, min_score=0.55)) == len(ROOFS) - 4
    assert any("min_score" in line for line in sink.told)


def test_the_picture_shows_the_window_with_outlines_and_scores(detect, image, tmp_path):
    with rasterio.open(image) as dataset:
        (xmin, ymax), (xmax, ymin) = dataset.transform * (60, 60), dataset.transform * (200, 160)
    detect(image, picture=str(tmp_path / "p.png"), picture_extent=(xmin, ymin, xmax, ymax))
    picture = np.asarray(Image.open(tmp_path / "p.png")).astype(int)
    # The CRS is turned a little against the image.
    assert 100 <= picture.shape[0] <= 110 and 140 <= picture.shape[1] <= 150
    # The house at column 80, row 80 of the image, and ground beside it.
    orange = (picture == (255, 140, 0)).all(axis=-1)
    assert orange[20:60, 15:35].sum() > 20 and not orange[:12, :12].any()
    assert picture[20:52, 20:60].min(axis=-1).max() > 180, "the score is written in white"
    with pytest.raises(NoOverlapError, match="PICTURE_EXTENT"):
        detect(image, name="n.gpkg", picture=str(tmp_path / "n.png"), picture_extent=(0.0, 0.0, 9.0, 9.0))


def test_extract_regularizes_what_is_detected(image, model, tmp_path):
    task = tasks.ExtractBuildings(input=image, output=str(tmp_path / "e.gpkg"), model=model, threshold=0.595)
    result = extract_buildings(task, Progress())
    frame = geopandas.read_file(tmp_path / "e.gpkg")
    assert result["features"] == len(frame) == len(ROOFS) - 9 and result["threshold"] == 0.595
    assert (frame["status"] == 0).all() and set(frame["class_name"]) == {"house", "shed"}
    found = on_pixels(frame, image)
    assert all(iou(found[number], ROOFS[number - 1]) > 0.95 for number in found)
    assert shapely.get_num_coordinates(found[10]) == 5


@pytest.mark.parametrize(
    "given", [{"augment": "flips"}, {"probability": "p.tif"}, {"shared_walls": True}, {"model_gsd": 0.2}]
)
def test_extract_refuses_what_a_detector_does_not_know(image, model, tmp_path, given):
    task = tasks.ExtractBuildings(input=image, output=str(tmp_path / "e.gpkg"), model=model, **given)
    with pytest.raises(InvalidParameterError, match=next(iter(given)).upper()):
        extract_buildings(task, Progress())


def test_models_of_the_other_kind_are_refused(detect, image, model, bright_model, tmp_path):
    with pytest.raises(ModelError, match="what each pixel is"):
        detect(image, model=bright_model)
    with pytest.raises(ModelError, match="one by one"):
        segment_raster(tasks.SegmentRaster(input=image, output=str(tmp_path / "p.tif"), model=model), Progress())
    with pytest.raises(InvalidParameterError, match="MODEL is missing"):
        tasks.DetectBuildings(input=image, output="out.gpkg")


def test_an_image_without_crs_is_measured_by_its_ground_pixel(detect, write_image):
    path = write_image(painted(), crs=None, transform=Affine.scale(3.0, -3.0))
    frame = detect(path, gsd=GSD)
    areas = dict(zip(frame_numbers(frame), frame["area_m2"], strict=True))
    assert frame.crs is None and areas[13] == pytest.approx(40 * 60 * GSD**2, rel=0.02)
