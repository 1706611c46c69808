"""Polygons from rasters, and straightened ones."""

from __future__ import annotations

from dataclasses import dataclass

from building_segmenter.errors import InvalidParameterError
from building_segmenter.options import Task, option, required
from building_segmenter.tasks.names import REGULARIZE_METHODS, VECTOR_SUFFIXES


@dataclass(frozen=True)
class PolygonizeMask(Task):
    """Turn a probability raster or a mask into polygons with smooth, sub-pixel outlines."""

    input: str = required(
        "raster",
        "Probabilities or mask",
        "A probability raster of Segment raster, any raster of probabilities 0..1, or an integer mask.",
    )
    output: str = required(
        "polygons-output", "Polygons", "Outlines with score and ground area.", suffixes=VECTOR_SUFFIXES
    )
    band: int | None = option(
        None,
        "integer",
        "Band",
        "Band to read. Empty: the first; of a raster of several classes (land cover) all, and polygons get the fields"
        " class and class_name.",
        minimum=1,
        maximum=65535,
    )
    threshold: float = option(
        0.5,
        "fraction",
        "Threshold",
        "Probability from which a pixel is inside. Not used with Value, nor for several classes: each of these is where"
        " it is the most probable.",
        minimum=0.0,
        maximum=1.0,
    )
    value: int | None = option(
        None,
        "integer",
        "Value",
        "For an integer mask: the value that is inside. Empty: the raster holds probabilities; of an integer"
        " raster without a scale, every value but 0 is inside.",
    )
    min_area: float = option(
        4.0, "area", "Minimum area", "Polygons smaller than this on the ground are dropped.", minimum=0.0, unit="m2"
    )
    min_hole_area: float = option(
        4.0, "area", "Minimum hole area", "Holes smaller than this are filled.", minimum=0.0, unit="m2"
    )

    split: bool = option(
        True,
        "flag",
        "Part touching buildings",
        "Part regions of several buildings where these touch. Needs a band of contacts, as Segment raster writes where"
        " the model predicts them; other rasters are not affected.",
    )
    contact_threshold: float = option(
        0.3,
        "fraction",
        "Contact threshold",
        "Probability of contact from which a place is taken for the border of two buildings. Lower: more, smaller"
        " buildings. The default was chosen with the shipped model.",
        minimum=0.01,
        maximum=1.0,
        advanced=True,
    )


