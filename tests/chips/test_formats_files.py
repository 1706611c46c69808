"""Files are whole, or the reason why not is told; a stopped export ends like one that was not."""

import errno
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio
from drawn_chips import CRS_FEET, NORTH_UP, TURNS, about_one, export, facts, some_chips, written

from building_segmenter.chips.dataset import open_dataset
from building_segmenter.chips.formats import FORMATS, files, make_writer
from building_segmenter.chips.formats.tiff import TiffWriter
from building_segmenter.chips.statistics import summarize
from building_segmenter.errors import DiskFullError, InvalidParameterError, OutputNotWritableError


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 11])
def test_tiffs_are_what_gdal_would_have_written(tmp_path, dtype, bands):
    array = np.random.default_rng(0).integers(0, 100, (bands, 33, 47)).astype(dtype)
    for turn in TURNS.values():
        TiffWriter((47, 33), bands, dtype, CRS_FEET, 7).write(tmp_path / "ours.tif", array, turn)
        profile = {"width": 47, "height": 33, "count": bands, "dtype": dtype, "nodata": 7, "crs": CRS_FEET}
        with rasterio.open(tmp_path / "gdal.tif", "w", driver="GTiff", transform=turn, **profile) as file:
            file.write(array)
        with rasterio.open(tmp_path / "ours.tif") as ours, rasterio.open(tmp_path / "gdal.tif") as theirs:
            np.testing.assert_array_equal(ours.read(), array)
            np.testing.assert_allclose(ours.transform[:6], turn[:6], rtol=0, atol=1e-9)
            assert (ours.crs, ours.nodata, ours.dtypes) == (theirs.crs, theirs.nodata, theirs.dtypes)
            assert (ours.colorinterp, ours.mask_flag_enums) == (theirs.colorinterp, theirs.mask_flag_enums)


def test_places_of_many_chips_do_not_mix(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    writer = TiffWriter((16, 16), 1, "uint16", CRS_FEET, deflate=True)

    def write(number):
        array = np.full((1, 16, 16), number, np.uint16)
        turn = list(TURNS.values())[number % 3] @ rasterio.Affine.translation(number, -number)
        writer.write(tmp_path / f"{number}.tif", array, turn)
        return turn

    with ThreadPoolExecutor(8) as threads:
        turns = list(threads.map(write, range(60)))
    for number, turn in enumerate(turns):
        with rasterio.open(tmp_path / f"{number}.tif") as file:
            assert (file.read() == number).all()
            np.testing.assert_allclose(file.transform[:6], turn[:6], rtol=0, atol=1e-9)


def test_an_image_of_another_shape_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the others are"):
        TiffWriter((16, 16), 1, "uint8", None).write(tmp_path / "a.tif", np.zeros((1, 16, 17), np.uint8), NORTH_UP)


def test_labels_are_compressed(tmp_path):
    TiffWriter((512, 512), 1, "uint8", None, deflate=True).write(
        tmp_path / "a.tif", np.zeros((1, 512, 512), np.uint8), NORTH_UP
    )
    assert (tmp_path / "a.tif").stat().st_size < 2000
    assert struct.unpack("<H", (tmp_path / "a.tif").read_bytes()[:2])[0] == 0x4949


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_is_told(tmp_path, name, monkeypatch):
    chip = next(chip for chip in some_chips() if chip.objects)
    chip = about_one(chip) if name == "labeled-tiles" else chip
    writer = make_writer(tmp_path, facts(name))
    real = open
    monkeypatch.setattr(files, "open", lambda path, *rest, **named: real("/dev/full", *rest, **named), raising=False)
    with pytest.raises(DiskFullError, match="is full"):
        writer.write(chip, chip.name)


def test_a_full_disk_while_hdf5_is_put_together(tmp_path, monkeypatch):
    chips = some_chips()
    known = facts("hdf5")
    writer = make_writer(tmp_path, known)
    entries = [written(writer, chip, known) for chip in chips]
    statistics = summarize([entry.statistics for entry in entries], known.classes)

    def full(*_):
        raise OSError("driver write request failed")

    monkeypatch.setattr("h5py.File", full)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(DiskFullError):
        writer.finish(entries, statistics)
    monkeypatch.undo()
    monkeypatch.setattr("h5py.File", full)
    with pytest.raises(OutputNotWritableError, match="driver write request failed"):
        writer.finish(entries, statistics)


def test_other_errors_of_the_system_are_told(tmp_path):
    with pytest.raises(OutputNotWritableError, match="cannot be written") as raised:
        files.write_parts(tmp_path, [b"a folder is no file"])
    assert raised.value.__cause__.errno in (errno.EISDIR, errno.EACCES)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "labeled-tiles"])
def test_a_stopped_export_ends_like_one_that_was_not(tmp_path, name):
    """Some chips are known from another process, one was cut off while it was written, one was not begun."""
    import json

    from building_segmenter.chips.chip import WrittenChip

    chips, known = some_chips(), facts(name)
    whole = export(tmp_path / "whole", name, chips)
    folder = tmp_path / "stopped"
    folder.mkdir()
    first = make_writer(folder, known)
    kept = [json.loads(json.dumps(written(first, chip, known).__dict__)) for chip in chips[:2]]
    written(first, chips[2], known)
    newest = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
    os.truncate(newest, newest.stat().st_size // 2)
    again = make_writer(folder, known)
    entries = [WrittenChip(**entry) for entry in kept] + [written(again, chip, known) for chip in chips[2:]]
    again.finish(entries, summarize([entry.statistics for entry in entries], known.classes))
    if name == "hdf5":
        for one, other in zip(open_dataset(folder).chips, open_dataset(whole).chips, strict=True):
            for ours, theirs in zip(open_dataset(folder).read(one), open_dataset(whole).read(other), strict=True):
                np.testing.assert_array_equal(ours, theirs)
    else:
        assert tree(folder) == tree(whole)


@pytest.mark.parametrize("name", ["coco", "hdf5"])
def test_finishing_goes_on_while_parts_are_removed(tmp_path, name):
    chips, known = some_chips(), facts(name)
    writer = make_writer(tmp_path, known)
    entries = [written(writer, chip, known) for chip in chips]
    statistics = summarize([entry.statistics for entry in entries], known.classes)
    writer.finish(entries, statistics)
    before = tree(tmp_path)
    assert not any(path.startswith(".parts") for path in before)
    make_writer(tmp_path, known).finish(entries, statistics)
    assert tree(tmp_path) == before


def test_formats_that_are_none():
    with pytest.raises(InvalidParameterError, match="There is no format tfrecord"):
        make_writer(Path("x"), facts("tfrecord"))
