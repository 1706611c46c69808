"""Pictures of results beside what was given and what should have come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmarks.quality import Case

Geometries = NDArray[np.object_]

PANEL_PX, COLUMNS, MARGIN_PX, FINER = 420, 5, 30, 2
TRUTH, GIVEN, FOUND = (60, 150, 60), (150, 150, 150), (200, 40, 40)


def draw_worst(path: Path, case: Case, found: Geometries, agreement: NDArray[np.float64], count: int = 10) -> None:
    """Draw the results that agree least with the truth: given outline grey, truth green, result red."""
    worst = np.argsort(agreement, kind="stable")[:count]
    rows = -(-len(worst) // COLUMNS)
    side = PANEL_PX * FINER
    sheet = Image.new("RGB", (COLUMNS * side, rows * side), "white")
    draw = ImageDraw.Draw(sheet)
    for place, index in enumerate(worst):
        row, column = divmod(place, COLUMNS)
        polygons = {GIVEN: case.outlines[index], TRUTH: case.truth[index], FOUND: found[index]}
        _panel(draw, (column * side, row * side), polygons)
        caption = f"{case.kind[index]} #{index}   IoU {agreement[index]:.2f}"
        draw.text((column * side + 16, row * side + 8), caption, fill="black", font_size=15 * FINER)
    sheet.resize((sheet.width // FINER, sheet.height // FINER), Image.Resampling.LANCZOS).save(path)


def _panel(draw: ImageDraw.ImageDraw, corner: tuple[int, int], polygons: dict[tuple[int, int, int], Any]) -> None:
    there = [polygon for polygon in polygons.values() if polygon is not None and not polygon.is_empty]
    bounds = shapely.total_bounds(there)
    room = (PANEL_PX - 2 * MARGIN_PX) * FINER
    scale = room / max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    edge = MARGIN_PX * FINER
    for colour, polygon in polygons.items():
        if polygon is None:
            continue
        for ring in shapely.get_rings(polygon):
            points = shapely.get_coordinates(ring)
            x = corner[0] + edge + (points[:, 0] - bounds[0]) * scale
            y = corner[1] + edge + (bounds[3] - points[:, 1]) * scale
            width = (5 if colour == FOUND else 3) * FINER // 2
            draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=colour, width=width, joint="curve")
