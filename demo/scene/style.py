"""Styles: which ground, roofs, streets, plants and light a scene has; drawn at random from four kinds of town."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo.scene.canvas import Colour, vary

Weights = dict[str, float]

ROOF_COLOURS: dict[str, tuple[Colour, ...]] = {
    "bright metal": ((0.86, 0.88, 0.90), (0.74, 0.78, 0.81), (0.93, 0.94, 0.94), (0.66, 0.72, 0.77)),
    "grey metal": ((0.55, 0.58, 0.60), (0.62, 0.62, 0.60), (0.45, 0.48, 0.51)),
    "rust": ((0.62, 0.42, 0.31), (0.70, 0.53, 0.40), (0.53, 0.36, 0.28), (0.66, 0.58, 0.48)),
    "painted metal": (
        (0.62, 0.17, 0.22),
        (0.24, 0.42, 0.62),
        (0.30, 0.47, 0.38),
        (0.55, 0.25, 0.18),
        (0.33, 0.38, 0.44),
    ),
    "tile": ((0.74, 0.42, 0.27), (0.68, 0.37, 0.25), (0.60, 0.33, 0.26), (0.76, 0.50, 0.37)),
    "shingle": ((0.36, 0.35, 0.35), (0.45, 0.41, 0.37), (0.52, 0.50, 0.48), (0.40, 0.33, 0.29)),
    "concrete": ((0.66, 0.64, 0.60), (0.58, 0.56, 0.53), (0.72, 0.67, 0.61), (0.74, 0.74, 0.72), (0.52, 0.50, 0.48)),
}
"""Colours by material, as photographed at noon."""

ROOF_SHAPES: dict[str, Weights] = {
    "bright metal": {"gable": 4, "hip": 3, "shed": 3},
    "grey metal": {"gable": 5, "hip": 3, "shed": 3},
    "rust": {"gable": 5, "hip": 1, "shed": 3},
    "painted metal": {"gable": 4, "hip": 4, "shed": 1},
    "tile": {"gable": 3, "hip": 5},
    "shingle": {"gable": 5, "hip": 5},
    "concrete": {"flat": 1},
}
"""Roof shapes by material."""


@dataclass(frozen=True)
class Style:
    """What a scene is made of. Lengths in metres, shares 0..1."""

    soil: Colour
    grass: Colour
    street: Colour
    leaves: Colour
    roofs: Weights
    green: float
    plot_width: tuple[float, float]
    plot_depth: tuple[float, float]
    street_width: tuple[float, float]
    rows: float
    halls: float
    built: float
    trees: float
    palms: float
    walls: float
    storeys: tuple[int, int]


_RED_TOWN = Style(
    soil=(0.66, 0.49, 0.37), grass=(0.42, 0.49, 0.24), street=(0.64, 0.47, 0.36), leaves=(0.29, 0.37, 0.19),
    roofs={"rust": 5, "painted metal": 5, "tile": 4, "grey metal": 2, "bright metal": 2, "concrete": 1},
    green=0.5, plot_width=(11, 22), plot_depth=(14, 24), street_width=(2.5, 6), rows=0.1, halls=0.05, built=0.94,
    trees=5, palms=0.15, walls=0.5, storeys=(1, 2),
)  # fmt: skip
_COAST = Style(
    soil=(0.70, 0.62, 0.49), grass=(0.44, 0.49, 0.28), street=(0.72, 0.60, 0.45), leaves=(0.30, 0.38, 0.20),
    roofs={"bright metal": 9, "grey metal": 3, "rust": 2, "painted metal": 1, "concrete": 1},
    green=0.8, plot_width=(14, 26), plot_depth=(16, 28), street_width=(2, 4), rows=0.05, halls=0.05, built=0.8,
    trees=9, palms=0.45, walls=0.2, storeys=(1, 1),
)  # fmt: skip
_VALLEY = Style(
    soil=(0.62, 0.56, 0.47), grass=(0.42, 0.46, 0.29), street=(0.65, 0.62, 0.57), leaves=(0.27, 0.33, 0.19),
    roofs={"concrete": 12, "bright metal": 3, "painted metal": 2, "grey metal": 3, "tile": 1},
    green=0.6, plot_width=(7, 14), plot_depth=(11, 19), street_width=(3, 6), rows=0.45, halls=0.08, built=0.88,
    trees=3, palms=0.0, walls=0.3, storeys=(2, 5),
)  # fmt: skip
_SUBURB = Style(
    soil=(0.62, 0.58, 0.50), grass=(0.40, 0.47, 0.27), street=(0.50, 0.50, 0.50), leaves=(0.27, 0.33, 0.19),
    roofs={"shingle": 10, "tile": 3, "bright metal": 1, "concrete": 2, "painted metal": 1},
    green=0.95, plot_width=(17, 27), plot_depth=(24, 34), street_width=(6, 9), rows=0.12, halls=0.08, built=0.94,
    trees=6, palms=0.05, walls=0.15, storeys=(1, 2),
)  # fmt: skip
STYLES: dict[str, Style] = {"red town": _RED_TOWN, "coast": _COAST, "valley": _VALLEY, "suburb": _SUBURB}


def choose(rng: np.random.Generator, weights: Weights) -> str:
    """Return one of the names, as often as its weight says."""
    names = list(weights)
    shares = np.array([weights[name] for name in names], float)
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]


def random_style(rng: np.random.Generator, name: str | None = None) -> Style:
    """Return a style near one of the four towns: its colours varied, its share of green and trees too.

    Args:
        rng: Where the randomness comes from.
        name: A key of `STYLES`; any of them if None.
    """
    base = STYLES[name] if name else STYLES[choose(rng, dict.fromkeys(STYLES, 1.0))]
    changed = {part: vary(rng, getattr(base, part), 0.09) for part in ("soil", "grass", "street", "leaves")}
    roofs = {material: weight * float(rng.uniform(0.4, 1.6)) for material, weight in base.roofs.items()}
    fields = {**vars(base), **changed, "roofs": roofs}
    fields["green"] = float(np.clip(base.green + rng.normal(0, 0.15), 0.1, 1.0))
    fields["trees"] = base.trees * float(rng.uniform(0.5, 1.4))
    return Style(**fields)
