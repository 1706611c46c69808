import json
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner

from building_segmenter import engine, tasks
from building_segmenter.errors import (
    CancelledError,
    ImagesFailedError,
    InputNotFoundError,
    InvalidParameterError,
    ModelError,
    NoDataError,
    OutputNotWritableError,
)
from building_segmenter.progress import Progress, SilentSink
from building_segmenter.rasters.image_list import images_in, names_many

ROOT = Path(__file__).resolve().parent.parent
UTM = Affine(0.15, 0, 300000, 0, -0.15, 3700000)


@pytest.fixture
def tiles(tmp_path, flat_scene):
    """A folder with the two halves of a scene, a note, and an empty folder for outputs beside it."""
    folder = tmp_path / "Tiles of Köln"
    folder.mkdir()
    (tmp_path / "out").mkdir()
    write(folder / "b east.tif", flat_scene.image[:, 200:], UTM @ Affine.translation(200, 0))
    write(folder / "a west.tif", flat_scene.image[:, :200], UTM)
    (folder / "read me.md").write_text("no image")
    return folder


def write(path, image, transform, crs="EPSG:32616", **extra):
    profile = {"height": image.shape[0], "width": image.shape[1], "count": image.shape[2], "dtype": image.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **profile, **extra) as dataset:
        dataset.write(np.moveaxis(image, -1, 0))
    return str(path)


@pytest.fixture
def segment(tmp_path, bright_model):
    """Run segment with the bright model over what is named; returns the result and the sink."""

    def run(output=tmp_path / "out", kind=tasks.SegmentRaster, sink=None, **options):
        facts = {"model": bright_model, "inference_precision": "f32", "output": str(output)} | options
        progress = Progress(sink)
        return engine.run(kind(**facts), progress), progress.sink

    return run


def names(result, key):
    return [os.path.basename(one["image"]) for one in result[key]]


def stored(path):
    with rasterio.open(path) as dataset:
        return dataset.read(1)


class TestNames:
    def test_a_folder_gives_its_images_by_name(self, tiles):
        assert [os.path.basename(image) for image in images_in([str(tiles)])] == ["a west.tif", "b east.tif"]

    def test_a_pattern_may_reach_any_depth_and_names_each_once(self, tiles):
        found = images_in([str(tiles.parent / "**" / "*.tif"), str(tiles / "a west.tif")])
        assert [os.path.basename(image) for image in found] == ["a west.tif", "b east.tif"]

    def test_a_list_is_relative_to_its_folder_and_may_have_comments(self, tiles):
        listed = tiles / "list.txt"
        listed.write_text("# the west\n\na west.tif\nmissing.tif\n", encoding="utf-8-sig")
        assert images_in([str(listed)]) == [str(tiles / "a west.tif"), str(tiles / "missing.tif")]

    def test_a_file_with_signs_of_patterns_in_its_name_is_a_file(self, tiles):
        odd = tiles / "tile[1].tif"
        odd.write_bytes(b"")
        assert not names_many(str(odd))
        assert not names_many("/vsicurl/https://example.org/a.tif?key=1")

    @pytest.mark.parametrize(("name", "error"), [("*.jp2", InputNotFoundError), ("empty", NoDataError)])
    def test_what_names_no_image_is_told(self, tiles, name, error):
        (tiles / "empty").mkdir()
        with pytest.raises(error, match=name.strip("*.")):
            images_in([str(tiles / name)])


