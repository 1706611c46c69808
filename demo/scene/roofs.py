"""Painting roofs: planes and ridges in the sun, sheets, tiles, shingles, flat roofs with parapets and tanks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from demo.scene.buildings import Building, Wing
from demo.scene.canvas import SUPER, Canvas, Window, paint, paint_box, window
from demo.scene.noise import Floats, cut

_METAL = ("bright metal", "grey metal", "rust", "painted metal")
_FAR = np.float32(1e3)


@dataclass
class Surface:
    """A roof's samples: `fall_u`, `fall_v` the slope's direction, `ridge` metres to the next plane's line."""

    inside: NDArray[np.bool_]
    height: Floats
    fall_u: Floats
    fall_v: Floats
    slope: Floats
    ridge: Floats


def paint_building(canvas: Canvas, building: Building, number: int) -> None:
    """Paint a building's roof, raise the canvas by its height, and enter its number where its roof is.

    A sample belongs to the roof if its centre lies inside the outline.
    """
    place = window(canvas, building.x, building.y, building.radius + canvas.gsd)
    if place is None:
        return
    u, v = place.local(building.x, building.y, building.angle)
    surface = _surface(building, u, v)
    colour = _covering(canvas, building, surface, u, v) * _shading(canvas, building, surface)[..., None]
    height = surface.height
    flat = building.wings[0].shape == "flat"
    if flat:
        colour, height = _parapet(canvas, building, surface, colour)
    paint(canvas, place, np.clip(colour, 0.01, 1.0), surface.inside, height)
    rows, columns = place.samples
    canvas.roofs[rows, columns][surface.inside] = number
    if flat:
        _equip(canvas, building)


def _surface(building: Building, u: Floats, v: Floats) -> Surface:
    """Return the upper envelope of the wings' roofs."""
    shape = np.broadcast(u, v).shape
    zero = np.zeros(shape, np.float32)
    total = Surface(np.zeros(shape, bool), zero.copy(), zero.copy(), zero.copy(), zero.copy(), zero + _FAR)
    for wing in building.wings:
        box = wing.box
        inside = (u >= box.left) & (u <= box.right) & (v >= box.top) & (v <= box.bottom)
        sides = _sides(wing, u, v, shape)
        order = np.sort(sides, axis=0)
        nearest = sides.argmin(axis=0)
        height = wing.eaves + (wing.slope * order[0] if wing.shape != "flat" else zero)
        wins = inside & (height > total.height)
        total.inside |= inside
        total.height[wins] = height[wins]
        total.fall_u[wins] = np.array([-1, 1, 0, 0], np.float32)[nearest][wins]
        total.fall_v[wins] = np.array([0, 0, -1, 1], np.float32)[nearest][wins]
        total.slope[wins] = 0.0 if wing.shape == "flat" else wing.slope
        total.ridge[wins] = (order[1] - order[0])[wins] / 2
    return total


def _sides(wing: Wing, u: Floats, v: Floats, shape: tuple[int, ...]) -> Floats:
    """Return distances (4, rows, columns) to the eaves at left, right, top and bottom; far away where none is."""
    box = wing.box
    edges = (u - box.left, box.right - u, v - box.top, box.bottom - v)
    sides = np.stack([np.broadcast_to(part, shape) for part in edges])
    eaves = {
        "hip": (True, True, True, True),
        "flat": (True, True, True, True),
        "gable": (not wing.along, not wing.along, wing.along, wing.along),
        "shed": (not wing.along, False, wing.along, False),
    }[wing.shape]
    sides[~np.array(eaves)] = _FAR
    return sides


def _shading(canvas: Canvas, building: Building, surface: Surface) -> Floats:
    cos, sin = np.cos(building.angle), np.sin(building.angle)
    east = (cos * surface.fall_u - sin * surface.fall_v) * surface.slope
    south = (sin * surface.fall_u + cos * surface.fall_v) * surface.slope
    light = canvas.sun.shade(east.astype(np.float32), south.astype(np.float32))
    ridge = np.exp(-((surface.ridge / 0.14) ** 2)) * (surface.slope > 0)
    return light * (1 + 0.13 * ridge)


def _covering(canvas: Canvas, building: Building, surface: Surface, u: Floats, v: Floats) -> Floats:
    """Return the colour (rows, columns, 3) of the material, before light."""
    rng, shape = canvas.rng, surface.inside.shape
    stains, grain = cut(canvas.soft, rng, shape), cut(canvas.rough, rng, shape)
    along = np.where(surface.fall_u != 0, v, u)
    down = np.where(surface.fall_u != 0, u, v)
    colour = np.broadcast_to(np.asarray(building.colour, np.float32), (*shape, 3))
    if building.material in _METAL:
        return _metal(canvas, building, colour, along, down, stains, grain)
    if building.material == "tile":
        courses = 0.04 * np.sin(2 * np.pi * down / 0.38) + 0.03 * np.sin(2 * np.pi * along / 0.31)
        return colour * (1 + courses + (0.05 + 0.08 * building.wear) * stains + 0.05 * grain)[..., None]
    if building.material == "shingle":
        courses = 0.03 * np.sin(2 * np.pi * down / 0.45)
        return colour * (1 + courses + 0.04 * stains + 0.07 * grain)[..., None]
    worn = colour * (1 + (0.03 + 0.10 * building.wear) * stains + 0.03 * grain)[..., None]
    return _patched(canvas, building, worn, u, v)


