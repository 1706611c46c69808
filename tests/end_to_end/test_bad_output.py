"""Outputs that cannot be made are told before the work, and a full disk never passes for a result."""

import os
import shutil
import sqlite3
from contextlib import closing

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from end_to_end_runs import assert_refused, files_under, nothing_changes, outcome_of, outcome_of_command, run_task

from building_segmenter.chips.dataset import open_dataset
from building_segmenter.errors import DiskFullError
from building_segmenter.geo.vectors import write_polygons
from building_segmenter.networks.model_file import load_model, save_model

TASKS = {
    "segment": ("out.tif", "noise"),
    "extract": ("out.gpkg", "noise"),
    "chips": ("chips", "noise"),
    "polygonize": ("out.gpkg", "mask"),
    "regularize": ("out.gpkg", "roofs"),
}


@pytest.fixture
def options(noise, write_image, write_roofs, flat_scene, bright_model):
    """The options of a task but its output, and the name that its output may have."""
    roofs = write_roofs(flat_scene.roofs)
    mask = write_image((flat_scene.image[..., :1] > 128).astype(np.uint8), "mask.tif")
    inputs = {"noise": noise, "mask": mask, "roofs": roofs}
    more = {"segment": {"model": bright_model}, "extract": {"model": bright_model, "threshold": 0.9}}
    footprints = geopandas.GeoDataFrame(geometry=[shapely.box(740005, 3699950, 740030, 3699980)], crs="EPSG:32616")
    path = os.path.join(os.path.dirname(noise), "footprints.gpkg")
    footprints.to_file(path)
    more["chips"] = {"footprints": path, "tile_size": 64, "validation": 0.0}
    return {task: {"input": inputs[kind]} | more.get(task, {}) for task, (_, kind) in TASKS.items()}


@pytest.fixture
def refused(tmp_path, options):
    def check(code, *named, task, **changes):
        with nothing_changes(tmp_path):
            outcome = outcome_of(task, **options[task] | changes)
        assert_refused(outcome, code, *named)

    return check


@pytest.mark.parametrize("task", TASKS)
def test_a_folder_that_is_missing(refused, tmp_path, task):
    refused("output-not-writable", "nø folder", task=task, output=str(tmp_path / "nø folder" / TASKS[task][0]))


@pytest.mark.parametrize("task", ["segment", "extract", "polygonize", "regularize"])
def test_an_output_that_is_a_folder(refused, tmp_path, task):
    output = tmp_path / TASKS[task][0]
    (output / "precious").mkdir(parents=True)
    refused("output-not-writable", str(output), task=task, output=str(output))


def test_a_folder_of_chips_that_is_a_file_or_somebody_elses(refused, tmp_path):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious").write_text("precious")
    refused("output-not-writable", "file", task="chips", output=str(tmp_path / "file"))
    refused("output-not-writable", "folder", task="chips", output=str(tmp_path / "folder"))


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("segment", "out.gpkg"),
        ("extract", "out.tif"),
        ("extract", "out"),
        ("extract", "out.csv"),
        ("polygonize", "x.x"),
    ],
)
def test_endings_that_cannot_be_written(refused, tmp_path, task, name):
    refused("output-not-writable", name, "ending", task=task, output=str(tmp_path / name))


def test_endings_of_models_and_reports(tmp_path):
    for facts in ({"output": "m.h5"}, {"output": "m.keras", "report": "r.pdf"}):
        paths = {name: str(tmp_path / file) for name, file in facts.items()}
        outcome = outcome_of("train", dataset=str(tmp_path), **paths)
        assert (outcome.code, "ending" in outcome.said) == ("output-not-writable", True), outcome


def test_the_second_output_is_checked_before_the_work_too(refused, tmp_path):
    output, missing = str(tmp_path / "out.gpkg"), str(tmp_path / "none" / "p.tif")
    refused("output-not-writable", "PROBABILITY", task="extract", output=output, probability=missing)
    other = {"output": str(tmp_path / "none" / "out.gpkg"), "probability": str(tmp_path / "p.tif")}
    refused("output-not-writable", "OUTPUT", task="extract", **other)


def test_an_output_never_replaces_an_input(refused, tmp_path, options):
    refused("invalid-parameter", "INPUT", task="segment", output=options["segment"]["input"])
    refused("invalid-parameter", "INPUT", task="regularize", output=options["regularize"]["input"])
    (tmp_path / "link.gpkg").symlink_to(options["regularize"]["input"])
    refused("invalid-parameter", "INPUT", task="regularize", output=str(tmp_path / "link.gpkg"))
    layer = options["regularize"]["input"] + "|layername=roofs"
    refused("invalid-parameter", task="regularize", input=layer, output=options["regularize"]["input"])


