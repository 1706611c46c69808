"""Where things stand: districts, each a street grid at its own angle, with blocks and plots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from demo.scene.noise import Floats
from demo.scene.style import Style, choose


@dataclass(frozen=True)
class District:
    """A part of the scene with one direction of streets: all that is nearer to its centre than to another's."""

    x: float
    y: float
    angle: float
    others: tuple[tuple[float, float], ...]
    street: float

    def place(self, u: float, v: float) -> tuple[float, float]:
        """Return a place of the district's frame in the scene's metres."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return float(self.x + cos * u - sin * v), float(self.y + sin * u + cos * v)

    def inset(self, x: Floats | float, y: Floats | float) -> Floats:
        """Return how far places lie inside the district, in metres; negative outside."""
        inside = np.full(np.broadcast(x, y).shape, 1e6, np.float32)
        for other_x, other_y in self.others:
            away_x, away_y = self.x - other_x, self.y - other_y
            middle_x, middle_y = (self.x + other_x) / 2, (self.y + other_y) / 2
            apart = float(np.hypot(away_x, away_y))
            inside = np.minimum(inside, ((x - middle_x) * away_x + (y - middle_y) * away_y) / apart)
        return inside - np.float32(self.street / 2)


@dataclass(frozen=True)
class Box:
    """A rectangle along the axes of a district's frame, in metres."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Extent along u."""
        return self.right - self.left

    @property
    def depth(self) -> float:
        """Extent along v."""
        return self.bottom - self.top

    @property
    def centre(self) -> tuple[float, float]:
        """The middle."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def shrunk(self, by: float) -> Box:
        """Return the box with every side moved inwards."""
        return Box(self.left + by, self.top + by, self.right - by, self.bottom - by)


@dataclass(frozen=True)
class Plot:
    """A plot of land; `front` is the side on the street: -1 at the top, 1 at the bottom."""

    district: District
    box: Box
    front: int


@dataclass(frozen=True)
class Block:
    """Land between streets. `use` is "houses", "row", "hall", "field" or "green"."""

    district: District
    box: Box
    use: str
    plots: tuple[Plot, ...]


def make_districts(rng: np.random.Generator, size: tuple[float, float], style: Style) -> list[District]:
    """Return one to three districts that share a scene of this size in metres."""
    count = int(rng.integers(1, 4))
    centres = [(float(rng.uniform(0, size[0])), float(rng.uniform(0, size[1]))) for _ in range(count)]
    street = float(rng.uniform(*style.street_width)) + 1.0
    return [
        District(x, y, float(rng.uniform(0, np.pi)), tuple(o for o in centres if o != (x, y)), street)
        for x, y in centres
    ]


def make_blocks(
    rng: np.random.Generator, district: District, size: tuple[float, float], style: Style
) -> Iterator[Block]:
    """Yield the blocks of a district's street grid that touch the scene."""
    reach = float(np.hypot(*size))
    top = -reach + float(rng.uniform(0, 30))
    while top < reach:
        double = rng.random() < 0.7
        depth = float(rng.uniform(*style.plot_depth)) * (2 if double else 1)
        left = -reach + float(rng.uniform(0, 40))
        while left < reach:
            length = float(rng.uniform(45, 130))
            box = Box(left, top, left + length, top + depth)
            if _visible(district, box, size):
                yield _block(rng, district, box, double, style)
            left += length + float(rng.uniform(*style.street_width))
        top += depth + float(rng.uniform(*style.street_width))


def _visible(district: District, box: Box, size: tuple[float, float]) -> bool:
    x, y = district.place(*box.centre)
    reach = float(np.hypot(box.width, box.depth)) / 2
    near = -reach < x < size[0] + reach and -reach < y < size[1] + reach
    return near and float(district.inset(x, y)) > -reach


def _block(rng: np.random.Generator, district: District, box: Box, double: bool, style: Style) -> Block:
    if rng.random() > style.built:
        return Block(district, box, "field" if rng.random() < 0.35 else "green", ())
    use = choose(rng, {"row": style.rows, "hall": style.halls, "houses": 1 - style.rows - style.halls})
    if use == "hall":
        plots = _cut(rng, district, box, -1, (28, 60))
    elif double:
        middle = (box.top + box.bottom) / 2
        upper = _cut(rng, district, Box(box.left, box.top, box.right, middle), -1, style.plot_width)
        plots = upper + _cut(rng, district, Box(box.left, middle, box.right, box.bottom), 1, style.plot_width)
    else:
        plots = _cut(rng, district, box, int(rng.choice([-1, 1])), style.plot_width)
    return Block(district, box, use, tuple(plots))


def _cut(rng: np.random.Generator, district: District, box: Box, front: int, widths: tuple[float, float]) -> list[Plot]:
    """Cut a strip into plots; those that reach out of their district are left out."""
    plots, left = [], box.left
    while box.right - left >= widths[0]:
        right = min(left + float(rng.uniform(*widths)), box.right)
        if box.right - right < widths[0]:
            right = box.right
        plot = Plot(district, Box(left, box.top, right, box.bottom), front)
        if _within(plot):
            plots.append(plot)
        left = right
    return plots


def _within(plot: Plot) -> bool:
    box = plot.box
    corners = [plot.district.place(u, v) for u in (box.left, box.right) for v in (box.top, box.bottom)]
    return all(float(plot.district.inset(x, y)) > 0 for x, y in corners)
