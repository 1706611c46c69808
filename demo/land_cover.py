"""Draw small aerial scenes of three land covers with exact truth: roofs, water and trees on open ground.

`python -m demo.land_cover OUT_DIR --seed 1 --size 768` writes cover_1.tif and cover_1.gpkg with the field `cover`.
They are the example of docs/land-cover.md.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
import shapely
import shapely.affinity
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy.ndimage import gaussian_filter

from building_segmenter.geo.vectors import write_polygons

COVERS = ("roof", "trees", "water")
"""In alphabetical order, as an export numbers them from 1 on."""

_CRS, _ORIGIN = "EPSG:32636", (453600.0, 38400.0)
_ROOFS = ((178, 74, 52), (150, 152, 158), (96, 92, 96), (196, 178, 150))
_GROUND, _TREES, _WATER = (148, 142, 104), (58, 88, 46), (46, 74, 92)
_TRIES_A_SHAPE = 20


@dataclass(frozen=True)
class CoverScene:
    """A drawn scene.

    Args:
        image: (height, width, 3) uint8.
        label: (height, width) uint8: 0 open ground, else 1 + the place of the cover in `COVERS`.
        shapes: Polygons in pixels, which do not overlap.
        covers: Cover of each.
        gsd: Ground pixel in metres.
    """

    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    shapes: tuple[Any, ...]
    covers: tuple[str, ...]
    gsd: float


def draw_cover_scene(seed: int, size: int, gsd: float = 0.3) -> CoverScene:
    """Draw a square scene; the same seed gives the same bytes.

    Roofs take about a ninth of the ground, trees a fifteenth, and water, which is the rare one, a twenty-fifth.

    Args:
        seed: Chooses everything.
        size: Width and height in pixels.
        gsd: Ground pixel in metres; what is drawn has its size on the ground.
    """
    rng = np.random.default_rng(seed)
    hectares = (size * gsd) ** 2 / 10_000.0
    shapes: list[Any] = []
    covers: list[str] = []
    for cover, draw, count in (
        ("water", _pond, 1 + round(0.8 * hectares)),
        ("roof", _house, round(11 * hectares)),
        ("trees", _grove, round(18 * hectares)),
    ):
        placed = _placed(rng, draw, count, size, gsd, shapes)
        shapes += placed
        covers += [cover] * len(placed)
    numbers = [1 + COVERS.index(cover) for cover in covers]
    label = rasterize(zip(shapes, numbers, strict=True), (size, size), dtype="uint8")
    return CoverScene(_painted(rng, label, shapes, covers), label, tuple(shapes), tuple(covers), gsd)


def write_cover_scene(scene: CoverScene, raster: str | Path, layer: str | Path) -> None:
    """Write a scene's image as GeoTIFF and its polygons, with the field `cover`, as a vector layer."""
    # A UTM pixel away from the central meridian is a little off on the ground; here by less than half a thousandth.
    transform = Affine.translation(*_ORIGIN) @ Affine.scale(scene.gsd, -scene.gsd)
    height, width = scene.label.shape
    profile = {"width": width, "height": height, "count": 3, "dtype": "uint8", "crs": _CRS, "transform": transform}
    with rasterio.open(raster, "w", driver="GTiff", compress="deflate", **profile) as dataset:
        dataset.write(np.moveaxis(scene.image, -1, 0))
    moved = [shapely.transform(shape, lambda x, y: transform @ (x, y), interleaved=False) for shape in scene.shapes]
    write_polygons(geopandas.GeoDataFrame({"cover": scene.covers}, geometry=moved, crs=_CRS), str(layer))


def _placed(
    rng: np.random.Generator,
    draw: Callable[[np.random.Generator], Any],
    count: int,
    size: int,
    gsd: float,
    others: list[Any],
) -> list[Any]:
    """Draw shapes where they fit between the others."""
    frame = shapely.box(0, 0, size, size)
    placed: list[Any] = []
    for _ in range(count * _TRIES_A_SHAPE):
        if len(placed) == count:
            break
        shape = shapely.affinity.scale(draw(rng), 1 / gsd, 1 / gsd, origin=(0, 0))
        shape = shapely.affinity.translate(shape, *rng.uniform(0, size, 2))
        if not any(shape.distance(other) < 2.0 for other in (*others, *placed)):
            inside = shapely.intersection(shape, frame)
            if inside.geom_type == "Polygon" and inside.area > 30.0:
                placed.append(inside)
    return placed