def test_an_earlier_export_is_not_replaced_while_an_input_lies_in_it(refused, tmp_path, options):
    chips = tmp_path / "chips"
    run_task("chips", output=str(chips), **options["chips"])
    image = shutil.copy(options["chips"]["input"], chips / "image.tif")
    refused("invalid-parameter", "INPUT", task="chips", input=image, output=str(chips))


@pytest.mark.parametrize("task", TASKS)
def test_a_folder_that_is_read_only(disk, options, task):
    with disk(4096) as folder:
        os.system(f"mount -o remount,ro '{folder}'")
        outcome = outcome_of(task, **options[task], output=str(folder / TASKS[task][0]))
        assert outcome.code == "output-not-writable", outcome
        assert folder.name in outcome.said
        assert outcome.hint


@pytest.mark.parametrize("task", ["segment", "extract", "chips"])
def test_an_earlier_result_survives_a_run_that_fails(refused, tmp_path, options, task):
    output = str(tmp_path / TASKS[task][0])
    run_task(task, output=output, **options[task])
    nothing = tmp_path / "nothing.tif"
    with rasterio.open(options[task]["input"]) as source:
        profile = source.profile | {"nodata": 0}
        values = np.zeros((source.count, *source.shape), source.dtypes[0])
    with rasterio.open(nothing, "w", **profile) as dataset:
        dataset.write(values)
    refused("no-data", task=task, input=str(nothing), output=output)


def test_a_result_that_another_program_has_open_is_replaced_or_told(tmp_path, options):
    output = tmp_path / "out.gpkg"
    run_task("regularize", output=str(output), **options["regularize"])
    with open(output, "rb") as reader:
        outcome = outcome_of("regularize", output=str(output), **options["regularize"], tolerance=0.5)
        reader.read()
    # Windows keeps open files; POSIX lets the reader have the old one.
    assert outcome.code == ("output-not-writable" if os.name == "nt" else "")
    assert len(geopandas.read_file(output)) == 3


def test_a_result_that_is_open_with_a_write_ahead_log_is_not_mixed_with_the_new_one(tmp_path, options):
    output = tmp_path / "out.gpkg"
    run_task("regularize", output=str(output), **options["regularize"])
    # As QGIS does: what was edited lies in a log beside the file until the last reader closes it.
    with closing(sqlite3.connect(output)) as editor:
        editor.execute("pragma journal_mode = wal")
        editor.execute("create table many (value text)")
        editor.executemany("insert into many values (?)", [("edited " * 50,)] * 500)
        editor.commit()
        assert output.with_name("out.gpkg-wal").stat().st_size > 0
        run_task("regularize", output=str(output), **options["regularize"], tolerance=0.5)
        assert files_under(tmp_path) == sorted({*files_under(tmp_path)} - {"out.gpkg-wal", "out.gpkg-shm"})
        assert len(geopandas.read_file(output)) == 3
        with closing(sqlite3.connect(output)) as fresh:
            assert fresh.execute("pragma integrity_check").fetchall() == [("ok",)]
            assert fresh.execute("select count(*) from sqlite_master where name = 'many'").fetchone() == (0,)


@pytest.mark.parametrize(
    ("task", "name", "stale"), [("segment", "a.tif", "a.tif.aux.xml"), ("regularize", "a.shp", "a.qix")]
)
def test_files_that_describe_the_earlier_result_go(tmp_path, options, task, name, stale):
    run_task(task, output=str(tmp_path / name), **options[task])
    (tmp_path / stale).write_text("of the earlier result")
    run_task(task, output=str(tmp_path / name), **options[task])
    assert not (tmp_path / stale).exists()


@pytest.mark.parametrize(("task", "kib"), [("segment", 100), ("extract", 100), ("chips", 200), ("polygonize", 40)])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_full_disk(disk, options, task, kib, earlier):
    with disk(kib) as folder:
        output = folder / TASKS[task][0]
        if earlier and task != "chips":
            output.write_text("an earlier result")
        with nothing_changes(folder):
            outcome = outcome_of(task, output=str(output), **options[task])
        assert outcome.code == "disk-full", outcome
        assert outcome.hint


def test_a_full_disk_on_the_command_line(disk, options, noise, bright_model):
    with disk(100) as folder:
        outcome = outcome_of_command("segment", noise, folder / "out.tif", "--model", bright_model)
        assert (outcome.status, outcome.code) == (1, "disk-full"), outcome
        assert files_under(folder) == []


