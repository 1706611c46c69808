"""What is inside in a band: levels between stored values."""

import numpy as np
import pytest
import rasterio
from rasterio.io import MemoryFile

from building_segmenter.footprints.contours.field import field_of


@pytest.fixture
def band():
    """Make an open in-memory raster of one band."""
    opened = []

    def make(dtype, scale):
        memory = MemoryFile()
        with memory.open(driver="GTiff", width=1, height=1, count=1, dtype=dtype) as writer:
            writer.scales = [scale]
        opened.extend([memory, memory.open()])
        return opened[-1]

    with rasterio.Env():
        yield make
    for thing in reversed(opened):
        thing.close()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(("dtype", "steps"), [("uint8", 254), ("uint8", 200), ("uint16", 10_000), ("int16", 32_767)])
def test_every_storable_threshold_cuts_just_below_it(band, dtype, steps):
    dataset = band(dtype, 1 / steps)
    wanted = np.unique(np.linspace(0, steps, 500).astype(int))
    fields = [field_of(dataset, 1, float(step / steps), None) for step in wanted]
    assert [field.cut for field in fields] == (wanted - 0.5).tolist()
    assert [field.level for field in fields] == pytest.approx(((wanted - 0.5) / steps).tolist())


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_excess_is_in_units_of_probability_and_nan_where_not_valid(band):
    field = field_of(band("uint8", 1 / 254), 1, 0.5, None)
    excess = field.excess(np.array([[0, 126, 127, 254]], np.uint8), np.array([[True, True, True, False]]))
    assert excess.dtype == np.float32
    np.testing.assert_allclose(excess, [[-126.5 / 254, -0.5 / 254, 0.5 / 254, np.nan]], rtol=1e-6)
