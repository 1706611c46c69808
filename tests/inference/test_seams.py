"""Where tiles, blocks and files end must not show: buildings stay whole, splits change no byte, the blend is exact."""

import dataclasses
from itertools import pairwise
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize
from rasterio.windows import Window
from scipy.ndimage import uniform_filter

from building_segmenter import tasks
from building_segmenter.footprints.extract import extract_buildings
from building_segmenter.footprints.polygonize import polygonize_mask
from building_segmenter.inference.segment import segment_raster
from building_segmenter.progress import Progress

GSD = 0.15
TILE, ONE_TILE, REACH, CELL = 64, 576, 4, 4
ROOM = 190
"""Side of a building's part of an image."""
FEW = settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def models(tmp_path_factory, bright_model):
    """Models by name: `bright` tells by a pixel alone, `blurred` by the mean of those within 4 px.

    What a tile does not show is black to `blurred`, so that it is wrong along the edges of tiles. `coarse` gives logits
    of cells of 4 pixels, by their mean, and `coarse blurred` by that of the cells around them, too. `whole` and so on
    are the same with tiles larger than any image here.
    """
    import keras

    from building_segmenter.networks.model_file import load_model, save_model

    folder = tmp_path_factory.mktemp("seams")
    _, facts = load_model(bright_model)
    made = {}
    for name, kernel, cell, tile in (
        ("bright", 1, 1, TILE),
        ("whole", 1, 1, ONE_TILE),
        ("blurred", 2 * REACH + 1, 1, TILE),
        ("blurred whole", 2 * REACH + 1, 1, ONE_TILE),
        ("coarse", CELL, CELL, TILE),
        ("coarse whole", CELL, CELL, ONE_TILE),
        ("coarse blurred", 3 * CELL, CELL, TILE),
    ):
        inputs = keras.Input((None, None, 3))
        logits = keras.layers.Conv2D(1, kernel, strides=cell, padding="same")(inputs)
        if cell > 1:
            logits = keras.layers.UpSampling2D(cell, interpolation="bilinear")(logits)
        model = keras.Model(inputs, keras.layers.Activation("sigmoid")(logits))
        mean = np.full((kernel, kernel, 3, 1), 0.05 / 3 / kernel**2, np.float32)
        model.set_weights([mean, np.array([-7.0], np.float32)])
        made[name] = str(folder / f"{name}.keras")
        save_model(model, dataclasses.replace(facts, tile_size=tile), made[name])
    return made


@pytest.fixture
def segment(tmp_path, models):
    """Segment a raster; returns the path of the probabilities and their stored values."""

    def run(path, model="bright", **options):
        output = tmp_path / f"{model}.tif"
        task = tasks.SegmentRaster(
            input=str(path), output=str(output), model=models[model], inference_precision="f32", **options
        )
        segment_raster(task, Progress())
        with rasterio.open(output) as dataset:
            return output, dataset.read(1)

    return run


def place(column=0, row=0, gsd=GSD):
    """A georeference whose first pixel lies there on the world lattice, which begins far from its origin."""
    return Affine(gsd, 0, gsd * (2**21 + column), 0, -gsd, gsd * (3 * 2**23 - row))


def noise(height, width):
    return np.random.default_rng(9).integers(0, 255, (height, width, 3)).astype(np.uint8)


def answer(grey):
    """What the models say of the mean of the pixels that they look at, as stored."""
    return np.clip(254 / (1 + np.exp(7.0 - 0.05 * grey)) + 0.5, 0, 254).astype(np.uint8)


def away(one, other):
    return np.abs(one.astype(int) - other).max()


@FEW
@given(
    size=st.tuples(st.integers(1, 230), st.integers(1, 230)),
    overlap=st.floats(0.0, 0.75),
    first=st.tuples(st.integers(0, 1000), st.integers(0, 1000)),
)
def test_weights_sum_to_one_for_any_size_overlap_and_place(segment, write_image, size, overlap, first):
    image = noise(*size)
    _, found = segment(write_image(image, transform=place(*first)), overlap=overlap)
    assert away(found, answer(image.mean(axis=-1))) <= 1


@FEW
@given(
    size=st.tuples(st.integers(1, 230), st.integers(1, 230)),
    overlap=st.floats(0.0, 0.75),
    first=st.tuples(st.integers(0, 250), st.integers(0, 250)),
)
def test_tiles_of_logits_end_as_one_large_tile_does(segment, write_image, size, overlap, first):
    # A raster of one tile has cells from its first pixel on.
    path = write_image(noise(*size), transform=place(*(CELL * cells for cells in first)))
    _, found = segment(path, "coarse", overlap=overlap)
    assert away(found, segment(path, "coarse whole")[1]) <= 1


@st.composite
def spans(draw, first, lines, stride):
    """Where a building begins and ends along an axis, cut by so many tile lines from a first one on."""
    if lines == 0:
        start = first + draw(st.integers(4, 6))
        return start, start + 18
    return first - draw(st.integers(6, 20)), first + (lines - 1) * stride + draw(st.integers(6, 20))


