"""The ground: streets, blocks of soil and grass, yards, paved courts and ploughed fields."""

from __future__ import annotations

import numpy as np

from demo.scene.canvas import Canvas, Colour, vary
from demo.scene.layout import Block, Box, District
from demo.scene.noise import Floats, clouds, cut
from demo.scene.style import Style


class Ground:
    """The ground of a scene, painted at the canvas' own resolution, since its edges are soft.

    Attributes:
        land: Where there is no street (rows, columns), 0..1.
    """

    def __init__(self, canvas: Canvas, style: Style) -> None:
        self.canvas, self.style = canvas, style
        shape = canvas.height.shape
        self.land = np.zeros(shape, np.float32)
        self._patches = clouds(canvas.rng, shape, 9 / canvas.gsd, 4)
        self._grain = cut(canvas.rough, canvas.rng, shape)
        self._stains = cut(canvas.soft, canvas.rng, shape)
        tint = 1 + 0.04 * self._patches + 0.05 * self._stains + 0.04 * self._grain
        canvas.colour[:] = tint[..., None] * np.asarray(style.street, np.float32)

    def paint_block(self, block: Block) -> None:
        """Paint a block's land, then its plots, each with a yard of its own, or its fields."""
        self._lay(block.district, block.box, "mixed", street=True)
        if block.use == "field":
            for strip in _strips(self.canvas.rng, block.box):
                self._lay(block.district, strip, "field")
        elif block.use == "green":
            self._lay(block.district, block.box.shrunk(1.0), "grass")
        for plot in block.plots:
            kind = self.canvas.rng.random()
            cover = "soil" if kind < 0.25 else "grass" if kind < 0.25 + 0.35 * self.style.green else "mixed"
            if block.use in ("row", "hall") or kind > 0.9:
                cover = "paved" if self.canvas.rng.random() < 0.5 else "soil"
            self._lay(block.district, plot.box.shrunk(0.3), cover)

    def _lay(self, district: District, box: Box, cover: str, street: bool = False) -> None:
        """Lay a cover over a box of a district, with a frayed edge; `street` marks the start of land."""
        canvas = self.canvas
        rows, columns = _extent(canvas, district, box)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        y = ((np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) * canvas.gsd)[:, None]
        x = ((np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5) * canvas.gsd)[None, :]
        cos, sin = np.float32(np.cos(district.angle)), np.float32(np.sin(district.angle))
        u, v = cos * (x - district.x) + sin * (y - district.y), cos * (y - district.y) - sin * (x - district.x)
        inside = np.minimum(np.minimum(u - box.left, box.right - u), np.minimum(v - box.top, box.bottom - v))
        inside = np.minimum(inside, district.inset(x, y))
        fray = 0.05 if cover == "paved" else 0.35
        alpha = np.clip(0.5 + (inside + fray * self._stains[rows, columns]) / (canvas.gsd + fray), 0, 1)
        self._blend(rows, columns, self._cover(cover, rows, columns, u, v), alpha)
        if street:
            self.land[rows, columns] = np.maximum(self.land[rows, columns], alpha)

    def _blend(self, rows: slice, columns: slice, colour: Floats, alpha: Floats) -> None:
        part = self.canvas.colour[rows, columns]
        part += (colour - part) * alpha[..., None]

    def _cover(self, cover: str, rows: slice, columns: slice, u: Floats, v: Floats) -> Floats:
        rng, style = self.canvas.rng, self.style
        grain, stains = self._grain[rows, columns], self._stains[rows, columns]
        patches = self._patches[rows, columns]
        soil = (1 + 0.05 * patches + 0.06 * stains + 0.05 * grain)[..., None] * _colour(rng, style.soil)
        if cover == "soil":
            return soil
        if cover == "paved":
            return _paving(rng, u, v, stains, grain)
        grass = (1 + 0.07 * patches + 0.10 * stains + 0.13 * grain)[..., None] * _colour(rng, style.grass)
        if cover == "field":
            return _field(rng, soil, grass, u, v, stains)
        level = 0.2 + (1.4 if cover == "grass" else -1.2) + 2.0 * (style.green - 0.5)
        share = 1 / (1 + np.exp(-3.0 * (patches + 0.5 * stains + 0.25 * grain + level)))
        return soil + (grass - soil) * share[..., None]


def _field(rng: np.random.Generator, soil: Floats, grass: Floats, u: Floats, v: Floats, stains: Floats) -> Floats:
    """Rows of crops on soil, thick or thin."""
    across = u if rng.random() < 0.5 else v
    waves = np.sin(2 * np.pi * across / float(rng.uniform(0.7, 1.8)))
    share = np.clip(float(rng.uniform(0, 0.9)) + 0.3 * waves + 0.15 * stains, 0, 1)
    return soil + (grass - soil) * share[..., None]


def _paving(rng: np.random.Generator, u: Floats, v: Floats, stains: Floats, grain: Floats) -> Floats:
    shade = float(rng.uniform(0.48, 0.74))
    size = float(rng.uniform(1.5, 4.0))
    joints = (np.abs(u % size) < 0.12) | (np.abs(v % size) < 0.12)
    light = 1 + 0.06 * stains + 0.03 * grain - 0.07 * joints
    return light[..., None] * _colour(rng, (shade, shade * 0.97, shade * 0.91))


def _colour(rng: np.random.Generator, colour: Colour) -> Floats:
    return np.asarray(vary(rng, colour, 0.07), np.float32)


def _strips(rng: np.random.Generator, box: Box) -> list[Box]:
    """Cut a field block into strips with balks between."""
    strips, left = [], box.left + 0.5
    while left < box.right - 6:
        right = min(left + float(rng.uniform(8, 30)), box.right)
        strips.append(Box(left, box.top + 0.5, right - 0.8, box.bottom - 0.5))
        left = right
    return strips


def _extent(canvas: Canvas, district: District, box: Box) -> tuple[slice, slice]:
    corners = [district.place(u, v) for u in (box.left - 1, box.right + 1) for v in (box.top - 1, box.bottom + 1)]
    xs, ys = [x / canvas.gsd for x, _ in corners], [y / canvas.gsd for _, y in corners]
    rows = slice(max(int(min(ys)), 0), min(int(max(ys)) + 1, canvas.height_px))
    return rows, slice(max(int(min(xs)), 0), min(int(max(xs)) + 1, canvas.width_px))
