"""Draw the pictures of docs/regularize.md: drawn buildings with rough outlines, regularized with other settings.

Run from the root of the repository: `python -m tools.draw_regularize_pictures`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from PIL import Image, ImageDraw
from shapely import affinity
from shapely.ops import split

from benchmarks.outlines import Roughness, roughen
from building_segmenter import tasks
from building_segmenter.engine import run
from building_segmenter.progress import Progress

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images" / "regularize"
CRS, EAST, NORTH = 32645, 340_000.0, 3_060_000.0
PANEL_PX, TEXT_PX, MARGIN_PX, FINER = 280, 40, 16, 3
GIVEN, FOUND, KEPT, LINE = (205, 205, 205), (200, 40, 40), (110, 110, 110), (40, 90, 190)
SOFT = Roughness(amplitude=0.06, noise_length=1.0)
HARD = Roughness(amplitude=0.13)
COLOURS = 32


@dataclass
class Panel:
    """One setting: its name, what was given, what came out, and lines to see beside it."""

    name: str
    given: Any
    found: geopandas.GeoDataFrame
    lines: Any = field(default_factory=list)

    @property
    def caption(self) -> str:
        """What came out, in a few words."""
        kept = self.found["reason"][self.found["status"] == 1]
        words = [f"kept: {', '.join(sorted(set(kept)))}"] if len(kept) else []
        made = self.found[self.found["status"] == 0]
        if len(made) == 1 and made["method"].iloc[0] != "circle":
            words.append(f"{made['vertices'].iloc[0]} corners")
        if len(made) and not len(kept) and (made["method"] == "circle").all():
            words.append("a circle" if len(made) == 1 else "circles")
        return "; ".join(words)


def rough(shapes: Sequence[Any], roughness: Roughness, seed: int) -> Any:
    """Return outlines as a segmentation gives them, at the places of the shapes."""
    return roughen(np.array(shapes, object), roughness, seed).contour


def panel(name: str, given: Any, lines: Any = (), **options: Any) -> Panel:
    """Regularize outlines as the tool does, from file to file."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "given.gpkg"), Path(folder, "found.gpkg")
        _write(given, source)
        if len(lines):
            _write(lines, Path(folder, "lines.gpkg"))
            options["alignment"] = str(Path(folder, "lines.gpkg"))
        run(tasks.RegularizeFootprints(input=str(source), output=str(target), **options), Progress())
        found = geopandas.read_file(target)
    found["geometry"] = found.geometry.translate(-EAST, -NORTH)
    return Panel(name, given, found, lines)


def _write(geometries: Any, path: Path) -> None:
    geopandas.GeoSeries(list(geometries), crs=CRS).translate(EAST, NORTH).to_frame("geometry").to_file(path)


