"""A chip's labels, instances and objects agree with each other and with the footprints, on any scene."""

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import shapely.affinity
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from building_segmenter import tasks
from building_segmenter.chips.cutting import Cutter
from building_segmenter.chips.frames import Frame
from building_segmenter.chips.strips import StripReader
from building_segmenter.chips.truth import read_truth
from building_segmenter.chips.views import RasterView
from building_segmenter.chips.windows import plan_chips
from building_segmenter.progress import Progress
from building_segmenter.rasters.grid import model_grid

CRS = "EPSG:32616"
WIDTH, HEIGHT = 130, 110
PLACED = Affine(0.2, 0, 741000, 0, -0.2, 3732000)
SHAPES = st.lists(
    st.tuples(
        st.floats(-20, 130), st.floats(-20, 110), st.floats(0.2, 70), st.floats(0.2, 70), st.floats(0, 90),
        st.booleans(), st.sampled_from(["shed", "house", None]),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


def drawn(houses):
    shapes = []
    for x, y, w, h, angle, hollow, _ in houses:
        shape = shapely.box(x, y, x + w, y + h)
        if hollow:
            shape = shape.difference(shapely.box(x + w / 4, y + h / 4, x + w / 2, y + h / 2))
        shapes.append(shapely.affinity.rotate(shape, angle))
    return shapes


def cut_all(folder, shapes, kinds, **options):
    """Cut all chips of a scene in memory; returns them with their frames, the image and the truth."""
    image = np.random.default_rng(0).integers(1, 255, (2, HEIGHT, WIDTH), dtype=np.uint8)
    image[:, 90:, 100:] = 0
    profile = {"width": WIDTH, "height": HEIGHT, "count": 2, "dtype": "uint8", "crs": CRS, "transform": PLACED}
    with rasterio.open(folder / "image.tif", "w", driver="GTiff", nodata=0, **profile) as file:
        file.write(image)
    placed = [shapely.transform(s, lambda x, y: PLACED @ (x, y), interleaved=False) for s in shapes]
    inside = shapely.box(*PLACED @ (60, 60), *PLACED @ (70, 50))
    geopandas.GeoDataFrame({"kind": [*kinds, "house"]}, geometry=[*placed, inside], crs=CRS).to_file(folder / "f.gpkg")
    options = tasks.ExportChips(
        input=str(folder / "image.tif"), footprints=str(folder / "f.gpkg"), output="x", class_field="kind",
        validation=0.0, tile_size=48, stride=31, **options,
    )  # fmt: skip
    with rasterio.open(options.input) as dataset:
        grid = model_grid(dataset, (0.2, 0.2), None, 48)
        view, truth = RasterView(dataset, grid, (1, 2)), read_truth(options, grid, Progress())
        plan = plan_chips(options, (0, 0, WIDTH, HEIGHT), truth, lambda frame: True)
        reader, cutter = StripReader(plan, truth, view, None), Cutter(truth, grid, options.min_overlap, (0, None))
        chips = []
        for number in range(len(plan)):
            strip = reader.read(number)
            chips += [(frame, cutter.cut(strip, frame)) for frame in plan.strip(number)]
    return image, truth, [(frame, chip) for frame, chip in chips if chip is not None]


@settings(max_examples=25)
@given(SHAPES, st.sampled_from([0.0, 40.0, 90.0]), st.sampled_from([0.0, 0.3]))
def test_what_is_on_a_chip_agrees(tmp_path_factory, houses, rotation, min_overlap):
    folder = tmp_path_factory.mktemp("scene")
    shapes, kinds = drawn(houses), [house[-1] for house in houses]
    image, truth, chips = cut_all(folder, shapes, kinds, rotation=rotation, min_overlap=min_overlap)
    values = {one.value: one.name for one in truth.classes}
    assert chips
    for frame, chip in chips:
        unknown = chip.label == 255
        assert not chip.instances[unknown].any() and not chip.contact[unknown].any()
        assert set(np.unique(chip.label)) <= {0, 255, *values}
        objects = {one.id: one for one in chip.objects}
        assert list(objects) == sorted(objects)
        assert set(np.unique(chip.instances)) - {0} <= set(objects)
        by_id = np.zeros(max(objects, default=0) + 1, np.int64)
        for one in chip.objects:
            by_id[one.id] = one.value
            assert values[one.value] == one.name
            assert one.polygon.is_valid and one.polygon.area > 0
            assert shapely.covers(shapely.box(0, 0, 48, 48).buffer(1e-6), one.polygon)
            whole = [*shapes, shapely.box(60, 50, 70, 60)][one.id - 1]
            assert one.share == pytest.approx(one.polygon.area / whole.area, rel=1e-3, abs=1e-6)
            assert one.share >= min_overlap
        np.testing.assert_array_equal(by_id[chip.instances][~unknown], chip.label[~unknown])
        if frame.angle == 0:
            rows, columns = slice(frame.row, frame.row + 48), slice(frame.column, frame.column + 48)
            np.testing.assert_array_equal(np.moveaxis(chip.image, -1, 0), image[:, rows, columns])


@settings(max_examples=10)
@given(SHAPES, st.sampled_from([0.0, 40.0]))
def test_an_object_looks_the_same_on_every_chip_that_shows_it(tmp_path_factory, houses, rotation):
    folder = tmp_path_factory.mktemp("scene")
    shapes = drawn(houses)
    _, _, chips = cut_all(folder, shapes, [house[-1] for house in houses], rotation=rotation)
    for _, chip in chips:
        for one in chip.objects:
            to_ground = ~PLACED @ chip.transform
            back = shapely.transform(one.polygon, lambda x, y, t=to_ground: t @ (x, y), interleaved=False)
            whole = [*shapes, shapely.box(60, 50, 70, 60)][one.id - 1]
            assert shapely.difference(back, whole.buffer(1e-3)).area < 1e-3


@given(st.integers(-60, 60), st.integers(-60, 60), st.floats(0, 359))
def test_outlines_of_frames_are_where_their_windows_say(column, row, angle):
    frame = Frame(column, row, 48, 31, angle)
    left, top, width, height = frame.window
    assert left <= frame.outline.bounds[0] + 1e-6 and top + height >= frame.outline.bounds[3] - 1e-6
    assert width <= frame.outline.bounds[2] - frame.outline.bounds[0] + 2 + 2 * 2
