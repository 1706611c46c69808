"""The canvas: colours, heights above ground and roof numbers, painted in windows at twice the resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo.scene.noise import Floats, tile

SUPER = 2
"""Samples across a pixel; what is painted is averaged over SUPER x SUPER samples."""

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Sun:
    """Direction to the sun: unit vector in the picture (x right, y down), and elevation in radians."""

    x: float
    y: float
    elevation: float

    def shade(self, slope_x: Floats, slope_y: Floats, ambient: float = 0.35) -> Floats:
        """Return the brightness of planes relative to level ground; slopes are falls in metres a metre."""
        length = np.sqrt(slope_x**2 + slope_y**2 + 1)
        level = np.tan(self.elevation)
        facing = np.maximum((slope_x * self.x + slope_y * self.y) / level + 1, 0) / length
        return (ambient + (1 - ambient) * np.minimum(facing, 1.6)).astype(np.float32)


@dataclass
class Canvas:
    """What is painted so far, in pixels of `gsd` metres; x runs right and y down, in metres from the corner."""

    rng: np.random.Generator
    height_px: int
    width_px: int
    gsd: float
    sun: Sun
    colour: Floats = field(init=False)
    height: Floats = field(init=False)
    roofs: NDArray[np.int32] = field(init=False)
    rough: Floats = field(init=False)
    soft: Floats = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.height_px, self.width_px)
        self.colour = np.zeros((*shape, 3), np.float32)
        self.height = np.zeros(shape, np.float32)
        self.roofs = np.zeros((self.height_px * SUPER, self.width_px * SUPER), np.int32)
        self.rough = tile(self.rng, 0.8)
        self.soft = tile(self.rng, 7.0)

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height in metres."""
        return self.width_px * self.gsd, self.height_px * self.gsd


@dataclass(frozen=True)
class Window:
    """A part of the canvas, and the places of its samples."""

    rows: slice
    columns: slice
    x: Floats
    y: Floats

    @property
    def samples(self) -> tuple[slice, slice]:
        """The window's rows and columns in samples."""
        return (
            slice(self.rows.start * SUPER, self.rows.stop * SUPER),
            slice(self.columns.start * SUPER, self.columns.stop * SUPER),
        )

    def local(self, x: float, y: float, angle: float) -> tuple[Floats, Floats]:
        """Return the samples' places in a frame at (x, y) turned by `angle` radians."""
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        east, south = self.x - np.float32(x), self.y - np.float32(y)
        return cos * east + sin * south, cos * south - sin * east


def window(canvas: Canvas, x: float, y: float, radius: float) -> Window | None:
    """Return the square window around a place in metres, or None if it lies outside the canvas."""
    first_row, last_row = _span(y, radius, canvas.gsd, canvas.height_px)
    first_column, last_column = _span(x, radius, canvas.gsd, canvas.width_px)
    if first_row >= last_row or first_column >= last_column:
        return None
    step = canvas.gsd / SUPER
    ys = (np.arange(first_row * SUPER, last_row * SUPER, dtype=np.float32) + 0.5) * np.float32(step)
    xs = (np.arange(first_column * SUPER, last_column * SUPER, dtype=np.float32) + 0.5) * np.float32(step)
    return Window(slice(first_row, last_row), slice(first_column, last_column), xs[None, :], ys[:, None])


def paint(
    canvas: Canvas, place: Window, colour: Floats | Colour, alpha: NDArray[Any], height: Floats | float | None = None
) -> None:
    """Lay colour over a window.

    Args:
        canvas: What is painted on.
        place: The window.
        colour: One colour, or one for each sample (rows, columns, 3).
        alpha: How much each sample covers, 0..1.
        height: Metres above ground, raising the canvas where at least half a pixel is covered.
    """
    alpha = alpha.astype(np.float32)
    cover = average(alpha)
    weighted = average(np.asarray(colour, np.float32) * alpha[..., None])
    part = canvas.colour[place.rows, place.columns]
    part *= 1 - cover[..., None]
    part += weighted
    if height is not None:
        raised = average(np.asarray(height, np.float32) * alpha) / np.maximum(cover, 1e-6)
        heights = canvas.height[place.rows, place.columns]
        np.maximum(heights, np.where(cover >= 0.5, raised, 0), out=heights)


def paint_box(
    canvas: Canvas,
    centre: tuple[float, float],
    size: tuple[float, float],
    angle: float,
    colour: Colour,
    height: float | None = None,
    strength: float = 1.0,
) -> None:
    """Paint a turned rectangle of one colour, slightly uneven; lengths in metres."""
    place = window(canvas, *centre, float(np.hypot(*size)) / 2 + canvas.gsd)
    if place is None:
        return
    u, v = place.local(*centre, angle)
    inside = (np.abs(u) <= size[0] / 2) & (np.abs(v) <= size[1] / 2)
    rows, columns = np.arange(u.shape[0]) % len(canvas.rough), np.arange(u.shape[1]) % len(canvas.rough)
    uneven = 1 + 0.05 * canvas.rough[rows[:, None], columns[None, :]]
    paint(canvas, place, uneven[..., None] * np.asarray(colour, np.float32), inside * strength, height)


def average(samples: Floats) -> Floats:
    """Return the means of SUPER x SUPER samples, a pixel each."""
    total: Floats = samples[0::SUPER, 0::SUPER].copy()
    for row in range(SUPER):
        for column in range(SUPER):
            if row or column:
                total += samples[row::SUPER, column::SUPER]
    return total / SUPER**2


def vary(rng: np.random.Generator, colour: Sequence[float], spread: float = 0.05) -> Colour:
    """Return a colour a little lighter or darker and a little off in hue."""
    varied = np.asarray(colour) * rng.normal(1, spread) * rng.normal(1, spread / 3, 3)
    red, green, blue = np.clip(varied, 0.02, 0.98)
    return float(red), float(green), float(blue)


def _span(centre: float, radius: float, gsd: float, length: int) -> tuple[int, int]:
    return max(int(np.floor((centre - radius) / gsd)), 0), min(int(np.ceil((centre + radius) / gsd)), length)
