"""What tests of several rooms share: simple scenes with exact truth, and a model whose answer is known."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Prediction runs on this backend; tests of training set the other one, and a process has one only.
os.environ.setdefault("KERAS_BACKEND", "openvino")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As engine.run does, for tests that train without it: twice as fast where TensorFlow leaves it off.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import hypothesis
import numpy as np
import pytest
import rasterio
import shapely
import shapely.affinity
from affine import Affine

# Machines that run these tests are shared; a slow moment is no failure.
hypothesis.settings.register_profile("shared-machine", deadline=None)
hypothesis.settings.load_profile("shared-machine")

LON, LAT = -84.4, 33.7
GSD = 0.15
REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


@dataclass(frozen=True)
class FlatScene:
    """White roofs with exact outlines on dark ground.

    Args:
        image: (height, width, 3) uint8; 240 on a roof, 40 on the ground, their mix where an edge crosses a pixel.
        roofs: Outlines in pixels.
    """

    image: np.ndarray
    roofs: list[Any]


@pytest.fixture(scope="session", autouse=True)
def compiled_models(tmp_path_factory):
    """Keep compiled models among the tests' files, also in the processes that tests start."""
    os.environ["BUILDING_SEGMENTER_MODEL_CACHE"] = str(tmp_path_factory.mktemp("compiled models"))


@pytest.fixture(scope="session")
def flat_scene():
    """Two houses, one with a courtyard, and an L, turned by 17 degrees; 400 x 300 px."""
    house = shapely.box(40, 40, 120, 100)
    yard = shapely.Polygon(
        [(180, 40), (300, 40), (300, 140), (180, 140)], [[(215, 70), (215, 110), (265, 110), (265, 70)]]
    )
    ell = shapely.Polygon([(60, 150), (160, 150), (160, 190), (110, 190), (110, 250), (60, 250)])
    roofs = [shapely.affinity.rotate(roof, 17, origin=(200, 150)) for roof in (house, yard, ell)]
    return FlatScene(_painted(roofs, 400, 300), roofs)


def _painted(roofs, width, height, finer=8):
    from rasterio.features import rasterize

    fine = rasterize(roofs, (height * finer, width * finer), transform=Affine.scale(1 / finer))
    cover = fine.reshape(height, finer, width, finer).mean(axis=(1, 3))
    grey = np.round(40 + 200 * cover).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


class Placed:
    """An affine from metres east and north of a place to a CRS, exact to a millimetre over a hundred metres."""

    def __init__(self, crs, lon=LON, lat=LAT):
        from pyproj import Transformer

        from building_segmenter.geo.ground import local_frame

        to_crs = Transformer.from_crs(4326, crs, always_xy=True)
        x, y = to_crs.transform(lon, lat)
        self.crs = crs
        self.frame = local_frame(crs, (x - 1e-6, y - 1e-6, x + 1e-6, y + 1e-6))
        xs, ys = self.frame.to_layer(np.array([0.0, 60.0, 0.0]), np.array([0.0, 0.0, -60.0]))
        self.affine = Affine(
            (xs[1] - xs[0]) / 60, -(xs[2] - xs[0]) / 60, xs[0], (ys[1] - ys[0]) / 60, -(ys[2] - ys[0]) / 60, ys[0]
        )


def _as_is(image, transform):
    return image, transform


def _rotated(image, transform):
    return image, transform @ Affine.rotation(31)


def _south_up(image, transform):
    return image[::-1], transform @ Affine.translation(0, image.shape[0]) @ Affine.scale(1, -1)


def _non_square(image, transform):
    return np.repeat(image, 2, axis=1), transform @ Affine.scale(0.5, 1)


ORIENTATIONS = {"north-up": _as_is, "rotated": _rotated, "south-up": _south_up, "non-square": _non_square}


@pytest.fixture
def write_image(tmp_path):
    """Write an image as GeoTIFF in a CRS and orientation; returns its path and the transform of upright pixels."""

    def write(image, name="image.tif", crs="EPSG:32616", orientation="north-up", gsd=GSD, transform=None, **extra):
        upright = transform or Placed(crs).affine @ Affine.scale(gsd, -gsd)
        turned, placed = ORIENTATIONS[orientation](image, upright)
        path = tmp_path / name
        profile = {"height": turned.shape[0], "width": turned.shape[1], "count": turned.shape[2], "dtype": turned.dtype}
        with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=placed, **profile, **extra) as dataset:
            dataset.write(np.moveaxis(turned, -1, 0))
        return str(path)

    return write


@pytest.fixture
def write_roofs(tmp_path):
    """Write a scene's roofs as a layer in a CRS; returns its path."""

    def write(roofs, name="roofs.gpkg", crs="EPSG:32616", gsd=GSD):
        import geopandas

        upright = Placed(crs).affine @ Affine.scale(gsd, -gsd)
        moved = [shapely.transform(roof, lambda x, y: upright @ (x, y), interleaved=False) for roof in roofs]
        path = tmp_path / name
        geopandas.GeoDataFrame({"kind": ["roof"] * len(moved)}, geometry=moved, crs=crs).to_file(path)
        return str(path)

    return write


@pytest.fixture(scope="session")
def bright_model(tmp_path_factory):
    """A model that calls a pixel a building by its brightness alone: probability 0.5 at 140, and steep."""
    path = tmp_path_factory.mktemp("model") / "bright.keras"
    return str(make_bright_model(path))


@pytest.fixture
def predicted(monkeypatch):
    """A list with an item for each tile that the network was given, which a test may empty."""
    from building_segmenter.inference import runtime

    tiles, at_once = [], runtime.TilePredictor.predict

    def counted(self, tile):
        tiles.append(None)
        return at_once(self, tile)

    monkeypatch.setattr(runtime.TilePredictor, "predict", counted)
    return tiles


def make_bright_model(path, bands=3, tile_size=128):
    import keras

    from building_segmenter.networks.facts import BandFacts, ModelFacts
    from building_segmenter.networks.model_file import save_model

    inputs = keras.Input((None, None, bands))
    outputs = keras.layers.Conv2D(1, 1, activation="sigmoid")(inputs)
    model = keras.Model(inputs, outputs)
    model.set_weights([np.full((1, 1, bands, 1), 0.05 / bands, np.float32), np.array([-7.0], np.float32)])
    band = BandFacts("grey", 40.0, 240.0, 100.0, 90.0)
    facts = ModelFacts(
        name="Bright",
        architecture="one convolution",
        bands=(band,) * bands,
        dtype="uint8",
        scale=(1.0,) * bands,
        offset=(0.0,) * bands,
        gsd=GSD,
        tile_size=tile_size,
        channels=("building",),
        classes=({"value": 1, "name": "building"},),
        threshold=0.5,
        created="2026-01-01T00:00:00Z",
    )
    save_model(model, facts, path)
    return path


def expected_probability(image):
    """Return what the bright model says of an image (height, width, bands)."""
    return 1 / (1 + np.exp(7.0 - 0.05 * image.astype(np.float64).mean(axis=-1)))
