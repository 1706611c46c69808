"""Running a model over images."""

from __future__ import annotations

from dataclasses import dataclass

from building_segmenter.options import option, required
from building_segmenter.tasks.names import REGULARIZE_METHODS, VECTOR_SUFFIXES
from building_segmenter.tasks.prediction import PredictionTask, SegmentationTask


@dataclass(frozen=True)
class SegmentRaster(SegmentationTask):
    """Predict the probability of buildings, or of each class of a model of several, for every pixel of an image."""


@dataclass(frozen=True)
class DetectBuildings(PredictionTask):
    """Find buildings one by one with a Mask R-CNN: polygons with their scores, as the model sees them."""

    output: str = required(
        "polygons-output",
        "Buildings",
        "Polygons with score and ground area. Neighbours may overlap a little: each is found by itself.",
        suffixes=VECTOR_SUFFIXES,
    )
    model: str = required(
        "model",
        "Model",
        "A Mask R-CNN, which Train model makes with ARCHITECTURE mask-rcnn (.keras); none comes with the plugin.",
        suffixes=(".keras",),
    )
    min_score: float | None = option(
        None,
        "fraction",
        "Least score",
        "How sure the model must be of a building. Empty: the model's own, which did best in its training. Higher:"
        " fewer, surer buildings.",
        minimum=0.0,
        maximum=1.0,
    )
    min_area: float = option(
        4.0,
        "area",
        "Minimum area",
        "Buildings and holes smaller than this many square metres on the ground are dropped.",
        minimum=0.0,
        unit="m2",
    )
    picture: str | None = option(
        None,
        "picture-output",
        "Picture",
        "Also draw the image with the buildings and their scores, as PNG.",
        suffixes=(".png",),
        advanced=True,
    )
    picture_extent: tuple[float, ...] | None = option(
        None,
        "extent",
        "Extent of the picture",
        "What the picture shows. Empty: all that is searched, made smaller if it is large.",
        advanced=True,
    )


@dataclass(frozen=True)
class ExtractBuildings(SegmentationTask):
    """Extract regularized building footprints from an image in one run."""

    output: str = required(
        "polygons-output",
        "Building footprints",
        "Polygons with score, ground area and the outcome of the regularization.",
        suffixes=VECTOR_SUFFIXES,
    )
    threshold: float | None = option(
        None,
        "fraction",
        "Threshold",
        "Probability from which a pixel is a building; of a Mask R-CNN the least score of a building. Empty: the"
        " model's own. Higher: fewer, surer buildings.",
        minimum=0.0,
        maximum=1.0,
    )
    model: str | None = option(
        None,
        "model",
        "Model",
        "A model of Train model (.keras), a Mask R-CNN too, or Export model (.onnx), or one of segmentation from"
        " elsewhere (.keras, .h5, .onnx) with what its file does not say as parameters. Empty: the model shipped with"
        " the plugin.",
        suffixes=(".keras", ".h5", ".onnx"),
    )
    min_area: float = option(
        4.0,
        "area",
        "Minimum area",
        "Footprints and holes smaller than this many square metres on the ground are dropped.",
        minimum=0.0,
        unit="m2",
    )
    split: bool = option(
        True,
        "flag",
        "Part touching buildings",
        "Part regions of several buildings where these touch. Needs a model that also predicts contacts, as the shipped"
        " one does.",
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
    method: str = option(
        "right-angles",
        "choice",
        "Regularization",
        "right-angles: every corner of a footprint is a right angle. right-angles-and-diagonals: walls may also lie at"
        " 45 degrees. any-angle: walls may lie in any direction. circle: the circle that fits best. auto: a circle"
        " where the outline is round, otherwise the simplest of the others that serves.",
        choices=REGULARIZE_METHODS,
    )
    tolerance: float | None = option(
        None,
        "distance",
        "Tolerance",
        "How far a regularized outline may lie from the predicted one, in metres. Empty: the larger of 1.0 m and"
        " 4 pixels of the model.",
        minimum=0.01,
        maximum=1000.0,
        unit="m",
    )
    shared_walls: bool = option(
        False,
        "flag",
        "Keep shared walls",
        "Buildings that were parted keep one common wall, without gaps and overlaps. Slow where hundreds touch. Off:"
        " each is regularized by itself.",
    )
    probability: str | None = option(
        None,
        "raster-output",
        "Building probability",
        "Also keep the probability raster.",
        suffixes=(".tif",),
        advanced=True,
    )