CUTS = ((1, 0), (0, 1), (1, 1), (2, 0), (0, 2), (2, 2))
"""Tile lines across and down that cut a building."""


@st.composite
def cut_buildings(draw, overlaps=(0.0, 0.25, 0.5)):
    """Buildings, one for each of `CUTS`, the overlap, and the place of an image in which tile lines cut them."""
    overlap = draw(st.sampled_from(overlaps))
    stride = round(TILE * (1 - overlap))
    column, row = draw(st.integers(0, stride - 1)), draw(st.integers(0, stride - 1))
    roofs = []
    for number, (across, down) in enumerate(CUTS):
        # The first lines of this building's part of the image, with some room before them.
        lines = [
            -(-(ROOM * part + 25 - first) // stride) * stride + first
            for part, first in ((number % 3, column), (number // 3, row))
        ]
        left, right = draw(spans(lines[0], across, stride))
        top, bottom = draw(spans(lines[1], down, stride))
        roofs.append(shapely.affinity.rotate(shapely.box(left, top, right, bottom), draw(st.floats(-2, 2))))
        xmin, ymin, xmax, ymax = roofs[-1].bounds
        assert sum(xmin < line < xmax for line in range(column, 3 * ROOM, stride)) == across
        assert sum(ymin < line < ymax for line in range(row, 2 * ROOM, stride)) == down
    # `place` begins at 2**21 and -3 * 2**23: go on from there to where the lines are.
    return roofs, overlap, place((-(2**21) - column) % stride, (3 * 2**23 - row) % stride)


def drawn(roofs, finer=8):
    fine = rasterize(roofs, (2 * ROOM * finer, 3 * ROOM * finer), transform=Affine.scale(1 / finer))
    cover = fine.reshape(2 * ROOM, finer, 3 * ROOM, finer).mean(axis=(1, 3))
    return np.repeat(np.round(40 + 200 * cover).astype(np.uint8)[..., None], 3, axis=2)


def traced(raster, roofs, transform):
    """Return the polygons of a raster in pixels, each in the place of the roof that it touches."""
    output = raster.with_suffix(".gpkg")
    polygonize_mask(tasks.PolygonizeMask(input=str(raster), output=str(output), min_area=0.0), Progress())
    layer = geopandas.read_file(output)
    pixels = shapely.transform(layer.geometry.to_numpy(), lambda x, y: ~transform @ (x, y), interleaved=False)
    found = [pixels[shapely.intersects(pixels, roof)] for roof in roofs]
    assert [len(one) for one in found] == [1] * len(roofs)
    assert len(pixels) == len(roofs)
    return [one[0] for one in found]


@FEW
@given(cut_buildings())
def test_buildings_cut_by_tile_lines_are_those_that_are_not_cut(segment, write_image, cut):
    roofs, overlap, transform = cut
    path = write_image(drawn(roofs), transform=transform)
    tiled, whole = (traced(segment(path, model, overlap=overlap)[0], roofs, transform) for model in ("bright", "whole"))
    for one, other in zip(tiled, whole, strict=True):
        assert shapely.hausdorff_distance(one, other) < 0.02


@FEW
@given(cut_buildings((0.25, 0.5)))
def test_cut_buildings_are_whole_although_the_network_is_wrong_along_the_edges_of_tiles(segment, write_image, cut):
    roofs, overlap, transform = cut
    path = write_image(drawn(roofs), transform=transform)
    tiled, whole = (
        traced(segment(path, model, overlap=overlap)[0], roofs, transform) for model in ("blurred", "blurred whole")
    )
    for one, other in zip(tiled, whole, strict=True):
        assert len(one.interiors) == 0
        assert one.intersection(other).area / one.union(other).area > 0.95


def test_footprints_are_those_of_one_tile(models, write_image, flat_scene, tmp_path):
    path, layers = write_image(flat_scene.image), []
    for model in ("bright", "whole"):
        output = str(tmp_path / f"{model}.gpkg")
        options = {"input": path, "output": output, "model": models[model], "inference_precision": "f32"}
        extract_buildings(tasks.ExtractBuildings(**options), Progress())
        layers.append(sorted(geopandas.read_file(output).geometry, key=lambda one: one.centroid.x))
    assert len(layers[0]) == len(layers[1]) > 1
    for tiled, whole in zip(*layers, strict=True):
        assert shapely.hausdorff_distance(tiled, whole) < 0.01


@pytest.mark.parametrize("model", ["blurred", "coarse blurred"])
def test_blocks_of_rows_give_the_bytes_of_the_whole(segment, write_image, model):
    path = write_image(noise(200, 150), transform=place(7, 11))
    _, whole = segment(path, model)
    with rasterio.open(path) as dataset:
        left, _, right, top = dataset.bounds
    parts = [
        segment(path, model, extent=(left, top - GSD * below, right, top - GSD * above))[1]
        for above, below in pairwise((0, 1, 47, 48, 112, 199, 200))
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("model", ["blurred", "coarse blurred"])
def test_an_area_gets_the_bytes_of_the_whole(segment, write_image, tmp_path, model):
    path = write_image(noise(200, 150), transform=place(7, 11))
    _, whole = segment(path, model)
    with rasterio.open(path) as dataset:
        # Its edges lie by lines of cells and of tiles, from which pixels need what is beyond.
        corners = [dataset.transform @ (column, row) for column in (41, 44, 85, 93) for row in (84, 85, 133, 136)]
        crs = dataset.crs
    squares = [shapely.Point(*corner).buffer(1.4 * GSD) for corner in corners]
    geopandas.GeoDataFrame(geometry=squares, crs=crs).to_file(tmp_path / "area.gpkg")
    _, found = segment(path, model, area=str(tmp_path / "area.gpkg"))
    assert 0 < (found != 255).sum() < 200
    np.testing.assert_array_equal(found[found != 255], whole[found != 255])


@settings(FEW, max_examples=2)
@given(
    gsd=st.sampled_from([GSD, GSD / 2, 0.11]),
    share=st.floats(0.4, 0.6),
    upright=st.booleans(),
    first=st.integers(0, 100),
)
@pytest.mark.parametrize("model", ["blurred", "coarse blurred"])
@example(gsd=GSD, share=0.51, upright=True, first=3)
@example(gsd=GSD / 2, share=0.501, upright=True, first=0)
def test_halves_and_their_mosaic_agree_with_the_whole(
    segment, write_image, tmp_path, model, gsd, share, upright, first
):
    side = round(240 * GSD / gsd)
    whole_path = write_image(noise(side, side), "whole.tif", transform=place(first, first, gsd))
    middle = round(side * share)
    windows = (Window(0, 0, middle, side), Window(middle, 0, side - middle, side))
    if not upright:
        windows = (Window(0, 0, side, middle), Window(0, middle, side, side - middle))
    halves = [_cut(Path(whole_path), tmp_path / f"{k}.tif", window) for k, window in enumerate(windows)]
    _, whole = segment(whole_path, model)
    _, together = segment(_as_vrt(Path(whole_path), halves, windows), model)
    np.testing.assert_array_equal(together, whole)
    with rasterio.open(tmp_path / f"{model}.tif") as dataset:
        whole_place = dataset.transform
    for half in halves:
        _, found = segment(half, model)
        with rasterio.open(tmp_path / f"{model}.tif") as dataset:
            left, top = ~whole_place @ (dataset.transform.c, dataset.transform.f)
        column, row = round(left), round(top)
        assert [column, row] == pytest.approx([left, top], abs=1e-3)
        same = whole[row : row + found.shape[0], column : column + found.shape[1]]
        # In the last tile before the cut the half does not see what the whole sees; nor do pixels that are
        # interpolated with its cells.
        unlike = TILE + (CELL // 2 if model.startswith("coarse") else 0)
        cut = [slice(unlike if row else 0, None if row or upright else -unlike)]
        cut += [slice(unlike if column else 0, None if column or not upright else -unlike)]
        np.testing.assert_array_equal(found[tuple(cut)], same[tuple(cut)])


def _cut(path, output, window):
    with rasterio.open(path) as dataset:
        profile = dataset.profile | {"width": window.width, "height": window.height}
        with rasterio.open(output, "w", **profile | {"transform": dataset.window_transform(window)}) as half:
            half.write(dataset.read(window=window))
    return output


def _as_vrt(whole, parts, windows):
    with rasterio.open(whole) as dataset:
        numbers = ", ".join(map(repr, dataset.transform.to_gdal()))
        head = f"<SRS>{dataset.crs.to_string()}</SRS><GeoTransform>{numbers}</GeoTransform>"
        size = f'rasterXSize="{dataset.width}" rasterYSize="{dataset.height}"'
    bands = ""
    for band in (1, 2, 3):
        sources = ""
        for part, window in zip(parts, windows, strict=True):
            shape = f'xSize="{window.width}" ySize="{window.height}"'
            sources += (
                f"<SimpleSource><SourceFilename>{part}</SourceFilename><SourceBand>{band}</SourceBand>"
                f'<SrcRect xOff="0" yOff="0" {shape}/>'
                f'<DstRect xOff="{window.col_off}" yOff="{window.row_off}" {shape}/></SimpleSource>'
            )
        bands += f'<VRTRasterBand dataType="Byte" band="{band}">{sources}</VRTRasterBand>'
    path = whole.with_suffix(".vrt")
    path.write_text(f"<VRTDataset {size}>{head}{bands}</VRTDataset>", encoding="utf-8")
    return path


def test_a_small_raster_is_reflected_beyond_its_last_row_and_column(segment, write_image):
    image = noise(41, 50)
    _, found = segment(write_image(image, transform=place()), "blurred")
    grey = image.mean(axis=-1)
    reflected = np.pad(grey, ((0, TILE - 41), (0, TILE - 50)), mode="symmetric")
    means = {
        name: uniform_filter(tile, 2 * REACH + 1, mode="constant")[:41, :50]
        for name, tile in (("reflected", reflected), ("black", np.pad(grey, ((0, TILE), (0, TILE)))))
    }
    assert away(found, answer(means["reflected"])) <= 1
    assert away(found, answer(means["black"])) > 20
