"""Results in order, work bounded, and errors that surface, whatever the threads do."""

import threading
import time
from contextlib import closing

import numpy as np
import pytest
import rasterio

from building_segmenter import tasks
from building_segmenter.errors import CancelledError, InputUnreadableError
from building_segmenter.inference import runtime, segment
from building_segmenter.inference.pipeline import in_order
from building_segmenter.progress import Progress


def nothing():
    pass


def test_results_come_in_order_however_long_each_takes():
    delays = np.random.default_rng(1).uniform(0, 0.02, 40)

    def slow(number):
        time.sleep(delays[number])
        return number

    assert list(in_order(slow, range(40), 4, 9, nothing)) == list(range(40))


def test_no_more_is_begun_than_allowed():
    begun, taken, most = [], 0, 0
    for _ in in_order(begun.append, range(50), 3, 7, nothing):
        most = max(most, len(begun) - taken)
        taken += 1
    assert 1 <= most <= 7
    assert len(begun) == 50


def test_later_items_are_worked_on_while_the_caller_is_busy():
    later = threading.Event()

    def work(number):
        if number == 3:
            later.set()
        return number

    with closing(in_order(work, range(9), 1, 5, nothing)) as results:
        assert next(results) == 0
        assert later.wait(10)


def test_an_error_comes_in_its_turn_and_what_has_not_begun_is_dropped():
    begun = []

    def work(number):
        begun.append(number)
        if number == 2:
            raise TimeoutError("two")
        return number

    results = in_order(work, range(1000), 2, 6, nothing)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(TimeoutError, match="two"):
        next(results)
    assert len(begun) <= 9


def test_a_check_that_raises_ends_the_wait():
    cancelled, go_on = threading.Event(), threading.Event()

    def check():
        if cancelled.is_set():
            go_on.set()
            raise CancelledError

    threading.Timer(0.2, cancelled.set).start()
    with pytest.raises(CancelledError):
        list(in_order(lambda _: go_on.wait(30), range(4), 1, 2, check))


@pytest.fixture
def random_image():
    return np.random.default_rng(6).integers(0, 255, (300, 420, 3)).astype(np.uint8)


@pytest.fixture
def segmented(tmp_path, bright_model):
    def run(path, **options):
        output = tmp_path / "probability.tif"
        chosen = {"model": bright_model, "inference_precision": "f32"} | options
        segment.segment_raster(tasks.SegmentRaster(input=path, output=str(output), **chosen), Progress())
        return output.read_bytes()

    return run


def test_threads_and_their_timing_change_no_byte(segmented, write_image, random_image, monkeypatch):
    path = write_image(random_image)
    expected = segmented(path, threads=1)
    random = np.random.default_rng(2)
    at_once = runtime.TilePredictor.predict

    def sooner_or_later(self, tile):
        time.sleep(random.uniform(0, 0.02))
        return at_once(self, tile)

    monkeypatch.setattr(runtime.TilePredictor, "predict", sooner_or_later)
    monkeypatch.setattr(segment, "readers", lambda threads: 3)
    assert segmented(path, threads=2) == expected


def test_a_raster_that_breaks_off_is_told_from_the_threads(segmented, write_image, random_image, tmp_path):
    path = write_image(random_image, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    with rasterio.open(path) as dataset:
        place = int(dataset.get_tag_item("BLOCK_OFFSET_3_3", "TIFF", bidx=1))
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 64)
    with pytest.raises(InputUnreadableError, match=r"image\.tif"):
        segmented(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["image.tif"]
