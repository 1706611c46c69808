"""Drawn buildings with exact outlines, and detectors whose mistakes are known."""

from dataclasses import dataclass

import numpy as np
import shapely
import shapely.affinity
from affine import Affine
from hypothesis import strategies as st
from rasterio.features import rasterize

from building_segmenter.footprints.instances import Tile, merged, placed
from building_segmenter.footprints.instances.outlines import outlines
from building_segmenter.rasters.tiles import tile_starts

SIDE, TILE, STRIDE = 480, 128, 96
SCENE = shapely.box(0, 0, SIDE, SIDE)
FINER = 8


def tiles(side=SIDE, tile=TILE, stride=STRIDE, index=0):
    """Return the tiles of a square grid, row by row."""
    starts = tile_starts(side, tile, stride, index)
    size = min(tile, side)
    return [[Tile.of((x, y, size, size), (0, 0, side, side)) for x in starts] for y in starts]


def coverage(polygon, left, top, width, height, rows, columns):
    """Return how much of each cell of a window is covered, (rows, columns)."""
    step = Affine.translation(left, top) @ Affine.scale(width / columns / FINER, height / rows / FINER)
    fine = rasterize([polygon], (rows * FINER, columns * FINER), transform=step)
    return fine.reshape(rows, FINER, columns, FINER).mean(axis=(1, 3))


def box_and_mask(part, tile, cells):
    """Return box and mask, as a detector gives them, of what is seen of a building; `cells` None: at full size."""
    left, top = tile.box[:2]
    part = shapely.affinity.translate(part, -left, -top)
    box = np.array(part.bounds)
    if cells is None:
        box = np.concatenate([np.floor(box[:2]), np.ceil(box[2:])])
        rows, columns = int(box[3] - box[1]), int(box[2] - box[0])
    else:
        rows = columns = cells
    return box, coverage(part, box[0], box[1], box[2] - box[0], box[3] - box[1], rows, columns)


def perfect(buildings, tile, cells=None, *, pieces=False):
    """Find what a tile shows of each building; with `pieces` each piece of it that hangs together by itself."""
    boxes, masks = [], []
    for building in buildings:
        seen = shapely.intersection(building, shapely.box(*tile.box))
        parts = [one for one in shapely.get_parts(seen) if one.area > 0]
        for part in parts if pieces else [seen] if parts else []:
            if part.area >= 1:
                box, mask = box_and_mask(part, tile, cells)
                boxes.append(box)
                masks.append(mask)
    count = len(boxes)
    return placed(boxes, masks, [0.9] * count, [1] * count, tile)


@dataclass(frozen=True)
class Mistakes:
    """What a detector does wrong: pixels by which borders move, share of instances that it misses, and how far from
    a seam it may stop."""

    jitter: float = 0.0
    missing: float = 0.0
    short: float = 0.0


def noisy(buildings, tile, random, mistakes, cells=None):
    """Find buildings with mistakes and random scores."""
    boxes, masks, scores = [], [], []
    left, top, right, bottom = tile.box
    for building in buildings:
        stop = random.uniform(0, mistakes.short, 4) * np.array(tile.seams)
        view = shapely.box(left + stop[0], top + stop[1], right - stop[2], bottom - stop[3])
        moved = shapely.affinity.translate(building, *random.uniform(-mistakes.jitter, mistakes.jitter, 2) / 2)
        moved = moved.buffer(random.uniform(-mistakes.jitter, mistakes.jitter) / 2, join_style="mitre")
        seen = shapely.intersection(moved, view)
        if seen.area < 4 or random.uniform() < mistakes.missing:
            continue
        box, mask = box_and_mask(seen, tile, cells)
        boxes.append(box)
        masks.append(np.clip(mask + random.normal(0, 0.05, mask.shape) * (mask > 0), 0, 1))
        scores.append(random.uniform(0.5, 1.0))
    return placed(boxes, masks, scores, [1] * len(boxes), tile)


def merged_outlines(rows, min_hole=4.0):
    """Merge rows of tiles, each a list of instances for each tile, and return polygons and merged instances."""
    found = [one for batch in merged(rows) for one in batch]
    return outlines([one.patch for one in found], min_hole), found


def by_rows(detect, grid):
    """Return what `merged` takes, of a function that gives the instances of a tile."""
    return [(row[0].box[1], [one for tile in row for one in detect(tile)]) for row in grid]


def compared(truth, found):
    """Return the table of IoU (truth, found)."""
    table = np.zeros((len(truth), len(found)))
    for k, building in enumerate(truth):
        common = shapely.area(shapely.intersection(building, found))
        table[k] = common / (building.area + shapely.area(found) - common)
    return table


def house(width, height):
    return [shapely.box(-width / 2, -height / 2, width / 2, height / 2)]


def row_of_houses(count, width, height):
    return [shapely.box(k * width, -height / 2, (k + 1) * width, height / 2) for k in range(count)]


def ell(width, height, wing):
    outer = shapely.box(-width / 2, -height / 2, width / 2, height / 2)
    return [outer - shapely.box(-width / 2 + wing, -height / 2 + wing, width, height)]


def horseshoe(width, height, wing):
    outer = shapely.box(-width / 2, -height / 2, width / 2, height / 2)
    return [outer - shapely.box(-width / 2 + wing, -height / 2 + wing, width / 2 - wing, height)]


def courtyard(width, height, wing):
    outer = shapely.box(-width / 2, -height / 2, width / 2, height / 2)
    return [outer - shapely.box(-width / 2 + wing, -height / 2 + wing, width / 2 - wing, height / 2 - wing)]


_SMALL, _LARGE = st.integers(20, 45), st.integers(70, 200)
_WING = st.integers(16, 24)
SHAPES = st.one_of(
    st.builds(house, _SMALL, _SMALL),
    st.builds(row_of_houses, st.integers(2, 9), st.integers(16, 30), st.integers(20, 40)),
    st.builds(house, st.integers(330, 420), st.integers(20, 60)),
    st.builds(ell, _LARGE, _LARGE, _WING),
    st.builds(horseshoe, _LARGE, _LARGE, _WING),
    st.builds(courtyard, _LARGE, _LARGE, _WING),
)
PLACES = st.tuples(st.integers(0, SIDE), st.integers(0, SIDE), st.sampled_from([0, 0, 90]) | st.integers(0, 179))
SCENES = st.lists(st.tuples(SHAPES, PLACES), min_size=1, max_size=9).map(lambda drawn: scene(drawn))


def scene(drawn):
    """Place groups of buildings, leaving out those that lie over earlier ones or hardly within the scene."""
    buildings = []
    for shapes, (x, y, turn) in drawn:
        group = [shapely.affinity.translate(shapely.affinity.rotate(one, turn, origin=(0, 0)), x, y) for one in shapes]
        if buildings and shapely.distance(shapely.union_all(group), shapely.union_all(buildings)) < 3:
            continue
        inside = [shapely.intersection(one, SCENE) for one in group]
        # What the scene's edge leaves of a building hangs together and is no thinner than a few pixels.
        buildings += [one for one in inside if one.geom_type == "Polygon" and _is_thick(one)]
    return buildings


def _is_thick(building):
    core = building.buffer(-5)
    thick = core.buffer(5.5, join_style="mitre")
    return core.geom_type == "Polygon" and building.area > 250 and (building - thick).area < 0.02 * building.area