def test_footprints_do_not_fit_where_the_probabilities_did(disk, tmp_path, options):
    with disk(60) as folder, nothing_changes(tmp_path):
        outcome = outcome_of(
            "extract",
            output=str(folder / "out.gpkg"),
            probability=str(tmp_path / "p.tif"),
            # With it, what is predicted would not fit either.
            resume=False,
            **options["extract"],
        )
        assert outcome.code == "disk-full", outcome


def _sizes(whole_kib):
    """Sizes of disks from far too small to just too small and just enough, in pages of 4 KiB."""
    pages = -(-whole_kib // 4)
    return sorted({4 * max(1, pages - less) for less in (*range(-6, 6), pages // 4, pages // 2)})


def _boxes():
    east = 740000 + np.arange(400) * 20.0
    geometry = shapely.box(east, 3700000.0, east + 10, 3700010.0)
    return geopandas.GeoDataFrame({"number": np.arange(400), "text": ["words"] * 400}, geometry=geometry, crs=32616)


@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".fgb", ".shp", ".parquet"])
def test_a_layer_is_whole_or_the_disk_is_told_to_be_full(disk, tmp_path, ending):
    boxes, name = _boxes(), f"boxes{ending}"
    write_polygons(boxes, tmp_path / name)
    whole = sum(path.stat().st_size for path in tmp_path.glob("boxes.*"))
    full = 0
    for kib in [*_sizes(whole // 1024), 8 * whole // 1024]:
        with disk(kib) as folder:
            try:
                write_polygons(boxes, folder / name)
            except DiskFullError:
                full += 1
                assert files_under(folder) == []
                continue
            read = (geopandas.read_parquet if ending == ".parquet" else geopandas.read_file)(folder / name)
            read = read.sort_values("number", ignore_index=True)
            assert list(read["number"]) == list(range(400))
            assert set(read["text"]) == {"words"}
            assert read.geometry.geom_equals(boxes.geometry.set_crs(read.crs, allow_override=True)).all()
    assert 0 < full
    assert (len(read), kib) == (400, 8 * whole // 1024), "even a large disk was too small"


def test_a_probability_raster_is_whole_or_the_disk_is_told_to_be_full(disk, tmp_path, options):
    output = tmp_path / "out.tif"
    run_task("segment", output=str(output), **options["segment"])
    with rasterio.open(output) as dataset:
        whole = dataset.read()
    written = 0
    for kib in _sizes(output.stat().st_size // 1024)[::2]:
        with disk(kib) as folder:
            # With `resume`, what is done would be kept beside the output.
            outcome = outcome_of("segment", output=str(folder / "out.tif"), resume=False, **options["segment"])
            if outcome.code == "disk-full":
                assert files_under(folder) == []
                continue
            assert outcome.status == 0, outcome
            written += 1
            with rasterio.open(folder / "out.tif") as dataset:
                assert np.array_equal(dataset.read(), whole)
    assert written


def test_chips_are_whole_or_the_disk_is_told_to_be_full(disk, tmp_path, options):
    # With `resume`, what is done would be kept beside the output.
    facts = options["chips"] | {"tile_size": 256, "resume": False}
    run_task("chips", output=str(tmp_path / "chips"), **facts)
    whole = sum(-(-path.stat().st_size // 4096) * 4 for path in (tmp_path / "chips").rglob("*") if path.is_file())
    written = 0
    for kib in [*_sizes(whole), 2 * whole]:
        with disk(kib) as folder:
            outcome = outcome_of("chips", output=str(folder / "chips"), **facts)
            if outcome.code == "disk-full":
                assert files_under(folder) == []
                continue
            assert outcome.status == 0, outcome
            written += 1
            assert _contents(folder / "chips") == _contents(tmp_path / "chips")
            dataset = open_dataset(folder / "chips")
            assert len([dataset.read(chip) for chip in dataset.chips]) == 6
    assert written


def _contents(folder):
    return {name: (folder / name).read_bytes() for name in files_under(folder) if (folder / name).is_file()}


def test_a_model_is_whole_or_the_disk_is_told_to_be_full(disk, bright_model):
    model, facts = load_model(bright_model)
    full = written = 0
    for kib in (4, 8, 12, 16, 20, 24, 28, 32, 200):
        with disk(kib) as folder:
            try:
                save_model(model, facts, folder / "m.keras")
            except DiskFullError:
                full += 1
                assert files_under(folder) == []
                continue
            written += 1
            assert load_model(folder / "m.keras")[1] == facts
    assert full
    assert written
