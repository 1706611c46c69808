"""Cutting a chip out of a strip of ground."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.chips.chip import IGNORE, Chip, ChipObject
from building_segmenter.chips.frames import Frame
from building_segmenter.chips.strips import Strip
from building_segmenter.chips.subject import shown_alone
from building_segmenter.chips.truth import Labels, Truth, labelled
from building_segmenter.chips.turning import in_chip, quarter_turned, turned_image, turned_labels
from building_segmenter.rasters.grid import ModelGrid
from building_segmenter.rasters.overlay import PixelPolygons


@dataclass(frozen=True)
class Cutter:
    """Cuts chips out of strips.

    Args:
        truth: Footprints and labelled area.
        grid: The grid of the export.
        min_overlap: Share of a footprint that must lie on a chip; the pixels of one with less are unknown.
        blanks: Value of pixels without image, of the raster and of the second one.
        blacken: See `subject.shown_alone`; of frames with a subject.
        crop: As well.
    """

    truth: Truth
    grid: ModelGrid
    min_overlap: float
    blanks: tuple[Any, Any]
    blacken: bool = False
    crop: bool = False

    def cut(self, strip: Strip, frame: Frame) -> Chip | None:
        """Return the chip of a frame, without its number; None where no pixel is known, or its subject is not there.

        Args:
            strip: Ground that holds `frame.window`.
            frame: Where the chip lies.
        """
        rows, columns = strip.window(frame.window)
        image = [None if one is None else one[:, rows, columns] for one in (strip.image, strip.image2)]
        if frame.quarters is None:
            image, labels = self._turned(strip, frame, image)
        else:
            image = [None if one is None else quarter_turned(one, frame.quarters) for one in image]
            labels = Labels(
                *(
                    quarter_turned(part[rows, columns], frame.quarters)
                    for part in (strip.label, strip.instances, strip.contact)
                )
            )
        if (labels.label == IGNORE).all():
            return None
        chip = self._chip(frame, image, labels)
        return shown_alone(chip, frame.subject, blacken=self.blacken, crop=self.crop) if frame.subject else chip

    def _turned(
        self, strip: Strip, frame: Frame, image: list[NDArray[Any] | None]
    ) -> tuple[list[NDArray[Any] | None], Labels]:
        valid = strip.valid[strip.window(frame.window)]
        known = np.ones((frame.height, frame.width), np.bool_)
        made: list[NDArray[Any] | None] = []
        for one, blank in zip(image, self.blanks, strict=True):
            if one is None:
                made.append(None)
                continue
            turned, whole = turned_image(one, valid, frame.window[:2], frame, blank)
            made.append(turned)
            known &= whole
        return made, turned_labels(self.truth, frame, known)

    def _chip(self, frame: Frame, image: list[NDArray[Any] | None], labels: Labels) -> Chip:
        objects = self._objects(frame, labels)
        kept = tuple(one for one in objects if one.share >= self.min_overlap)
        if len(kept) < len(objects):
            labels = _without(labels, kept, self.truth.values)
        first, second = (None if one is None else one.transpose(1, 2, 0) for one in image)
        assert first is not None
        transform = self.grid.transform @ frame.to_grid
        return Chip(
            first, labels.label, labels.contact, labels.instances, kept, transform, self.grid.crs,
            split=frame.split, angle=frame.angle, image2=second,
        )  # fmt: skip

    def _objects(self, frame: Frame, labels: Labels) -> tuple[ChipObject, ...]:
        polygons = self.truth.polygons
        near = polygons.in_window(frame.window) if frame.angle == 0 else polygons.touching_polygon(frame.outline)
        near = near[self.truth.values[self.truth.ids[near]] != IGNORE]
        wholes = in_chip(polygons.geometries[near], frame)
        clipped = _clipped(wholes, frame.width, frame.height)
        shares = shapely.area(clipped) / shapely.area(wholes)
        bounds = shapely.bounds(clipped)
        names = {one.value: one.name for one in self.truth.classes}
        objects = []
        for index, polygon, share, box in zip(
            self.truth.ids[near].tolist(), clipped, shares.tolist(), bounds.tolist(), strict=True
        ):
            if share > 0 and _shows(polygon, box, index, labels):
                value = int(self.truth.values[index])
                objects.append(ChipObject(index, value, names[value], polygon, min(share, 1.0)))
        return tuple(objects)


def _clipped(polygons: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    bounds = shapely.bounds(polygons)
    out = (bounds[:, :2] < 0).any(axis=1) | (bounds[:, 2:] > (width, height)).any(axis=1)
    clipped = polygons.copy()
    clipped[out] = [_polygonal(part) for part in shapely.intersection(polygons[out], shapely.box(0, 0, width, height))]
    return clipped


def _polygonal(geometry: Any) -> Any:
    """Return the polygons of a geometry: where a footprint only touches the chip, clipping leaves lines and points."""
    if geometry.geom_type in ("Polygon", "MultiPolygon"):
        return geometry
    parts = [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon"]
    return shapely.multipolygons(parts) if parts else shapely.Polygon()


def _shows(polygon: Any, bounds: list[float], index: int, labels: Labels) -> bool:
    """Tell whether an object holds the centre of a known pixel, also one that shows another object above it."""
    left, top, right, bottom = bounds
    # The pixels whose centres lie within the bounds; none of a sliver along the chip's edge.
    rows, columns = _centres(top, bottom), _centres(left, right)
    instances = labels.instances[rows, columns]
    if instances.size == 0 or (instances == index).any():
        return instances.size > 0
    # It may hold no pixel's centre all the same, or lie under others.
    window = (columns.start, rows.start, instances.shape[1], instances.shape[0])
    alone = PixelPolygons(np.array([polygon], object)).burn(window, np.array([0]), np.array([1]))
    return bool((labels.label[rows, columns][alone > 0] != IGNORE).any())


def _centres(low: float, high: float) -> slice:
    first = max(math.ceil(low - 0.5 - 1e-6), 0)
    return slice(first, max(math.floor(high + 0.5 + 1e-6), first))


def _without(labels: Labels, kept: tuple[ChipObject, ...], values: NDArray[Any]) -> Labels:
    """Return labels with the objects that are kept; the pixels of others are unknown, or show what lies under them."""
    ids = np.array([one.id for one in kept], np.int32)
    gone = (labels.instances > 0) & ~np.isin(labels.instances, ids)
    height, width = labels.label.shape
    polygons = PixelPolygons(np.array([one.polygon for one in kept], object))
    under = polygons.burn((0, 0, width, height), np.arange(len(kept)), ids)
    instances = np.where(gone, under, labels.instances)
    return labelled(instances, labels.contact, values, (labels.label != IGNORE) & ~(gone & (under == 0)))
