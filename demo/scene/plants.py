"""Trees, palms and bushes: stamps with textured crowns, set where there is land."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo.scene.canvas import SUPER, Canvas, Colour, average, vary
from demo.scene.noise import Floats, cut
from demo.scene.style import Style

_STAMPS = 36
_ROOF_SHARE = 0.15
"""A crown may hide this share of its square with roof, so that trees lean over eaves but do not hide houses."""


@dataclass(frozen=True)
class Stamp:
    """A plant of (size, size) pixels: colour already multiplied by cover, cover 0..1, height in metres."""

    colour: Floats
    cover: Floats
    height: Floats


def plant(canvas: Canvas, style: Style, land: Floats) -> None:
    """Set trees, palms and bushes all over the land of a canvas.

    Args:
        canvas: With its roofs painted.
        style: Tells how many trees for 1000 m2, and the share of palms.
        land: Where plants may stand (rows, columns), 0..1.
    """
    rng = canvas.rng
    stamps = [_stamp(canvas, style, number) for number in range(_STAMPS)]
    width, height = canvas.size_m
    tries = int(style.trees * 1.6 * width * height / 1000)
    crowd_x, crowd_y = rng.uniform(0, width, max(tries // 12, 1)), rng.uniform(0, height, max(tries // 12, 1))
    for _ in range(tries):
        x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        if rng.random() < 0.5:
            near = int(rng.integers(len(crowd_x)))
            x, y = float(rng.normal(crowd_x[near], 8)), float(rng.normal(crowd_y[near], 8))
        _set(canvas, stamps[int(rng.integers(_STAMPS))], x, y, land)


def _set(canvas: Canvas, stamp: Stamp, x: float, y: float, land: Floats) -> None:
    size = len(stamp.cover)
    row, column = int(y / canvas.gsd), int(x / canvas.gsd)
    if not (0 <= row < canvas.height_px and 0 <= column < canvas.width_px) or land[row, column] < 0.5:
        return
    top, left = row - size // 2, column - size // 2
    rows = slice(max(top, 0), min(top + size, canvas.height_px))
    columns = slice(max(left, 0), min(left + size, canvas.width_px))
    roofs = canvas.roofs[rows.start * SUPER : rows.stop * SUPER : 4, columns.start * SUPER : columns.stop * SUPER : 4]
    if canvas.roofs[row * SUPER, column * SUPER] or (roofs > 0).mean() > _ROOF_SHARE:
        return
    piece = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    part = canvas.colour[rows, columns]
    part *= 1 - stamp.cover[piece][..., None]
    part += stamp.colour[piece]
    np.maximum(canvas.height[rows, columns], stamp.height[piece], out=canvas.height[rows, columns])


def _stamp(canvas: Canvas, style: Style, number: int) -> Stamp:
    rng = canvas.rng
    leaves = vary(rng, style.leaves, 0.2)
    if number < _STAMPS * style.palms * 0.6:
        return _palm(canvas, float(rng.uniform(2.2, 4.0)), leaves)
    radius = float(rng.uniform(0.5, 1.3)) if rng.random() < 0.4 else float(rng.uniform(1.5, 5.0))
    return _crown(canvas, radius, leaves)


def _grid(canvas: Canvas, radius: float) -> tuple[Floats, Floats]:
    half = int(np.ceil(radius * 1.25 / canvas.gsd)) * SUPER
    line = (np.arange(-half, half, dtype=np.float32) + 0.5) * np.float32(canvas.gsd / SUPER)
    return line[None, :], line[:, None]


def _crown(canvas: Canvas, radius: float, leaves: Colour) -> Stamp:
    """A crown of many round clumps on a dome, lit by the sun."""
    rng = canvas.rng
    x, y = _grid(canvas, radius)
    top = np.full((y.shape[0], x.shape[1]), -1.0, np.float32)
    tint = np.ones_like(top)
    stretch, lobes, start = float(rng.uniform(0.75, 1.0)), int(rng.integers(2, 6)), float(rng.uniform(0, 6))
    for _ in range(int(40 + 26 * radius)):
        turn = rng.uniform(0, 2 * np.pi)
        away = radius * np.sqrt(rng.random()) * (0.8 + 0.2 * np.sin(lobes * turn + start))
        clump = radius * float(rng.uniform(0.06, 0.2)) + 0.12
        dx, dy = x - np.float32(away * np.cos(turn)), y - np.float32(away * np.sin(turn) * stretch)
        dome = radius * 0.9 * np.sqrt(max(1 - (away / radius) ** 2, 0.02))
        ball = clump**2 - dx**2 - dy**2
        bulge = np.where(ball > 0, dome + np.sqrt(np.maximum(ball, 0)), -1).astype(np.float32)
        wins = bulge > top
        top[wins] = bulge[wins]
        tint[wins] = np.float32(rng.normal(1, 0.18))
    grain = cut(canvas.rough, rng, top.shape)
    cover = ((top > 0) & (grain > -1.6)).astype(np.float32)
    rough_top = top + 0.10 * grain
    step = canvas.gsd / SUPER
    fall_y, fall_x = np.gradient(rough_top, step)
    light = canvas.sun.shade(np.clip(-fall_x, -2, 2), np.clip(-fall_y, -2, 2), 0.45) * (0.85 + 0.4 * top / radius)
    lit = (tint * light * (1 + 0.15 * grain))[..., None] * np.asarray(leaves, np.float32)
    return _reduced(lit, cover, top + radius * 0.5)


def _palm(canvas: Canvas, radius: float, leaves: Colour) -> Stamp:
    """Fronds from one point, each a narrow leaf that thins out to its tip."""
    rng = canvas.rng
    x, y = _grid(canvas, radius)
    away, turn = np.hypot(x, y), np.arctan2(y, x) + np.float32(0.25) * np.hypot(x, y) / radius
    count = int(rng.integers(9, 15))
    position = turn * count / (2 * np.pi) + float(rng.random())
    frond = np.floor(position).astype(int) % count
    across = np.abs(position % 1 - 0.5) * (2 * np.pi / count) * away
    length = (radius * rng.uniform(0.75, 1.1, count)).astype(np.float32)[frond]
    inside = across < 0.16 * radius * np.clip(1 - (away / length) ** 2, 0, 1) ** 0.5
    grain = cut(canvas.rough, rng, inside.shape)
    shade = rng.normal(1.1, 0.22, count).astype(np.float32)[frond]
    light = shade * (1.2 - 3.5 * across / radius) * (1 + 0.15 * grain)
    height = np.where(inside, np.float32(6.5) - away, 0)
    return _reduced(np.maximum(light, 0.3)[..., None] * np.asarray(leaves, np.float32), inside & (grain > -1.4), height)


def _reduced(colour: Floats, cover: Floats, height: Floats) -> Stamp:
    cover = cover.astype(np.float32)
    share = average(cover)
    raised = average((height * cover).astype(np.float32)) / np.maximum(share, 1e-6)
    lit = average(np.clip(colour, 0, 1).astype(np.float32) * cover[..., None])
    return Stamp(lit, share, np.where(share > 0.4, raised, 0).astype(np.float32))