def draw(name: str, panels: Sequence[Panel]) -> None:
    """Draw panels side by side at one scale: given outlines grey, results red with their corners, kept ones dashed."""
    everything = [g for p in panels for g in (*p.given, *p.found.geometry, *p.lines)]
    bounds = shapely.total_bounds(np.array(everything, object))
    width, height = bounds[2:] - bounds[:2]
    scale = (PANEL_PX - 2 * MARGIN_PX) * FINER / max(width, 0.6 * height)
    rows = round(height * scale / FINER) + 2 * MARGIN_PX + TEXT_PX
    sheet = Image.new("RGB", (PANEL_PX * FINER * len(panels), rows * FINER), "white")
    pen = ImageDraw.Draw(sheet)
    for place, each in enumerate(panels):
        left = place * PANEL_PX * FINER
        middle = (PANEL_PX * FINER - width * scale) / 2

        def placed(ring: Any, x0: float = left + middle) -> list[tuple[float, float]]:
            points = shapely.get_coordinates(ring)
            x = x0 + (points[:, 0] - bounds[0]) * scale
            y = (TEXT_PX + MARGIN_PX) * FINER + (bounds[3] - points[:, 1]) * scale
            return list(zip(x.tolist(), y.tolist(), strict=True))

        _draw_panel(pen, each, placed)
        pen.text((left + MARGIN_PX * FINER, 6 * FINER), each.name, fill="black", font_size=13 * FINER)
        pen.text((left + MARGIN_PX * FINER, 23 * FINER), each.caption, fill=KEPT, font_size=12 * FINER)
    small = sheet.resize((sheet.width // FINER, sheet.height // FINER), Image.Resampling.LANCZOS)
    small.quantize(COLOURS).save(FOLDER / f"{name}.png", optimize=True)


def _draw_panel(pen: ImageDraw.ImageDraw, panel: Panel, placed: Callable[[Any], list[tuple[float, float]]]) -> None:
    for polygon in panel.given:
        pen.polygon(placed(polygon.exterior), fill=GIVEN)
        for hole in polygon.interiors:
            pen.polygon(placed(hole), fill="white")
    for line in panel.lines:
        pen.line(placed(line), fill=LINE, width=2 * FINER)
    for polygon, status, method in zip(panel.found.geometry, panel.found["status"], panel.found["method"], strict=True):
        for ring in shapely.get_rings(polygon):
            points = placed(ring)
            pen.line(points, fill=KEPT if status else FOUND, width=2 * FINER, joint="curve")
            if not status and method != "circle":
                for x, y in points:
                    dot = 3 * FINER
                    pen.ellipse((x - dot, y - dot, x + dot, y + dot), fill=FOUND)


def house() -> Any:
    """Return a building with right angles, a corner cut at 45 degrees, and a wall that is neither."""
    outline = [(0, 0), (24, 0), (24, 6), (31, 18), (18, 18), (18, 13), (6, 13), (0, 7)]
    return affinity.rotate(shapely.Polygon(outline), 12, origin=(0, 0))


def methods() -> None:
    """METHOD."""
    given = rough([house()], SOFT, 3)
    silo = rough([shapely.Point(15, 9).buffer(8)], SOFT, 2)
    three = ("right-angles", "right-angles-and-diagonals", "any-angle")
    draw("method", [panel(name, given, method=name) for name in three])
    both = np.concatenate([silo, [affinity.translate(given[0], 28, -4)]])
    draw("method_circle", [panel(name, both, method=name) for name in ("circle", "auto")])


def tolerances() -> None:
    """TOLERANCE and TOLERANCE_TYPE."""
    outline = [(0, 0), (22, 0), (22, 12), (15, 12), (15, 13.6), (10, 13.6), (10, 12), (0, 12)]
    given = rough([affinity.rotate(shapely.Polygon(outline), 20, origin=(0, 0))], HARD, 5)
    draw("tolerance", [panel(f"TOLERANCE {t} m", given, method="right-angles", tolerance=t) for t in (0.5, 1.0, 2.0)])
    tank = shapely.Point(0, 0).buffer(9).union(shapely.box(7, -1.5, 11, 1.5))
    given = rough([tank], SOFT, 1)
    settings = (("distance, 1 m", "distance", 1.0), ("area-ratio, 0.1", "area-ratio", 0.1))
    circles = [panel(name, given, method="circle", tolerance_type=kind, tolerance=t) for name, kind, t in settings]
    draw("tolerance_type", circles)


def places() -> None:
    """DENSIFICATION and PRECISION."""
    outline = [(0, 0), (20, 0), (20, 5), (17, 5), (17, 9), (20, 9), (20, 14), (8, 14), (8, 10), (0, 10)]
    given = rough([affinity.rotate(shapely.Polygon(outline), 33, origin=(0, 0))], HARD, 4)
    options = {"method": "right-angles", "tolerance": 1.5}
    draw("densification", [panel(f"DENSIFICATION {d} m", given, densification=d, **options) for d in (0.3, 1.5)])
    draw("precision", [panel(f"PRECISION {p}", given, precision=p, **options) for p in (0.25, 0.05)])


def diagonals() -> None:
    """DIAGONAL_PENALTY."""
    outline = [(0, 0), (20, 0), (20, 9), (16, 13), (3, 13), (0, 10)]
    given = rough([affinity.rotate(shapely.Polygon(outline), 15, origin=(0, 0))], SOFT, 6)
    options = {"method": "right-angles-and-diagonals", "tolerance": 1.0}
    penalties = (0, 1.5, 8)
    draw("diagonal_penalty", [panel(f"DIAGONAL_PENALTY {p}", given, diagonal_penalty=p, **options) for p in penalties])


def radii() -> None:
    """MIN_RADIUS and MAX_RADIUS."""
    silos = [shapely.Point(x, y).buffer(r) for x, y, r in ((3, 4, 3), (14, 6, 6), (34, 11, 11))]
    given = rough(silos, SOFT, 2)
    bounds = ({}, {"min_radius": 4.0}, {"max_radius": 9.0})
    names = ("no limits", "MIN_RADIUS 4 m", "MAX_RADIUS 9 m")
    draw("radius", [panel(name, given, method="circle", **b) for name, b in zip(names, bounds, strict=True)])


def directions() -> None:
    """DIRECTIONS."""
    given = rough([affinity.rotate(shapely.box(0, 0, 13, 9), 30, origin=(0, 0))], HARD, 12)
    names = (("none", None), ("DIRECTIONS 30", (30.0,)))
    draw("directions", [panel(name, given, tolerance=1.5, directions=d) for name, d in names])


def street() -> tuple[Any, Any]:
    """Return rough houses along a street, and the street."""
    turned = [affinity.rotate(shapely.box(x, 4, x + 9, 11), 15, origin=(0, 0)) for x in (0, 14, 28, 42)]
    line = affinity.rotate(shapely.LineString([(-4, 0), (55, 0)]), 15, origin=(0, 0))
    return rough(turned, HARD, 21), [line]


def surroundings() -> None:
    """ALIGNMENT and NEIGHBOR_DISTANCE."""
    given, line = street()
    options = {"method": "right-angles", "tolerance": 1.5}
    draw("alignment", [panel("no ALIGNMENT", given, **options), panel("ALIGNMENT: the street", given, line, **options)])
    far = panel("ALIGNMENT_TOLERANCE 15 m", given, [affinity.translate(line[0], 2, -6)], **options)
    near = panel("ALIGNMENT_TOLERANCE 3 m", given, far.lines, alignment_tolerance=3.0, **options)
    draw("alignment_tolerance", [far, near])
    by_itself = panel("NEIGHBOR_DISTANCE 0", given, **options)
    draw("neighbor_distance", [by_itself, panel("NEIGHBOR_DISTANCE 40 m", given, neighbor_distance=40.0, **options)])


def terrace() -> Any:
    """Return rough houses that touch: one rough outline, cut by rough party walls."""
    row = shapely.box(0, 0, 10, 11).union(shapely.box(10, -2, 20, 10)).union(shapely.box(20, 0, 30, 11))
    whole = rough([row], SOFT, 8)[0]
    random = np.random.default_rng(4)
    y = np.linspace(-8, 18, 40)
    walls = [shapely.LineString(np.column_stack([x + random.normal(0, 0.35, len(y)), y])) for x in (10, 20)]
    pieces = list(shapely.get_parts(split(whole, walls[0])))
    pieces = [part for piece in pieces for part in shapely.get_parts(split(piece, walls[1]))]
    houses = sorted(pieces, key=lambda piece: -piece.area)[:3]
    return np.array([affinity.rotate(piece, 10, origin=(0, 0)) for piece in houses], object)


def shared_walls() -> None:
    """SHARED_WALLS."""
    given, options = terrace(), {"method": "right-angles", "tolerance": 1.2}
    alone = panel("each by itself", given, **options)
    draw("shared_walls", [alone, panel("SHARED_WALLS", given, shared_walls=True, **options)])


def main() -> None:
    """Draw all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for picture in (methods, tolerances, places, diagonals, radii, directions, surroundings, shared_walls):
        picture()


if __name__ == "__main__":
    main()
