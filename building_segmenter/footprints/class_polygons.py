"""Polygons of the classes of a raster of class probabilities, such as land cover."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rasterio.io import DatasetReader

from building_segmenter.errors import InputUnreadableError
from building_segmenter.footprints.contours.classes import class_segments
from building_segmenter.footprints.contours.field import class_bands
from building_segmenter.footprints.contours.nesting import Measure, Outlines, nested
from building_segmenter.footprints.contours.rings import contour_rings
from building_segmenter.progress import Progress
from building_segmenter.rasters.probability import CLASS_VALUE


@dataclass(frozen=True)
class ClassBand:
    """A band with the probability of a class.

    Args:
        band: Counted from 1.
        value: Value of the class.
        name: Name of the class, from the band's description.
    """

    band: int
    value: int
    name: str


def class_bands_of(dataset: DatasetReader) -> tuple[ClassBand, ...]:
    """Return the bands of a raster that carry a class' value; none for a raster of buildings.

    Raises:
        InputUnreadableError: A value is no whole number.
    """
    found = []
    for band, description in zip(dataset.indexes, dataset.descriptions, strict=True):
        value = dataset.tags(band).get(CLASS_VALUE)
        if value is not None:
            found.append(ClassBand(int(band), _whole(dataset, band, value), description or f"class {value}"))
    return tuple(found)


def class_outlines(
    dataset: DatasetReader,
    classes: tuple[ClassBand, ...],
    measure: Measure,
    min_area: float,
    min_hole_area: float,
    progress: Progress,
) -> Iterator[tuple[ClassBand, Outlines]]:
    """Give the outlines of each class where it is more probable than every other and than the background.

    Neighbours of different classes have all points of their common boundary in common. Polygons that are left out for
    their size leave gaps. A hole is filled only where whatever lies in it is left out, so polygons never overlap:
    `min_hole_area` is lowered to `min_area`.

    Args:
        dataset: The open raster; read once for each class.
        classes: Its classes.
        measure: Gives the area and length of rings on the ground.
        min_area: Of polygons, without their holes; ground m2.
        min_hole_area: Holes with less area are filled; ground m2.
        progress: Told how far it is.

    Yields:
        Class after class; the mean excess of outlines is their class' mean probability.
    """
    bands = tuple(one.band for one in classes)
    for number, one in enumerate(classes, start=1):
        share = progress.part((number - 1) / len(classes), number / len(classes))
        rings = contour_rings(class_bands(dataset, bands, share), dataset.shape, class_segments(number))
        for outlines in nested(rings, measure, min_area, min(min_area, min_hole_area)):
            yield one, outlines


def _whole(dataset: DatasetReader, band: int, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise InputUnreadableError(
            f"Band {band} of {dataset.name} has the tag {CLASS_VALUE}={value}, which is no whole number.",
            "Make the raster again with Segment raster, or name the band with BAND.",
        ) from None
