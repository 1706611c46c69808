"""Buildings: plans of right-angled wings, roof shapes and materials, set on plots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from shapely import affinity

from demo.scene.canvas import Colour, vary
from demo.scene.layout import Block, Box, Plot
from demo.scene.style import ROOF_COLOURS, ROOF_SHAPES, Style, choose


@dataclass(frozen=True)
class Wing:
    """A rectangle of a plan with its own roof. `along` tells whether the ridge runs along u; lengths in metres."""

    box: Box
    shape: str
    along: bool
    eaves: float
    slope: float


@dataclass(frozen=True)
class Building:
    """Wings in a frame centred at (x, y), in metres of the scene, and turned by `angle` radians."""

    x: float
    y: float
    angle: float
    wings: tuple[Wing, ...]
    material: str
    colour: Colour
    trim: Colour
    wear: float

    @property
    def radius(self) -> float:
        """Distance in metres from the centre within which the building lies."""
        return max(max(np.hypot(u, v) for u in (w.box.left, w.box.right) for v in (w.box.top, w.box.bottom))
                   for w in self.wings)  # fmt: skip

    def plan(self) -> shapely.Polygon:
        """Return the outline in the building's own frame; courtyards are holes."""
        boxes = [shapely.box(w.box.left, w.box.top, w.box.right, w.box.bottom) for w in self.wings]
        # A wing that continues another's wall leaves a vertex on a straight line, which is no corner.
        return shapely.union_all(boxes).simplify(1e-9)

    def outline(self) -> shapely.Polygon:
        """Return the outline in the scene's metres, x right and y down."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return affinity.affine_transform(self.plan(), [cos, -sin, sin, cos, self.x, self.y])


def make_buildings(rng: np.random.Generator, block: Block, style: Style) -> Iterator[Building]:
    """Yield the buildings of a block, none overlapping; houses of a row touch."""
    if block.use == "row":
        yield from _row(rng, block, style)
        return
    for plot in block.plots:
        if block.use == "hall":
            yield from _hall(rng, plot)
        elif rng.random() < 0.92:
            yield from _houses(rng, plot, style)


def _row(rng: np.random.Generator, block: Block, style: Style) -> Iterator[Building]:
    """Houses wall to wall along the street; now and then one is missing."""
    material = choose(rng, style.roofs)
    for plot in block.plots:
        if rng.random() < 0.1:
            continue
        if rng.random() < 0.3:
            material = choose(rng, style.roofs)
        depth = plot.box.depth * float(rng.uniform(0.55, 0.8))
        back = float(rng.uniform(0.3, 1.5))
        top = plot.box.top + back if plot.front < 0 else plot.box.bottom - back - depth
        yield _raise(rng, plot, Box(plot.box.left, top, plot.box.right, top + depth), "box", material, style)


def _hall(rng: np.random.Generator, plot: Plot) -> Iterator[Building]:
    room = plot.box.shrunk(float(rng.uniform(2, 5)))
    if min(room.width, room.depth) < 9:
        return
    box = _part(rng, room, 0.65, 1.0)
    material = choose(rng, {"bright metal": 4, "grey metal": 4, "painted metal": 3, "concrete": 2})
    form = choose(rng, {"box": 4, "L": 1, "U": 1, "court": 1.5, "step": 1})
    yield _raise(rng, plot, box, form, material, None)


def _houses(rng: np.random.Generator, plot: Plot, style: Style) -> Iterator[Building]:
    """A house, turned a little off the street in some plots, and often a shed behind it."""
    room = plot.box.shrunk(float(rng.uniform(0.8, 2.0)))
    if min(room.width, room.depth) < 4.5:
        return
    box = _house_box(rng, room, plot.front)
    form = choose(rng, {"box": 5, "L": 3, "T": 2, "U": 1, "step": 3, "porch": 3} | _courts(box))
    yield _raise(rng, plot, box, form, choose(rng, style.roofs), style)
    behind = (
        Box(room.left, box.bottom + 1, room.right, room.bottom)
        if plot.front < 0
        else Box(room.left, room.top, room.right, box.top - 1)
    )
    if behind.depth > 3 and rng.random() < 0.55:
        shed = _part(rng, behind, 0.25, 0.8)
        shed = Box(shed.left, shed.top, min(shed.right, shed.left + 9), min(shed.bottom, shed.top + 5))
        yield _raise(rng, plot, shed, "box", choose(rng, style.roofs), None)


def _courts(box: Box) -> dict[str, float]:
    return {"court": 1.0} if min(box.width, box.depth) > 13 else {}


def _house_box(rng: np.random.Generator, room: Box, front: int) -> Box:
    width = min(room.width, float(rng.uniform(7, 18)))
    depth = min(room.depth * 0.9, float(rng.uniform(6, 14)))
    left = room.left + float(rng.uniform(0, 1)) * (room.width - width)
    away = float(rng.uniform(0, 0.5)) * (room.depth - depth)
    top = room.top + away if front < 0 else room.bottom - away - depth
    return Box(left, top, left + width, top + depth)


def _part(rng: np.random.Generator, room: Box, least: float, most: float) -> Box:
    width, depth = room.width * float(rng.uniform(least, most)), room.depth * float(rng.uniform(least, most))
    left = room.left + float(rng.uniform(0, 1)) * (room.width - width)
    top = room.top + float(rng.uniform(0, 1)) * (room.depth - depth)
    return Box(left, top, left + width, top + depth)


def _raise(rng: np.random.Generator, plot: Plot, box: Box, form: str, material: str, style: Style | None) -> Building:
    """Build on a box of a plot; without a style, one storey."""
    storeys = int(rng.integers(style.storeys[0], style.storeys[1] + 1)) if style else 1
    eaves = 2.6 * storeys + float(rng.uniform(0, 1.2))
    shape = choose(rng, ROOF_SHAPES[material])
    slope = float(rng.uniform(0.08, 0.2) if shape == "shed" else rng.uniform(0.25, 0.6))
    wings = _roofed(rng, plan_boxes(rng, form, box.width, box.depth), shape, eaves, slope)
    colours = ROOF_COLOURS[material]
    x, y = plot.district.place(*box.centre)
    return Building(
        x, y, plot.district.angle, tuple(wings), material,
        colour=vary(rng, colours[int(rng.integers(len(colours)))], 0.06),
        trim=vary(rng, [(0.80, 0.78, 0.74), (0.62, 0.24, 0.20), (0.55, 0.53, 0.5)][int(rng.integers(3))]),
        wear=float(rng.beta(1.3, 2.5)),
    )  # fmt: skip


def _roofed(rng: np.random.Generator, boxes: list[Box], shape: str, eaves: float, slope: float) -> list[Wing]:
    swap = rng.random() < 0.15
    wings = []
    for number, box in enumerate(boxes):
        lower = float(rng.uniform(0.3, 0.8)) if number else 0.0
        along = (box.width >= box.depth) != swap
        # The roof of a wide hall would grow too high at a house's slope.
        across = box.depth if along else box.width
        wings.append(Wing(box, shape, along, eaves - lower, min(slope, 4.0 / across * 2)))
    return wings


def plan_boxes(rng: np.random.Generator, form: str, width: float, depth: float) -> list[Box]:
    """Return the rectangles of a plan that fills `width` x `depth` metres around (0, 0), turned or mirrored at random.

    Args:
        rng: Chooses thicknesses and offsets.
        form: "box", "L", "T", "U", "court", "step" or "porch".
        width: Extent along u.
        depth: Extent along v.
    """
    a, b = width / 2, depth / 2
    thick_v, thick_u = depth * float(rng.uniform(0.35, 0.6)), width * float(rng.uniform(0.3, 0.5))
    base = Box(-a, -b, a, -b + thick_v)
    left = Box(-a, -b, -a + thick_u, b)
    inner = float(rng.uniform(-0.5, 0.5)) * (width - thick_u)
    third_v, third_u = depth * 0.3, width * 0.3
    forms = {
        "box": [Box(-a, -b, a, b)],
        "L": [base, left],
        "T": [base, Box(inner - thick_u / 2, -b, inner + thick_u / 2, b)],
        "U": [Box(-a, -b, a, -b + third_v), Box(-a, -b, -a + third_u, b), Box(a - third_u, -b, a, b)],
        "court": [Box(-a, -b, a, -b + third_v), Box(-a, b - third_v, a, b), Box(-a, -b, -a + third_u, b),
                  Box(a - third_u, -b, a, b)],
        "step": [Box(-a, -b, a - thick_u * 0.4, b), Box(-a, -b, a, b - thick_v * 0.8)],
        "porch": [Box(-a, -b, a, b - 1.8), Box(inner - thick_u / 2, -b, inner + thick_u / 2, b)],
    }  # fmt: skip
    return _mirrored(forms[form], bool(rng.random() < 0.5), bool(rng.random() < 0.5))


def _mirrored(boxes: list[Box], in_u: bool, in_v: bool) -> list[Box]:
    if in_u:
        boxes = [Box(-box.right, box.top, -box.left, box.bottom) for box in boxes]
    if in_v:
        boxes = [Box(box.left, -box.bottom, box.right, -box.top) for box in boxes]
    return boxes
