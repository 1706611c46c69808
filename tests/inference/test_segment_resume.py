"""A stopped prediction goes on where it was, and ends with the bytes of one that was never stopped."""

import dataclasses
import itertools
import os
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine

from building_segmenter import tasks
from building_segmenter.errors import CancelledError, InputNotFoundError, InputUnreadableError, ModelError, NoDataError
from building_segmenter.inference import finished, runtime
from building_segmenter.inference.segment import segment_raster
from building_segmenter.networks.model_file import load_model, save_model
from building_segmenter.progress import Progress, SilentSink

UTM = Affine(0.15, 0, 300000, 0, -0.15, 3700000)


class StoppingSink(SilentSink):
    """Asks to stop once so much is done."""

    def __init__(self, share):
        super().__init__()
        self.share, self.cancelled = share, threading.Event()

    def progress(self, fraction, stage, eta_s):
        if fraction >= self.share:
            self.cancelled.set()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(finished, "_LEAST_BYTES", 1)


@pytest.fixture
def image(write_image):
    pixels = np.random.default_rng(5).integers(1, 255, (600, 471, 3)).astype(np.uint8)
    return write_image(pixels, transform=UTM)


@pytest.fixture
def run(tmp_path, bright_model):
    """Segment to `out.tif`; returns the file's bytes and what was logged."""

    def segment(path, sink=None, output="out.tif", **options):
        sink = sink or SilentSink()
        target = tmp_path / output
        facts = {"model": bright_model, "inference_precision": "f32", "threads": 1} | options
        progress = Progress(sink, getattr(sink, "cancelled", None))
        segment_raster(tasks.SegmentRaster(input=path, output=str(target), **facts), progress)
        return target.read_bytes(), sink.logs

    return segment


@pytest.fixture
def stopped(run):
    def segment(path, share=0.6, **options):
        sink = StoppingSink(share)
        with pytest.raises(CancelledError):
            run(path, sink, **options)
        return sink.logs

    return segment


def kept(tmp_path):
    state = tmp_path / "out.tif.partial"
    return sorted(path.name for path in (state / "result").iterdir()) if state.exists() else None


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.75])
@pytest.mark.parametrize("share", [0.3, 0.65, 0.9])
def test_a_stopped_run_goes_on_to_the_same_bytes(run, stopped, predicted, image, tmp_path, overlap, share):
    whole, _ = run(image, output="whole.tif", overlap=overlap)
    tiles = len(predicted)
    logs = stopped(image, share, overlap=overlap)
    assert "the same run goes on from there" in logs[-1]
    assert "out.tif.partial" in logs[-1]
    assert kept(tmp_path)[0] == "0.rows"
    assert not (tmp_path / "out.tif").exists()
    del predicted[:]
    again, logs = run(image, overlap=overlap)
    assert again == whole
    assert any("Going on from" in line for line in logs)
    # The rows of tiles that reach below the finished rows come again, which with much overlap the first of all does.
    assert len(predicted) < tiles or (share, overlap) == (0.3, 0.75)
    assert kept(tmp_path) is None


def test_a_run_can_be_stopped_again_and_again(run, stopped, image):
    whole, _ = run(image, output="whole.tif")
    for share in (0.3, 0.3, 0.5, 0.7, 0.8, 0.9):
        stopped(image, share)
    assert run(image)[0] == whole


def test_extent_nodata_and_scaled_values_go_on_too(run, stopped, write_image):
    pixels = np.random.default_rng(7).integers(1, 60000, (600, 471, 3)).astype(np.uint16)
    pixels[:250] = 0
    path = write_image(pixels, transform=UTM, nodata=0)
    extent = (300000 + 0.15 * 60, 3700000 - 0.15 * 590, 300000 + 0.15 * 400, 3700000 - 0.15 * 33)
    whole, _ = run(path, output="whole.tif", extent=extent)
    stopped(path, 0.7, extent=extent)
    assert run(path, extent=extent)[0] == whole


def test_options_of_how_and_where_it_is_done_may_differ(run, stopped, image, predicted):
    whole, _ = run(image, output="whole.tif")
    tiles = len(predicted)
    stopped(image, 0.8)
    del predicted[:]
    assert run(image, threads=2)[0] == whole
    assert len(predicted) < tiles / 2


def test_other_options_start_over(run, stopped, image):
    whole, _ = run(image, output="whole.tif", overlap=0.5)
    stopped(image)
    again, logs = run(image, overlap=0.5)
    assert again == whole
    assert "A stopped run had other values of overlap: starting afresh." in logs