class TestEach:
    def test_each_image_has_an_output_of_its_name(self, segment, tiles, tmp_path):
        result, sink = segment(input=str(tiles))
        assert names(result, "done") == ["a west.tif", "b east.tif"]
        assert result["images"] == 2 and result["failed"] == [] and result["skipped"] == []
        assert stored(tmp_path / "out" / "b east.tif").shape == (300, 200)
        assert any(line.startswith("Image 2 of 2:") for line in sink.logs)

    def test_a_failed_image_does_not_stop_the_others_and_is_told_at_the_end(self, segment, tiles, tmp_path):
        (tiles / "aa broken.tif").write_bytes((tiles / "a west.tif").read_bytes()[:300])
        with pytest.raises(ImagesFailedError, match="1 of 3 images failed") as told:
            segment(input=str(tiles / "*.tif"))
        result = told.value.result
        assert result is not None
        assert names(result, "done") == ["a west.tif", "b east.tif"]
        (failed,) = result["failed"]
        assert failed["code"] == "input-unreadable" and "aa broken.tif" in failed["message"] and failed["hint"]
        assert sorted(os.listdir(tmp_path / "out")) == ["a west.tif", "b east.tif", "images.json"]
        kept = json.loads((tmp_path / "out" / "images.json").read_text("utf-8"))["outputs"]
        assert kept[str(tmp_path / "out" / "aa broken.tif")]["code"] == "input-unreadable"

    def test_a_second_run_does_only_what_is_not_done(self, segment, tiles, tmp_path):
        segment(input=str(tiles))
        before = (tmp_path / "out" / "a west.tif").stat().st_mtime_ns
        (tmp_path / "out" / "b east.tif").unlink()
        result, _ = segment(input=str(tiles))
        assert (names(result, "skipped"), names(result, "done")) == (["a west.tif"], ["b east.tif"])
        assert (tmp_path / "out" / "a west.tif").stat().st_mtime_ns == before

    @pytest.mark.parametrize("change", ["image", "options", "output", "no resume"])
    def test_what_changed_is_done_again(self, segment, tiles, tmp_path, flat_scene, change):
        segment(input=str(tiles))
        options = {"options": {"overlap": 0.5}, "no resume": {"resume": False}}.get(change, {})
        if change == "image":
            write(tiles / "a west.tif", 255 - flat_scene.image[:, :200], UTM)
        if change == "output":
            (tmp_path / "out" / "a west.tif").write_bytes(b"cut off")
        result, _ = segment(input=str(tiles), **options)
        assert "a west.tif" in names(result, "done")
        assert ("b east.tif" in names(result, "skipped")) == (change in ("image", "output"))

    def test_images_outside_the_extent_are_skipped(self, segment, tiles):
        result, _ = segment(input=str(tiles), extent=(300001.0, 3699990.0, 300010.0, 3699998.0))
        assert (names(result, "done"), names(result, "skipped")) == (["a west.tif"], ["b east.tif"])

    def test_outputs_of_one_name_are_refused_before_anything_is_done(self, segment, tiles, tmp_path):
        other = tmp_path / "other"
        other.mkdir()
        (other / "A west.tif").write_bytes((tiles / "a west.tif").read_bytes())
        with pytest.raises(InvalidParameterError, match="also that of"):
            segment(images=(str(tiles), str(other)))
        assert os.listdir(tmp_path / "out") == []

    def test_an_output_in_the_place_of_an_image_is_refused(self, segment, tiles):
        with pytest.raises(InvalidParameterError, match="which is the image"):
            segment(output=tiles, input=str(tiles))

    def test_an_output_that_is_no_folder_is_refused(self, segment, tiles, tmp_path):
        with pytest.raises(OutputNotWritableError, match="not a folder"):
            segment(output=tmp_path / "one.tif", input=str(tiles))

    def test_a_model_that_does_not_load_stops_the_run(self, segment, tiles, tmp_path):
        broken = tmp_path / "broken.keras"
        broken.write_bytes(b"no model")
        with pytest.raises(ModelError):
            segment(input=str(tiles), model=str(broken))

    def test_a_cancelled_run_keeps_what_is_done(self, segment, tiles):
        class Stopping(SilentSink):
            def progress(self, fraction, stage, eta_s):
                if stage.startswith("Image 2 of 2"):
                    raise CancelledError

        with pytest.raises(CancelledError):
            segment(input=str(tiles), sink=Stopping())
        result, _ = segment(input=str(tiles))
        assert (names(result, "skipped"), names(result, "done")) == (["a west.tif"], ["b east.tif"])

    def test_progress_goes_on_over_all_images(self, segment, tiles):
        class Watching(SilentSink):
            seen: list[float] = []  # noqa: RUF012

            def progress(self, fraction, stage, eta_s):
                self.seen.append(fraction)

        segment(input=str(tiles), sink=Watching())
        assert Watching.seen == sorted(Watching.seen)
        assert any(0.5 < fraction < 1 for fraction in Watching.seen)

    def test_extract_names_layers_by_a_pattern(self, segment, tiles, tmp_path):
        pattern = tmp_path / "out" / "*_buildings.geojson"
        result, _ = segment(
            output=pattern, kind=tasks.ExtractBuildings, input=str(tiles), probability=str(pattern.parent)
        )
        made = ["a west.tif", "a west_buildings.geojson", "b east.tif", "b east_buildings.geojson", "images.json"]
        assert sorted(os.listdir(tmp_path / "out")) == made
        assert all(one["features"] > 0 for one in result["done"])


def test_the_command_line_takes_many_words_and_fails_if_an_image_does(tiles, tmp_path, bright_model):
    from building_segmenter.cli import main

    missing = str(tiles / "missing.tif")
    words = ["segment", str(tiles / "a west.tif"), missing, str(tmp_path / "out"), "--model", bright_model, "--json"]
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == 1
    assert (
        "Error [images-failed]: 1 of 2 images failed" in ended.stderr and "missing.tif does not exist" in ended.stderr
    )
    result = json.loads(ended.stdout)
    assert (names(result, "done"), names(result, "failed")) == (["a west.tif"], ["missing.tif"])


