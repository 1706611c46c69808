"""Small things: walls and hedges round plots, cars, and what lies about in yards."""

from __future__ import annotations

import numpy as np

from demo.scene.canvas import SUPER, Canvas, Colour, paint_box
from demo.scene.layout import Block, Plot
from demo.scene.style import Style

_CAR_COLOURS: tuple[Colour, ...] = (
    (0.90, 0.90, 0.91), (0.75, 0.76, 0.78), (0.16, 0.17, 0.19), (0.38, 0.40, 0.44), (0.55, 0.13, 0.13),
    (0.18, 0.26, 0.45), (0.88, 0.88, 0.86),
)  # fmt: skip
_JUNK_COLOURS: tuple[Colour, ...] = (
    (0.85, 0.85, 0.86), (0.25, 0.38, 0.62), (0.45, 0.40, 0.35), (0.30, 0.29, 0.28), (0.72, 0.55, 0.40),
)  # fmt: skip


def paint_walls(canvas: Canvas, block: Block, style: Style) -> None:
    """Paint walls, or hedges, along the sides of some plots."""
    for plot in block.plots:
        if block.use == "row" or canvas.rng.random() > style.walls:
            continue
        hedge = canvas.rng.random() < 0.25
        colour: Colour = style.leaves if hedge else (0.70, 0.66, 0.60)
        for centre, size in _sides(plot, 0.7 if hedge else 0.25):
            place = plot.district.place(*centre)
            paint_box(canvas, place, size, plot.district.angle, colour, float(canvas.rng.uniform(1.2, 2.2)))


def _sides(plot: Plot, thick: float) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Return centre and size of the four walls, the one on the street with a gate left open."""
    box = plot.box.shrunk(thick / 2)
    u, v = box.centre
    front, back = (box.top, box.bottom) if plot.front < 0 else (box.bottom, box.top)
    gate = min(4.0, box.width / 3)
    return [
        ((box.left, v), (thick, box.depth)),
        ((box.right, v), (thick, box.depth)),
        ((u, back), (box.width, thick)),
        ((u + gate / 2, front), (box.width - gate, thick)),
    ]


def scatter(canvas: Canvas, block: Block) -> None:
    """Set cars at the kerb and in yards, and small things in yards, never on roofs."""
    rng = canvas.rng
    for plot in block.plots:
        box, angle = plot.box, plot.district.angle
        out = (box.top - 1.6) if plot.front < 0 else (box.bottom + 1.6)
        if rng.random() < 0.25:
            _car(canvas, plot.district.place(float(rng.uniform(box.left, box.right)), out), angle)
        if rng.random() < 0.25:
            _car(
                canvas, _somewhere(canvas, plot), angle + float(rng.choice([0, np.pi / 2])) + float(rng.normal(0, 0.1))
            )
        for _ in range(int(rng.poisson(2.0))):
            size = (float(rng.uniform(0.3, 1.6)), float(rng.uniform(0.3, 1.2)))
            colour = _JUNK_COLOURS[int(rng.integers(len(_JUNK_COLOURS)))]
            _stand(canvas, _somewhere(canvas, plot), size, float(rng.uniform(0, np.pi)), colour, 0.6)


def _somewhere(canvas: Canvas, plot: Plot) -> tuple[float, float]:
    box = plot.box.shrunk(1.0)
    return plot.district.place(
        float(canvas.rng.uniform(box.left, box.right)), float(canvas.rng.uniform(box.top, box.bottom))
    )


def _car(canvas: Canvas, centre: tuple[float, float], angle: float) -> None:
    """A body with windscreen and rear window."""
    colour = _CAR_COLOURS[int(canvas.rng.integers(len(_CAR_COLOURS)))]
    if not _stand(canvas, centre, (4.3, 1.8), angle, colour, 1.1):
        return
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    glass = (0.12, 0.14, 0.17)
    for along, length in ((0.75, 0.7), (-1.35, 0.5)):
        paint_box(canvas, (centre[0] + cos * along, centre[1] + sin * along), (length, 1.5), angle, glass)


def _stand(
    canvas: Canvas, centre: tuple[float, float], size: tuple[float, float], angle: float, colour: Colour, height: float
) -> bool:
    """Paint a thing unless a roof is in its place; tells whether it was painted."""
    reach = float(np.hypot(*size)) / 2
    step = canvas.gsd / SUPER
    top, bottom = int(max(centre[1] - reach, 0) / step), int(max(centre[1] + reach, 0) / step) + 1
    left, right = int(max(centre[0] - reach, 0) / step), int(max(centre[0] + reach, 0) / step) + 1
    if canvas.roofs[top:bottom, left:right].any():
        return False
    paint_box(canvas, centre, size, angle, colour, height)
    return True
