import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from building_segmenter.chips.frames import Frame, angles_of, outlines
from building_segmenter.chips.split import NEITHER, TRAIN, VALIDATION, SpatialSplit


@given(
    st.integers(200, 1500), st.integers(200, 1500), st.sampled_from([(64, 64), (128, 96)]), st.floats(0, 1),
    st.integers(0, 99), st.sampled_from([32, 50, 64]), st.sampled_from([0.0, 90.0, 30.0, 50.0]), st.integers(0, 300),
)  # fmt: skip
def test_no_chip_of_one_split_overlaps_the_ground_of_the_other(width, height, size, share, seed, stride, step, left):
    split = SpatialSplit((left, 7, width, height), max(size), share, seed)
    columns, rows = np.meshgrid(
        np.arange(0, width - size[0], stride) + left, np.arange(0, height - size[1], stride) + 7
    )
    shapes = np.concatenate([outlines(columns.ravel(), rows.ravel(), size, angle) for angle in angles_of(step)])
    codes = split.of(shapes)
    train, validation = shapes[codes == TRAIN], shapes[codes == VALIDATION]
    assert len(shapely.STRtree(train).query(validation, predicate="intersects")[0]) == 0
    if share in (0.0, 1.0):
        assert NEITHER not in codes


def test_a_turned_chip_beside_a_line_keeps_its_split():
    split = SpatialSplit((0, 0, 400, 400), 100, 0.5, 3)
    column = np.argwhere(split._validation[0, 1:] != split._validation[0, :-1])[0, 0]
    beside = (int(column) + 1) * 100 - 100
    upright, turned = (
        outlines(np.array([beside]), np.array([0]), (100, 100), 0),
        outlines(np.array([beside - 15]), np.array([-1]), (100, 100), 30),
    )
    assert split.of(upright)[0] != NEITHER
    assert split.of(turned)[0] == NEITHER
    near = outlines(np.array([beside - 30]), np.array([0]), (60, 60), 45)
    assert split.of(near)[0] == split.of(upright)[0]


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(8, 40), st.integers(8, 40), st.floats(0, 359))
def test_a_frame_turns_about_its_middle_and_lies_in_its_window(column, row, width, height, angle):
    frame = Frame(column, row, width, height, angle)
    middle = frame.to_grid @ (width / 2, height / 2)
    np.testing.assert_allclose(middle, (column + width / 2, row + height / 2), atol=1e-9)
    x, y = frame.to_grid @ (width / 2 + 1, height / 2)
    np.testing.assert_allclose(np.degrees(np.arctan2(y - middle[1], x - middle[0])) % 360, angle % 360, atol=1e-6)
    left, top, across, down = frame.window
    assert shapely.covers(shapely.box(left, top, left + across, top + down).buffer(1e-6), frame.outline)


def test_angles_stay_below_a_whole_turn():
    assert angles_of(0) == (0.0,)
    assert angles_of(90) == (0.0, 90.0, 180.0, 270.0)
    assert angles_of(50)[-1] == 350.0
    assert angles_of(7.2)[-1] < 359.9
