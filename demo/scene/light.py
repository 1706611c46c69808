"""Shadows from heights and the sun, and what a camera makes of the scene: haze, falling-off light, blur, noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from demo.scene.canvas import Canvas, Sun
from demo.scene.noise import Floats, clouds


def random_sun(rng: np.random.Generator) -> Sun:
    """Return a sun between 35 and 70 degrees high, in any direction."""
    turn = float(rng.uniform(0, 2 * np.pi))
    return Sun(float(np.cos(turn)), float(np.sin(turn)), float(np.radians(rng.uniform(35, 70))))


def horizon(height: Floats, sun: Sun, gsd: float) -> Floats:
    """Return the height in metres up to which each pixel is in shadow.

    The highest of all that stands towards the sun, less the fall of the ray; found by doubling the distance looked at.

    Args:
        height: Heights above ground in metres (rows, columns).
        sun: Where the light comes from.
        gsd: Ground pixel in metres.
    """
    shadow, fall = height, float(np.tan(sun.elevation)) * gsd
    reach, step = float(height.max()) / fall, 1
    while step <= reach:
        rows, columns = round(sun.y * step), round(sun.x * step)
        shadow = np.maximum(shadow, _moved(shadow, rows, columns) - np.float32(fall * step))
        step *= 2
    return shadow


def cast_shadows(canvas: Canvas) -> None:
    """Darken what stands in the shadow of something higher, to a bluish shade."""
    shadow = horizon(canvas.height, canvas.sun, canvas.gsd) - canvas.height
    dark = ndimage.gaussian_filter(np.clip((shadow - 0.25) / 0.3, 0, 1), 0.6)
    depth = float(canvas.rng.uniform(0.75, 1.0))
    shade = 1 - depth * (1 - np.array([0.36, 0.40, 0.48], np.float32))
    canvas.colour *= 1 - dark[..., None] * (1 - shade)


def photograph(canvas: Canvas) -> NDArray[np.uint8]:
    """Return the picture (rows, columns, 3) that a camera takes of the canvas."""
    rng, colour = canvas.rng, canvas.colour
    shape = canvas.height.shape
    light = 1 + 0.035 * clouds(rng, shape, max(shape) / 3, 1)
    cast = rng.normal(1, 0.025, 3).astype(np.float32)
    colour = colour * light[..., None] * cast * np.float32(rng.uniform(0.88, 1.1))
    haze = np.float32(rng.uniform(0, 0.12))
    colour = colour * (1 - haze) + haze * np.array([0.72, 0.75, 0.78], np.float32)
    colour = ndimage.gaussian_filter(colour, (*[float(rng.uniform(0.3, 0.6))] * 2, 0))
    grain = rng.standard_normal((*shape, 1), np.float32) + 0.5 * rng.standard_normal((*shape, 3), np.float32)
    noisy = colour + np.float32(rng.uniform(0.006, 0.02)) * grain
    picture: NDArray[np.uint8] = (np.clip(noisy, 0, 1) * 255 + 0.5).astype(np.uint8)
    return picture


def _moved(field: Floats, rows: int, columns: int) -> Floats:
    """Return `field[r + rows, c + columns]` for every r and c; 0 beyond the edge."""
    moved = np.zeros_like(field)
    height, width = field.shape
    if abs(rows) >= height or abs(columns) >= width:
        return moved
    top, bottom = max(-rows, 0), min(height - rows, height)
    left, right = max(-columns, 0), min(width - columns, width)
    moved[top:bottom, left:right] = field[top + rows : bottom + rows, left + columns : right + columns]
    return moved
