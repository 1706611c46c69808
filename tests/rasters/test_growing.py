"""A raster is read while its lower rows are still being made."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from building_segmenter.errors import CancelledError, NoDataError
from building_segmenter.rasters import growing
from building_segmenter.rasters.growing import GrowingRaster
from building_segmenter.rasters.probability import ProbabilityPlan, probability_writer

WIDTH, HEIGHT = 7, 1300
PLAN = ProbabilityPlan(WIDTH, HEIGHT, Affine(0.5, 0, 1e6, 0, -0.5, 2e6), CRS.from_epsg(32636), ("building", "contact"))
CLASSES = ProbabilityPlan(WIDTH, HEIGHT, PLAN.transform, PLAN.crs, ("road", "roof"), (3, 8))
VALUES = (np.arange(2 * HEIGHT * WIDTH) % 251).astype(np.uint8).reshape(2, HEIGHT, WIDTH)


def never():
    pass


def all_rows(part=300):
    yield from (VALUES[:, top : top + part] for top in range(0, HEIGHT, part))


def rows_of(reader, top, stop):
    return reader.read(1, window=Window(0, top, WIDTH, stop - top))


def shown(path):
    with rasterio.open(path) as dataset:
        facts = [getattr(dataset, name) for name in ("shape", "transform", "crs", "scales", "nodatavals", "dtypes")]
        return facts, dataset.descriptions, [dataset.tags(band) for band in dataset.indexes], dataset.read().tobytes()


@pytest.mark.parametrize("plan", [PLAN, CLASSES])
@pytest.mark.parametrize("most", [200, 2])
def test_finished_it_is_the_same_as_one_file(tmp_path, monkeypatch, plan, most):
    monkeypatch.setattr(growing, "_MOST_STRIPS", most)
    raster = GrowingRaster(tmp_path / "strips", plan)
    with probability_writer(tmp_path / "copy.tif", plan) as copy:
        raster.write(all_rows(), copy)
    raster.finish()
    assert len(list((tmp_path / "strips").glob("*.tif"))) == (3 if most > 2 else 2)
    assert shown(raster.path) == shown(tmp_path / "copy.tif")
    assert shown(raster.path)[-1] == VALUES.tobytes()


def test_what_is_there_is_read_while_the_rest_is_made(tmp_path):
    raster, read = GrowingRaster(tmp_path, PLAN), threading.Event()

    def waiting():
        yield VALUES[:, :600]
        assert read.wait(60), "Nobody read the rows that were there."
        yield VALUES[:, 600:]

    with ThreadPoolExecutor(1) as pool, raster.reader(never) as reader:
        made = pool.submit(raster.write, waiting())
        np.testing.assert_array_equal(rows_of(reader, 0, 512), VALUES[0, :512])
        assert not raster.is_finished
        read.set()
        np.testing.assert_array_equal(rows_of(reader, 500, 1100), VALUES[0, 500:1100])
        made.result()
        # The last row is there when its maker says that all is well.
        asked = pool.submit(rows_of, reader, 1200, HEIGHT)
        time.sleep(0.2)
        assert not asked.done()
        raster.finish()
        np.testing.assert_array_equal(asked.result(), VALUES[0, 1200:])
        assert raster.is_finished


def test_readers_learn_what_its_maker_failed_with(tmp_path):
    raster = GrowingRaster(tmp_path, PLAN)
    with ThreadPoolExecutor(1) as pool, raster.reader(never) as reader:
        asked = pool.submit(rows_of, reader, 0, 10)
        raster.fail(NoDataError("Nothing is valid.", "Look."))
        with pytest.raises(NoDataError, match="Nothing is valid"):
            asked.result()


def test_those_who_wait_can_be_cancelled(tmp_path):
    def check():
        raise CancelledError

    with GrowingRaster(tmp_path, PLAN).reader(check) as reader, pytest.raises(CancelledError):
        rows_of(reader, 0, 10)


def test_an_error_of_a_reader_ends_the_waiting_and_the_making(tmp_path):
    raster = GrowingRaster(tmp_path, PLAN)
    with ThreadPoolExecutor(1) as pool, raster.reader(never) as reader:
        asked = pool.submit(rows_of, reader, 0, 10)
        with pytest.raises(OSError, match="full"), raster.stopped_by_errors():
            raise OSError("full")
        with pytest.raises(CancelledError):
            asked.result()
    with pytest.raises(CancelledError):
        raster.write(all_rows())