@dataclass(frozen=True)
class RegularizeFootprints(Task):
    """Straighten building footprints within a tolerance."""

    input: str = required("polygons", "Footprints", "Polygons from any source, in any CRS.")
    output: str = required(
        "polygons-output",
        "Regularized footprints",
        "The same features with regularized outlines; STATUS 1 marks those kept as they were, with the reason.",
        suffixes=VECTOR_SUFFIXES,
    )
    method: str = option(
        "auto",
        "choice",
        "Method",
        "right-angles: every corner becomes a right angle. right-angles-and-diagonals: walls may also lie at 45"
        " degrees. any-angle: walls may lie in any direction. circle: the circle that fits best. auto: a circle where"
        " the outline is round, otherwise the simplest of the others that serves.",
        choices=REGULARIZE_METHODS,
    )
    tolerance: float = option(
        1.0,
        "distance",
        "Tolerance",
        "The new outline stays within this many metres of the old one, and the old one of the new. With the tolerance"
        " type area-ratio: a share instead, such as 0.1.",
        minimum=0.001,
        maximum=10_000.0,
        unit="m",
    )
    tolerance_type: str = option(
        "distance",
        "choice",
        "Tolerance type",
        "distance: metres between the outlines. area-ratio (method circle only): the area between the outline and the"
        " circle, as a share of the circle's.",
        choices=("distance", "area-ratio"),
        advanced=True,
    )
    densification: float | None = option(
        None,
        "distance",
        "Densification",
        "Distance between places of an outline where a wall may end, in metres; at most the tolerance. Empty:"
        " four times the precision, in tolerances.",
        minimum=0.001,
        maximum=10_000.0,
        unit="m",
        advanced=True,
    )
    precision: float = option(
        0.25,
        "number",
        "Precision",
        "Smaller: more places are tried where walls may end, which is slower and comes closer to the optimum.",
        minimum=0.05,
        maximum=0.25,
        advanced=True,
    )
    diagonal_penalty: float = option(
        1.5,
        "number",
        "Diagonal penalty",
        "How much walls off the main direction are shunned: a diagonal counts as two thirds of it more than a wall"
        " along the main direction, a wall of any other direction as one and a half times of it more. 0: all walls"
        " count alike. Raise it where false diagonals appear, lower it where true ones are lost.",
        minimum=0.0,
        maximum=10.0,
        advanced=True,
    )
    min_radius: float = option(
        0.1,
        "distance",
        "Smallest radius",
        "Outlines whose circle is smaller than this, in metres, do not become circles.",
        minimum=0.0,
        maximum=1_000_000.0,
        unit="m",
        advanced=True,
    )
    max_radius: float = option(
        1_000_000.0,
        "distance",
        "Largest radius",
        "Outlines whose circle is larger than this, in metres, do not become circles.",
        minimum=0.0,
        maximum=1_000_000.0,
        unit="m",
        advanced=True,
    )
    directions: tuple[float, ...] | None = option(
        None,
        "angles",
        "Preferred directions",
        "Main directions that every footprint tries first, in degrees counter-clockwise from east, such as 12.5, 57.5."
        " A footprint keeps its own where that fits far better.",
        minimum=-360.0,
        maximum=360.0,
        unit="degrees",
        advanced=True,
    )
    alignment: str | None = option(
        None,
        "lines",
        "Alignment lines",
        "Roads or parcel boundaries (lines, or polygons for their outlines, in any CRS). A footprint near one tries the"
        " direction of the nearest first, instead of preferred directions.",
        advanced=True,
    )
    alignment_tolerance: float = option(
        15.0,
        "distance",
        "Alignment distance",
        "How far, in metres, the line that a footprint follows may lie from it.",
        minimum=0.0,
        maximum=10_000.0,
        unit="m",
        advanced=True,
    )
    neighbor_distance: float = option(
        0.0,
        "distance",
        "Neighbour distance",
        "Footprints whose middles lie within this many metres of each other and that point almost the same way get"
        " a common direction, the more so the rougher they are. 30 to 40 m suits towns. 0: each by itself.",
        minimum=0.0,
        maximum=10_000.0,
        unit="m",
        advanced=True,
    )
    shared_walls: bool = option(
        False,
        "flag",
        "Keep shared walls",
        "Footprints that touch keep one common wall, without gaps and overlaps. Where one of them resists, its outline"
        " stays as it is and its neighbours are fitted to it.",
    )
    probability: str | None = option(
        None,
        "raster",
        "Probability raster",
        "Raster of Segment raster, or any of probabilities (band 1, any CRS), that the footprints were traced in. Walls"
        " follow the outline more closely where the probability changes sharply, less where it fades. The gain is"
        " small: agreement with the truth rose by 0.001 to 0.002 on drawn footprints, and on real ones not clearly."
        " Footprints outside are regularized without it. Not with shared walls.",
        advanced=True,
    )
    probability_use: str = option(
        "weights",
        "choice",
        "Use of probability",
        "weights: how sharp it is at each point. directions: footprints try the direction of its gradient first; on"
        " drawn footprints this made results worse, so it is not the default. both: the two.",
        choices=("weights", "directions", "both"),
        advanced=True,
    )

    def _check_together(self) -> None:
        if self.tolerance_type == "area-ratio" and self.method != "circle":
            raise InvalidParameterError(
                f"TOLERANCE_TYPE is area-ratio, but METHOD is {self.method}.",
                "An area ratio goes with METHOD circle only; for other methods choose distance.",
            )
        if self.tolerance_type == "area-ratio" and self.tolerance > 1:
            raise InvalidParameterError(
                f"TOLERANCE is {self.tolerance}, but as an area ratio it is a share of the circle's area.",
                "Give a share between 0.001 and 1, such as 0.1.",
            )
        if self.probability and self.shared_walls:
            raise InvalidParameterError(
                "PROBABILITY and SHARED_WALLS are both given; shared walls are straightened without a raster.",
                "Leave one of them out.",
            )
        if self.min_radius > self.max_radius:
            raise InvalidParameterError(
                f"MIN_RADIUS is {self.min_radius} m, more than MAX_RADIUS, which is {self.max_radius} m.",
                "Exchange them, or leave one out.",
            )
        if self.densification is not None and self.densification > self.tolerance:
            raise InvalidParameterError(
                f"DENSIFICATION is {self.densification} m, more than TOLERANCE, which is {self.tolerance} m.",
                "Give a densification of at most the tolerance, or leave it empty.",
            )
