"""What extract predicted is not predicted again after a failure, also with other options of what is made of it."""

import threading
from itertools import count

import geopandas
import numpy as np
import pytest
from geopandas.testing import assert_geodataframe_equal

from building_segmenter import tasks
from building_segmenter.errors import CancelledError, ModelError, OutputNotWritableError
from building_segmenter.footprints import extract as module
from building_segmenter.footprints import tracing
from building_segmenter.footprints.contours import field
from building_segmenter.footprints.extract import extract_buildings
from building_segmenter.footprints.straightened import Straightened
from building_segmenter.inference import finished
from building_segmenter.inference.runtime import TilePredictor
from building_segmenter.progress import Progress, SilentSink


class StoppingSink(SilentSink):
    """Asks to stop once so much is done; keeps the shares told."""

    def __init__(self, share=2.0):
        super().__init__()
        self.share, self.cancelled, self.seen = share, threading.Event(), []

    def progress(self, fraction, stage, eta_s):
        self.seen.append(fraction)
        if fraction >= self.share:
            self.cancelled.set()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(finished, "_LEAST_BYTES", 1)


@pytest.fixture
def extract(tmp_path, bright_model):
    def run(path, sink=None, name="out.gpkg", **options):
        sink = sink or StoppingSink()
        facts = {"model": bright_model, "inference_precision": "f32", "threads": 1} | options
        task = tasks.ExtractBuildings(input=path, output=str(tmp_path / name), **facts)
        extract_buildings(task, Progress(sink, sink.cancelled))
        return geopandas.read_file(tmp_path / name), sink

    return run


@pytest.fixture
def image(write_image, flat_scene):
    return write_image(flat_scene.image)


def state_of(tmp_path, name="out.gpkg"):
    return tmp_path / f"{name}.partial"


@pytest.fixture
def unwritable(monkeypatch):
    """Let the writing of footprints fail."""

    def fail(batches, *_):
        list(batches)
        raise OutputNotWritableError("The layer is open elsewhere.", "Close it.")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_batches", fail)
        yield patch


def test_a_prediction_that_was_stopped_goes_on(extract, image, tmp_path, predicted):
    whole, _ = extract(image, name="whole.gpkg")
    tiles = len(predicted)
    with pytest.raises(CancelledError):
        extract(image, StoppingSink(0.6))
    assert state_of(tmp_path).is_dir()
    del predicted[:]
    layer, sink = extract(image)
    assert_geodataframe_equal(layer, whole)
    assert len(predicted) < tiles
    assert any("Going on" in line for line in sink.logs)
    assert not state_of(tmp_path).exists()


def test_footprints_that_could_not_be_written_need_no_new_prediction(extract, image, tmp_path, predicted, unwritable):
    with pytest.raises(OutputNotWritableError):
        extract(image)
    assert state_of(tmp_path).is_dir()
    unwritable.undo()
    del predicted[:]
    other = {"threshold": 0.7, "method": "any-angle", "tolerance": 0.6, "min_area": 9.0, "split": False}
    layer, sink = extract(image, **other)
    assert not predicted
    assert not any("afresh" in line for line in sink.logs)
    assert_geodataframe_equal(layer, extract(image, name="whole.gpkg", **other)[0])
    assert not state_of(tmp_path).exists()


def test_options_of_the_prediction_start_over(extract, image, predicted, unwritable):
    with pytest.raises(OutputNotWritableError):
        extract(image)
    unwritable.undo()
    del predicted[:]
    _, sink = extract(image, overlap=0.5)
    assert predicted
    assert any("other values of overlap: starting afresh" in line for line in sink.logs)


def test_a_kept_probability_raster_is_that_of_a_run_that_was_not_stopped(extract, image, tmp_path, unwritable):
    kept = {"probability": str(tmp_path / "kept.tif")}
    with pytest.raises(OutputNotWritableError):
        extract(image, **kept)
    assert not (tmp_path / "kept.tif").exists()
    unwritable.undo()
    extract(image, **kept)
    extract(image, name="whole.gpkg", probability=str(tmp_path / "whole.tif"))
    assert (tmp_path / "kept.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_without_resume_nothing_is_kept(extract, image, tmp_path, unwritable):
    with pytest.raises(OutputNotWritableError):
        extract(image, resume=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.tif"]


def test_progress_only_grows_from_start_to_end(extract, image):
    with pytest.raises(CancelledError):
        extract(image, StoppingSink(0.6))
    _, sink = extract(image)
    assert sink.seen == sorted(sink.seen)
    assert (sink.seen[0], sink.seen[-1]) == (0.0, pytest.approx(1.0, abs=0.02))


def test_the_image_is_opened_once(extract, image, monkeypatch):
    opened = []
    from building_segmenter.inference import segment
    from building_segmenter.rasters import source

    def counted(path, what="image"):
        opened.append(path)
        return source.open_raster(path, what)

    monkeypatch.setattr(segment, "open_raster", counted)
    extract(image)
    assert opened == [image]


def test_footprints_are_regularized_while_what_lies_below_is_predicted(extract, write_image, flat_scene, monkeypatch):
    # Tall enough for several strips of the raster that is traced while it is made.
    path = write_image(np.concatenate([flat_scene.image] * 5))
    regularized, tiles = threading.Event(), count(1)
    batch, predict = Straightened.batch, TilePredictor.predict

    def noted(self, frame, *rest):
        if len(frame):
            regularized.set()
        return batch(self, frame, *rest)

    def held_up(self, tile):
        # Some tiles below the first strip wait for its footprints.
        if next(tiles) > 50:
            assert regularized.wait(60), "Nothing was regularized before all was predicted."
        return predict(self, tile)

    monkeypatch.setattr(tracing, "FEATURES", 2)
    monkeypatch.setattr(field, "_READ_PIXELS", 1)
    whole, _ = extract(path, name="whole.gpkg")
    monkeypatch.setattr(Straightened, "batch", noted)
    monkeypatch.setattr(TilePredictor, "predict", held_up)
    layer, _ = extract(path)
    assert next(tiles) > 60
    assert_geodataframe_equal(layer, whole)


def test_a_prediction_that_fails_fails_the_run(extract, image, tmp_path, monkeypatch):
    def failing(self, tile):
        raise ModelError("The network failed.", "Try another.")

    monkeypatch.setattr(TilePredictor, "predict", failing)
    with pytest.raises(ModelError, match="The network failed"):
        extract(image, resume=False, probability=str(tmp_path / "kept.tif"))
    assert [path.name for path in tmp_path.iterdir()] == ["image.tif"]


def test_an_image_without_crs_is_measured_by_its_ground_pixel(extract, write_image, flat_scene):
    from affine import Affine

    fine = np.repeat(np.repeat(flat_scene.image, 2, axis=0), 2, axis=1)
    plain, _ = extract(write_image(flat_scene.image), name="plain.gpkg")
    for factor in (1, 3):
        transform = Affine.identity() if factor == 1 else Affine.scale(factor, -factor)
        path = write_image(fine, f"fine {factor}.tif", crs=None, transform=transform)
        layer, _ = extract(path, name=f"fine {factor}.gpkg", gsd=0.075)
        assert sorted(layer["area_m2"]) == pytest.approx(sorted(plain["area_m2"]), rel=0.02)
