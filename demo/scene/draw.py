"""Draw an aerial scene whose building footprints are known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity

from demo.scene.buildings import Building, make_buildings
from demo.scene.canvas import Canvas
from demo.scene.clutter import paint_walls, scatter
from demo.scene.ground import Ground
from demo.scene.layout import make_blocks, make_districts
from demo.scene.light import cast_shadows, photograph, random_sun
from demo.scene.plants import plant
from demo.scene.roofs import paint_building
from demo.scene.style import random_style

_LEAST_VISIBLE_M2 = 3.0


@dataclass(frozen=True)
class Scene:
    """A drawn scene.

    Attributes:
        image: Red, green and blue (rows, columns, 3).
        footprints: Outlines in pixels, x right and y down from the upper left corner. All angles are right. A house
            on the edge of the image reaches beyond it. Neighbours may share a wall, and none overlap.
        gsd: Ground pixel in metres.
        roofs: The footprint's index + 1 where its roof is, 0 elsewhere, with 2 x 2 samples for each pixel. Trees that
            lean over roofs do not count.
    """

    image: NDArray[np.uint8]
    footprints: list[shapely.Polygon]
    gsd: float
    roofs: NDArray[np.int32]


def draw_scene(seed: int, width_px: int, height_px: int, gsd: float = 0.15, town: str | None = None) -> Scene:
    """Draw a scene: streets, houses with their shadows, trees, cars, noise. The same seed gives the same scene.

    Args:
        seed: Chooses everything: style, sun, streets, houses.
        width_px: Width in pixels.
        height_px: Height in pixels.
        gsd: Ground pixel in metres.
        town: The kind of town, a key of `demo.scene.style.STYLES`; any of them if None.
    """
    rng = np.random.default_rng(seed)
    style = random_style(rng, town)
    canvas = Canvas(rng, height_px, width_px, gsd, random_sun(rng))
    districts = make_districts(rng, canvas.size_m, style)
    blocks = [block for district in districts for block in make_blocks(rng, district, canvas.size_m, style)]
    ground = Ground(canvas, style)
    for block in blocks:
        ground.paint_block(block)
    for block in blocks:
        paint_walls(canvas, block, style)
    buildings = [building for block in blocks for building in make_buildings(rng, block, style)]
    footprints = _paint_buildings(canvas, buildings)
    for block in blocks:
        scatter(canvas, block)
    plant(canvas, style, ground.land)
    cast_shadows(canvas)
    return Scene(photograph(canvas), footprints, gsd, canvas.roofs)


def _paint_buildings(canvas: Canvas, buildings: list[Building]) -> list[shapely.Polygon]:
    """Paint the buildings that show, and return their outlines in pixels."""
    view = shapely.box(0, 0, *canvas.size_m)
    footprints: list[shapely.Polygon] = []
    for building in buildings:
        outline = building.outline()
        if outline.intersection(view).area < _LEAST_VISIBLE_M2:
            continue
        paint_building(canvas, building, len(footprints) + 1)
        footprints.append(affinity.scale(outline, 1 / canvas.gsd, 1 / canvas.gsd, origin=(0, 0)))
    return footprints