def test_another_image_starts_over(run, stopped, image, write_image):
    stopped(image)
    other = np.random.default_rng(9).integers(1, 255, (600, 471, 3)).astype(np.uint8)
    write_image(other, transform=UTM)
    again, logs = run(image)
    assert any("other values of input" in line for line in logs)
    assert again == run(image, output="whole.tif")[0]


def test_another_model_of_the_same_name_starts_over(run, stopped, image, bright_model, tmp_path):
    model = tmp_path / "model.keras"
    shutil.copy(bright_model, model)
    stopped(image, model=str(model))
    network, facts = load_model(bright_model)
    save_model(network, dataclasses.replace(facts, tile_size=96), model)
    again, logs = run(image, model=str(model))
    assert any("other values of model" in line for line in logs)
    assert again == run(image, output="whole.tif", model=str(model))[0]


def test_a_tile_of_a_mosaic_that_changed_starts_over(run, stopped, write_image, tmp_path):
    pixels = np.random.default_rng(5).integers(1, 255, (600, 471, 3)).astype(np.uint8)
    tile = write_image(pixels, "tile.tif", transform=UTM)
    mosaic = tmp_path / "mosaic.vrt"
    rasterio.shutil.copy(tile, mosaic, driver="VRT")
    stopped(str(mosaic))
    # What QGIS writes beside a file that it shows changes nothing of it.
    Path(f"{tile}.aux.xml").write_text("<PAMDataset/>")
    assert any("Going on" in line for line in stopped(str(mosaic), 0.8))
    os.utime(tile, ns=(1, 1))
    _, logs = run(str(mosaic))
    assert any("other values of input" in line for line in logs)


def test_without_resume_nothing_is_kept_and_what_was_goes(run, stopped, image, tmp_path):
    stopped(image, resume=False)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["image.tif"]
    stopped(image)
    run(image, resume=False)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["image.tif", "out.tif"]


def test_a_mistake_in_an_option_does_not_cost_what_is_kept(run, stopped, image, tmp_path):
    stopped(image)
    before = kept(tmp_path)
    for wrong in ({"model": str(tmp_path / "none.keras")}, {"area": str(tmp_path / "none.gpkg")}):
        with pytest.raises(InputNotFoundError):
            run(image, **wrong)
    with pytest.raises(InputNotFoundError):
        run(str(tmp_path / "none.tif"))
    assert kept(tmp_path) == before
    assert any("Going on" in line for line in run(image)[1])


def test_nothing_but_nodata_is_not_kept(run, write_image, tmp_path):
    path = write_image(np.zeros((300, 300, 3), np.uint8), transform=UTM, nodata=0)
    with pytest.raises(NoDataError):
        run(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["image.tif"]


def test_an_unreadable_block_is_told_with_its_place_and_what_is_above_is_kept(run, write_image, tmp_path):
    pixels = np.random.default_rng(5).integers(1, 255, (600, 471, 3)).astype(np.uint8)
    path = write_image(pixels, transform=UTM, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    with rasterio.open(path) as dataset:
        place = int(dataset.get_tag_item("BLOCK_OFFSET_3_7", "TIFF", bidx=1))
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 64)
    sink = SilentSink()
    with pytest.raises(InputUnreadableError) as caught:
        run(path, sink)
    # Of the tiles over the block of rows 448 to 511 and columns 192 to 255, the first.
    found = re.search(r"at rows (\d+) to (\d+), columns (\d+) to (\d+):", caught.value.message)
    top, bottom, left, right = map(int, found.groups())
    assert top < 512
    assert bottom >= 448
    assert left < 256
    assert right >= 192
    assert "image.tif" in caught.value.message
    assert "image.tif, band 1: IReadBlock failed" in caught.value.message
    assert caught.value.hint
    assert kept(tmp_path)[0] == "0.rows"
    assert "goes on from there" in sink.logs[-1]


@pytest.mark.parametrize("failure", ["error", "numbers"])
def test_a_network_that_fails_half_way_is_told_with_the_place_and_what_is_done_is_kept(
    run, image, tmp_path, monkeypatch, failure
):
    whole, _ = run(image, output="whole.tif")
    numbers, at_once = itertools.count(), runtime.TilePredictor.predict

    def failing(self, tile):
        number = next(numbers)
        if number == 20 and failure == "error":
            raise ModelError("The network failed while it was predicting: out of memory", "Use fewer THREADS.")
        found = at_once(self, tile)
        return found * np.float32("nan") if number == 20 else found

    with monkeypatch.context() as patch:
        patch.setattr(runtime.TilePredictor, "predict", failing)
        with pytest.raises(ModelError, match=r"at rows \d+ to \d+, columns \d+ to \d+ of the image") as caught:
            run(image)
    assert "image.tif" in caught.value.message
    assert caught.value.hint
    assert kept(tmp_path)[0] == "0.rows"
    assert run(image)[0] == whole