def _metal(
    canvas: Canvas, building: Building, colour: Floats, along: Floats, down: Floats, stains: Floats, grain: Floats
) -> Floats:
    """Corrugated sheets: fine ribs down the slope, each sheet of its own brightness, rust in patches."""
    rng = canvas.rng
    wide, long = float(rng.uniform(0.6, 1.0)), float(rng.uniform(2.2, 4.0))
    sheets = rng.normal(0, 0.03 + 0.07 * building.wear, (64, 16)).astype(np.float32)
    each = sheets[np.floor(along / wide).astype(int) % 64, np.floor(down / long).astype(int) % 16]
    pitch = float(rng.uniform(0.32, 0.6))
    ribs = float(rng.uniform(0.02, 0.08)) * np.sin(2 * np.pi * along / pitch)
    lit = colour * (1 + ribs + each + 0.03 * stains + 0.02 * grain)[..., None]
    level = 1.9 - 2.2 * building.wear * (1.5 if building.material == "rust" else 0.75)

    rust = np.clip((0.7 * stains + 9 * each + 0.45 * grain - level) * 0.45, 0, 0.75)[..., None]
    return lit * (1 - rust) + rust * np.array([0.50, 0.33, 0.24], np.float32)


def _patched(canvas: Canvas, building: Building, colour: Floats, u: Floats, v: Floats) -> Floats:
    """Lay a few squares of another shade on a flat roof: screed, tiles, a terrace."""
    rng = canvas.rng
    for _ in range(int(rng.integers(0, 4))):
        box = building.wings[int(rng.integers(len(building.wings)))].box
        left, right = np.sort(rng.uniform(box.left, box.right, 2))
        top, bottom = np.sort(rng.uniform(box.top, box.bottom, 2))
        there = (u > left) & (u < right) & (v > top) & (v < bottom)
        colour = np.where(there[..., None], colour * np.float32(rng.uniform(0.82, 1.15)), colour)
    return colour


def _parapet(canvas: Canvas, building: Building, surface: Surface, colour: Floats) -> tuple[Floats, Floats]:
    """Raise a rim around a flat roof, lighter or painted, with its shadow on the roof."""
    rng = canvas.rng
    padded = np.pad(surface.inside, 1)
    edge = ndimage.distance_transform_edt(padded)[1:-1, 1:-1].astype(np.float32) * canvas.gsd / SUPER
    thick = float(rng.uniform(0.2, 0.4))
    rim = edge <= thick
    height = surface.height + np.where(rim, np.float32(rng.uniform(0.3, 1.1)), 0)
    return np.where(rim[..., None], np.asarray(building.trim, np.float32), colour), height


def _equip(canvas: Canvas, building: Building) -> None:
    """Set tanks, panels and a stair tower on a flat roof."""
    rng = canvas.rng
    cos, sin = np.cos(building.angle), np.sin(building.angle)
    for _ in range(int(rng.integers(0, 6))):
        wing = building.wings[int(rng.integers(len(building.wings)))]
        box = wing.box.shrunk(1.4)
        if min(box.width, box.depth) < 0.5:
            continue
        u, v = float(rng.uniform(box.left, box.right)), float(rng.uniform(box.top, box.bottom))
        centre = (building.x + cos * u - sin * v, building.y + sin * u + cos * v)
        kind = rng.random()
        if kind < 0.5:
            _tank(canvas, centre, wing.eaves)
        elif kind < 0.8:
            size = (float(rng.uniform(0.6, 2.0)), float(rng.uniform(0.6, 1.6)))
            shade = float(rng.uniform(0.15, 0.85))
            paint_box(canvas, centre, size, building.angle, (shade, shade, shade), wing.eaves + 0.5)
        elif min(box.width, box.depth) > 3:
            paint_box(canvas, centre, (2.6, 2.4), building.angle, building.colour, wing.eaves + 2.3)


def _tank(canvas: Canvas, centre: tuple[float, float], eaves: float) -> None:
    radius = float(canvas.rng.uniform(0.45, 0.8))
    place: Window | None = window(canvas, *centre, radius + canvas.gsd)
    if place is None:
        return
    away = np.hypot(place.x - centre[0], place.y - centre[1])
    colours = ((0.10, 0.10, 0.11), (0.12, 0.42, 0.36), (0.75, 0.76, 0.78))
    light = np.where(away < radius * 0.45, 1.35, 1.0).astype(np.float32)
    tint = np.asarray(colours[int(canvas.rng.integers(3))], np.float32)
    paint(canvas, place, np.clip(light[..., None] * tint, 0, 1), away <= radius, eaves + 1.3)