def test_the_command_line_counts_many_images_that_it_told_of_one_by_one(tiles, tmp_path, bright_model):
    from building_segmenter.cli import main

    words = ["segment", str(tiles / "*.tif"), str(tmp_path / "out"), "--model", bright_model]
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == 0
    record = tmp_path / "out" / "images.json"
    expected = [f"output: {tmp_path / 'out'}", "images: 2", "done: 2", "skipped: 0", "failed: 0", f"record: {record}"]
    assert ended.stdout.splitlines() == expected


class TestMosaic:
    @pytest.mark.parametrize("model", ["bright", "shipped"])
    def test_halves_as_a_folder_or_a_vrt_agree_with_the_whole_to_the_byte(self, segment, tmp_path, model):
        """The scene is drawn: blurred noise of 1,200 px, whose halves meet off any tile line."""
        if model == "shipped" and not list((ROOT / "models").glob("*.keras")):
            pytest.skip("this checkout has no model in models/")
        options = {"model": None} if model == "shipped" else {}
        from scipy.ndimage import gaussian_filter

        noise = np.random.default_rng(3).normal(0, 1, (600, 1200))
        grey = np.clip(140 + 600 * gaussian_filter(noise, 6), 0, 255).astype(np.uint8)
        image, cut = np.stack([grey, 255 - grey, grey], axis=-1), 571
        halves = tmp_path / "halves"
        halves.mkdir()
        (tmp_path / "out").mkdir()
        whole = write(tmp_path / "whole.tif", image, UTM)
        parts = [("2.tif", image[:, cut:], UTM @ Affine.translation(cut, 0)), ("1.tif", image[:, :cut], UTM)]
        files = [write(halves / name, values, placed) for name, values, placed in parts]
        segment(output=tmp_path / "whole_p.tif", input=whole, **options)
        segment(output=tmp_path / "folder_p.tif", input=str(halves), combine="mosaic", **options)
        segment(output=tmp_path / "vrt_p.tif", input=plain_vrt(tmp_path / "both.vrt", files, cut), **options)
        expected = stored(tmp_path / "whole_p.tif")
        assert len(np.unique(expected)) > 100
        np.testing.assert_array_equal(stored(tmp_path / "folder_p.tif"), expected)
        np.testing.assert_array_equal(stored(tmp_path / "vrt_p.tif"), expected)
        if model == "shipped":
            return
        # This network looks at nothing but a pixel itself, so that halves by themselves agree up to the blend.
        result, _ = segment(input=str(halves))
        assert len(result["done"]) == 2
        alone = np.hstack([stored(tmp_path / "out" / f"{half}.tif") for half in (1, 2)])
        assert np.abs(alone.astype(int) - expected).max() <= 1

    def test_a_building_on_the_line_is_one_footprint_of_a_mosaic(self, segment, tiles, tmp_path, flat_scene):
        import geopandas

        whole = write(tmp_path / "whole.tif", flat_scene.image, UTM)
        made = {}
        for name, options in {"whole": {"input": whole}, "folder": {"input": str(tiles), "combine": "mosaic"}}.items():
            output = tmp_path / f"{name}.gpkg"
            segment(output=output, kind=tasks.ExtractBuildings, **options)
            made[name] = geopandas.read_file(output)
        assert len(made["whole"]) == 3
        assert made["whole"].equals(made["folder"])


def plain_vrt(path, files, cut):
    """A VRT of two halves as gdalbuildvrt writes it; the second file is the left one."""
    bands = []
    for band in (1, 2, 3):
        sources = [
            f'<SimpleSource><SourceFilename relativeToVRT="0">{file}</SourceFilename><SourceBand>{band}</SourceBand>'
            f'<SrcRect xOff="0" yOff="0" xSize="{width}" ySize="600"/>'
            f'<DstRect xOff="{left}" yOff="0" xSize="{width}" ySize="600"/></SimpleSource>'
            for file, left, width in zip(files, (cut, 0), (1200 - cut, cut), strict=True)
        ]
        bands.append(f'<VRTRasterBand dataType="Byte" band="{band}">{"".join(sources)}</VRTRasterBand>')
    place = ", ".join(str(number) for number in UTM.to_gdal())
    path.write_text(
        f'<VRTDataset rasterXSize="1200" rasterYSize="600"><SRS>EPSG:32616</SRS><GeoTransform>{place}</GeoTransform>'
        f"{''.join(bands)}</VRTDataset>"
    )
    return str(path)