def _house(rng: np.random.Generator) -> Any:
    """Return a house in metres about (0, 0): a box, or an L of two."""
    width, height = rng.uniform(7, 16), rng.uniform(6, 11)
    house = shapely.box(-width / 2, -height / 2, width / 2, height / 2)
    if rng.random() < 0.4:
        wing = shapely.box(-width / 2, 0, -width / 2 + rng.uniform(4, 6), height / 2 + rng.uniform(3, 7))
        house = shapely.union(house, wing)
    return shapely.affinity.rotate(house, rng.uniform(0, 180), origin=(0, 0))


def _grove(rng: np.random.Generator) -> Any:
    """Return one to five crowns that touch, in metres about (0, 0)."""
    crowns = [shapely.Point(*rng.uniform(-3, 3, 2)).buffer(rng.uniform(1.5, 3.5)) for _ in range(rng.integers(1, 6))]
    joined = shapely.union_all(crowns)
    return max(joined.geoms, key=shapely.area) if joined.geom_type == "MultiPolygon" else joined


def _pond(rng: np.random.Generator) -> Any:
    """Return a pond in metres about (0, 0), with a wavy shore."""
    angles = np.linspace(0, 2 * math.pi, 72, endpoint=False)
    waves = sum(rng.uniform(0, 0.25 / n) * np.cos(n * angles + rng.uniform(0, 7)) for n in (1, 2, 3, 5))
    radius = rng.uniform(8, 16) * (1.0 + waves)
    return shapely.Polygon(np.column_stack([radius * np.cos(angles), rng.uniform(0.6, 1) * radius * np.sin(angles)]))


def _painted(
    rng: np.random.Generator, label: NDArray[np.uint8], shapes: list[Any], covers: list[str]
) -> NDArray[np.uint8]:
    """Colour the covers; each has its own grain, and light and colour vary over the scene and from roof to roof."""
    size = label.shape[0]
    image = np.empty((size, size, 3))
    image[:] = _GROUND
    image *= 1.0 + 0.14 * _grain(rng, size, 12.0)
    for cover, colour, grain, smooth in (("trees", _TREES, 0.3, 1.2), ("water", _WATER, 0.05, 4.0)):
        mask = label == 1 + COVERS.index(cover)
        image[mask] = (np.array(colour) * (1.0 + grain * _grain(rng, size, smooth)))[mask]
    roofs = [shape for shape, cover in zip(shapes, covers, strict=True) if cover == "roof"]
    tones = np.array([rng.choice(_ROOFS) * rng.uniform(0.8, 1.15) for _ in roofs]).reshape(-1, 3)
    number = rasterize(
        [(roof, index) for index, roof in enumerate(roofs, start=1)] or [(shapely.box(0, 0, 0, 0), 0)],
        (size, size),
        dtype="int32",
    )
    image[number > 0] = tones[number[number > 0] - 1]
    image *= 1.0 + 0.08 * _grain(rng, size, size / 6)
    blurred = gaussian_filter(image, (0.7, 0.7, 0.0)) + rng.normal(0.0, 5.0, image.shape)
    painted: NDArray[np.uint8] = np.clip(np.rint(blurred), 0, 255).astype(np.uint8)
    return painted


def _grain(rng: np.random.Generator, size: int, smooth: float) -> NDArray[np.float64]:
    """Return (size, size, 1) of noise with standard deviation 1, smooth over so many pixels."""
    noise = gaussian_filter(rng.normal(size=(size, size)), smooth, mode="wrap")
    grain: NDArray[np.float64] = (noise / noise.std())[..., np.newaxis]
    return grain


def main() -> None:
    """Write cover_SEED.tif and cover_SEED.gpkg."""
    parser = argparse.ArgumentParser(description="Draw an aerial scene of roofs, water and trees with exact polygons.")
    parser.add_argument("folder", type=Path, metavar="OUT_DIR")
    parser.add_argument("--seed", type=int, default=1, help="chooses the scene")
    parser.add_argument("--size", type=int, default=768, help="width and height in pixels")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    scene = draw_cover_scene(options.seed, options.size)
    raster, layer = (options.folder / f"cover_{options.seed}{ending}" for ending in (".tif", ".gpkg"))
    write_cover_scene(scene, raster, layer)
    shares = ", ".join(f"{cover} {(scene.label == n).mean():.1%}" for n, cover in enumerate(COVERS, start=1))
    print(f"{raster}: {shares}")


if __name__ == "__main__":
    main()
