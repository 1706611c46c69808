"""Rasters of any size for benchmarks: real imagery at the model's pixel, repeated with flips, or drawn houses."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from building_segmenter.networks import safety
from building_segmenter.networks.facts import ModelFacts, item_to_facts
from building_segmenter.networks.shipped import default_model_path

OVERLAP = 0.25
CELL_PX = 4
"""Pixels of the shipped model in a cell of its logits, on whose lines tiles begin."""
PIECE_PX = 1024
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TOWN = ("hot_oam_7cm/kampala:0",)
"""Dense: the block of one town, which the tables on speed are made with."""
COUNTY = ("hot_oam_7cm/kampala:0", "hot_oam_7cm/zanzibar:0", "hot_oam_7cm/banepa_south:0")
"""Town and country: about 13 buildings a hectare."""
UNSEEN = ("hot_oam_7cm/kampala:1", "hot_oam_7cm/banepa_south:1")
"""Blocks that the shipped model was not trained on; its threshold was chosen on them."""
_FINER = 2
"""Pixels of these blocks in a pixel of the shipped model."""

Image = NDArray[np.uint8]


def shipped_facts() -> ModelFacts:
    """Return the facts of the shipped model."""
    return facts_of(default_model_path())


def facts_of(model: Path) -> ModelFacts:
    """Return the facts of a model of *Train model*."""
    # Not by `model_file`, which imports Keras before the first task has chosen its backend.
    with safety.open_archive(model) as archive:
        return item_to_facts(safety.read_json(archive, "mlm.json", str(model)), str(model))


def tile_stride(facts: ModelFacts) -> int:
    """Return the pixels from one tile of the model to the next."""
    return round(facts.tile_size * (1 - OVERLAP))


def make_raster(path: Path, width: int, height: int, blocks: Sequence[str] = TOWN, piece_px: int = PIECE_PX) -> None:
    """Write an RGB GeoTIFF at the model's pixel that begins on a tile line, from pieces and their mirror images.

    Args:
        path: File to write, in EPSG:32636.
        width: In pixels.
        height: In pixels.
        blocks: Where pieces are cut from, `SITE:NUMBER` of the data folder; they take turns. Houses are drawn, and
            that is said, where the folder is missing.
        piece_px: Side of a piece.
    """
    facts = shipped_facts()
    pieces, step = _pieces(blocks, piece_px), tile_stride(facts) * facts.gsd
    place = Affine(facts.gsd, 0, 2000 * step, 0, -facts.gsd, 10000 * step)
    profile = {"width": width, "height": height, "count": 3, "dtype": "uint8", "crs": "EPSG:32636", "transform": place}
    tiled = {"tiled": True, "compress": "deflate", "zlevel": 1, "bigtiff": "if_safer"}
    with rasterio.open(path, "w", driver="GTiff", **profile, **tiled) as dataset:
        columns = -(-width // piece_px)
        for row, column in itertools.product(range(-(-height // piece_px)), range(columns)):
            piece = pieces[(row * columns + column) % len(pieces)]
            flipped = piece[:, :: -1 if row % 2 else 1, :: -1 if column % 2 else 1]
            top, left = row * piece_px, column * piece_px
            part = flipped[:, : height - top, : width - left]
            dataset.write(part, window=Window(left, top, part.shape[2], part.shape[1]))


def mosaic(block: str, folder: Path) -> Path:
    """Return a block of the data folder, `SITE:NUMBER`, as a GeoTIFF in `folder`, joined there from its tiles."""
    site, _, number = block.partition(":")
    path = folder / f"{Path(site).name}_block{number}.tif"
    if not path.is_file():
        words = [sys.executable, DATA / "make_mosaics.py", DATA / site, folder]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return path


def _pieces(blocks: Sequence[str], piece_px: int) -> list[Image]:
    """Return pieces (3, piece, piece) of blocks, each pixel the mean of those of the image that it covers."""
    if not DATA.is_dir():
        print(f"There is no real imagery at {DATA}: houses are drawn.")
        return [_drawn(piece_px)]
    pieces = []
    with tempfile.TemporaryDirectory() as folder:
        for block in blocks:
            with rasterio.open(mosaic(block, Path(folder))) as dataset:
                pieces += _cut(dataset, piece_px)
    return pieces


def _cut(dataset: rasterio.DatasetReader, piece_px: int) -> list[Image]:
    side = piece_px * _FINER
    rows, columns = (range(0, length - side + 1, side) for length in dataset.shape)
    shape = (3, piece_px, piece_px)
    return [
        dataset.read((1, 2, 3), window=Window(column, row, side, side), out_shape=shape, resampling=Resampling.average)
        for row, column in itertools.product(rows, columns)
    ]


def _drawn(piece_px: int) -> Image:
    random = np.random.default_rng(1)
    piece = random.integers(20, 90, (3, piece_px, piece_px)).astype(np.uint8)
    for y, x in random.integers(0, piece_px - 60, (150, 2)):
        piece[:, y : y + random.integers(30, 60), x : x + random.integers(30, 60)] = 200
    return piece
