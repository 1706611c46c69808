"""Which chips an export cuts: where they lie, what they are for, and in which order they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.chips.chip import IGNORE
from building_segmenter.chips.frames import Frame, angles_of, outlines
from building_segmenter.chips.negatives import some_of
from building_segmenter.chips.split import NEITHER, SPLITS, SpatialSplit
from building_segmenter.chips.truth import Truth
from building_segmenter.rasters.overlay import Window
from building_segmenter.rasters.tiles import tile_starts
from building_segmenter.tasks import ExportChips

LABELED_TILES = "labeled-tiles"
"""The format of one object a chip: its chips are not on a lattice, but one about each object."""

_WIDEST = 16384
"""Pixels across that are read in one piece, so that memory does not grow with the raster."""
_STRIPS = 1 << 20
"""Strips that may lie under each other; those beside them are counted on from the next multiple."""


@dataclass(frozen=True)
class Chips:
    """Many chips: left and top edges of the upright ones, angles, splits, strips and subjects, all of one length.

    A strip is a row of chips that are read together; its number puts it in order. For subjects see `Frame`.
    """

    columns: NDArray[np.int32]
    rows: NDArray[np.int32]
    angles: NDArray[np.float32]
    splits: NDArray[np.uint8]
    strips: NDArray[np.int32]
    subjects: NDArray[np.int32]

    def where(self, chosen: NDArray[Any]) -> Chips:
        """Return some of the chips, by a mask or by indices."""
        return Chips(*(getattr(self, field.name)[chosen] for field in fields(self)))


class Plan:
    """The chips of an export in the order in which they are read.

    Args:
        chips: All chips, those of a strip together.
        size: Width and height of a chip.
        ground: The part of the grid that chips may show (column, row, width, height).
    """

    def __init__(self, chips: Chips, size: tuple[int, int], ground: Window) -> None:
        self.size, self.ground = size, ground
        self._chips = chips
        self._windows = _windows(chips, size)
        self._edges = np.append(np.flatnonzero(np.diff(chips.strips, prepend=-1)), len(chips.strips))

    @property
    def count(self) -> int:
        """Number of chips; those without any known pixel are left out later."""
        return len(self._chips.strips)

    @property
    def subjects(self) -> int:
        """Number of different footprints that chips are cut for."""
        return int(np.count_nonzero(np.unique(self._chips.subjects)))

    def __len__(self) -> int:
        return len(self._edges) - 1

    def strip(self, number: int) -> list[Frame]:
        """Return the chips of a strip."""
        return [self.frame(index) for index in range(self._edges[number], self._edges[number + 1])]

    def windows(self, number: int) -> NDArray[np.int32]:
        """Return (left, top, right, bottom) of the pixels that each chip of a strip is made of."""
        return self._windows[self._edges[number] : self._edges[number + 1]]

    def sides(self, number: int) -> tuple[int, int]:
        """Return the first and the last-plus-one column of all strips that lie under each other with this one."""
        groups = self._chips.strips[self._edges[:-1]] // _STRIPS
        mates = np.flatnonzero(groups == groups[number])
        there = self._windows[self._edges[mates[0]] : self._edges[mates[-1] + 1]]
        return int(there[:, 0].min()), int(there[:, 2].max())

    def frame(self, index: int) -> Frame:
        """Return one chip, counted over all strips."""
        chips = self._chips
        column, row, angle = int(chips.columns[index]), int(chips.rows[index]), float(chips.angles[index])
        return Frame(column, row, *self.size, angle, SPLITS[int(chips.splits[index])], int(chips.subjects[index]))


def _windows(chips: Chips, size: tuple[int, int]) -> NDArray[np.int32]:
    windows = np.zeros((len(chips.strips), 4), np.int32)
    for angle in np.unique(chips.angles):
        column, row, width, height = Frame(0, 0, *size, float(angle)).window
        same = chips.angles == angle
        corner = np.stack([chips.columns[same] + column, chips.rows[same] + row], axis=1)
        windows[same] = np.hstack([corner, corner + np.array([width, height])])
    return windows


def plan_chips(options: ExportChips, ground: Window, truth: Truth, has_image: Callable[[Frame], bool]) -> Plan:
    """Choose the chips of an export.

    Args:
        options: Tile size, stride, rotation, area rule, split and the choice of chips without objects.
        ground: The part of the grid to cut from.
        truth: Footprints and labelled area on the grid.
        has_image: Tells whether a chip has any valid pixel; asked for chips without objects only.
    """
    size = options.tile_size, options.tile_size_y or options.tile_size
    split = SpatialSplit(ground, max(size), options.validation, options.seed)
    centred = options.format == LABELED_TILES
    places = _about_objects(options, truth, ground, size) if centred else _lattice(options, ground, size)
    parts = [_judged(truth, options, split, size, *place) for place in places]
    if not parts:
        return Plan(_joined([_none()]), size, ground)
    chips, built = _joined([part for part, _ in parts]), np.concatenate([hit for _, hit in parts])
    if options.skip_empty or centred:
        chips = chips.where(built)
    elif options.negative_ratio is not None:
        chips = _with_some_empty(chips, built, options, size, has_image)
    return Plan(chips, size, ground)


_Place = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], float, int]
"""Left edges, top edges, subjects, angle and strip of some chips."""


def _lattice(options: ExportChips, ground: Window, size: tuple[int, int]) -> Iterator[_Place]:
    left, top, width, height = ground
    step_x = options.stride or size[0]
    step_y = options.stride_y or options.stride or size[1]
    columns = np.array(tile_starts(width, size[0], step_x), np.int32) + left
    rows = np.array(tile_starts(height, size[1], step_y), np.int32) + top
    for side, group in enumerate(np.split(columns, np.flatnonzero(np.diff((columns - left) // _WIDEST)) + 1)):
        for number, row in enumerate(rows):
            for angle in angles_of(options.rotation):
                yield group, np.full_like(group, row), np.zeros_like(group), angle, side * _STRIPS + number


def _about_objects(options: ExportChips, truth: Truth, ground: Window, size: tuple[int, int]) -> Iterator[_Place]:
    """Put a chip about the middle of each object that has its middle on the ground."""
    known = truth.values[truth.ids] != IGNORE
    bounds = shapely.bounds(truth.polygons.geometries[known])
    middles = (bounds[:, :2] + bounds[:, 2:]) / 2
    low = np.array(ground[:2])
    inside = ((middles >= low) & (middles < low + ground[2:])).all(axis=1)
    corners = np.round(middles[inside] - np.array(size) / 2).astype(np.int32)
    subjects = truth.ids[known][inside]
    sides, steps = (corners[:, 0] - ground[0] + size[0]) // _WIDEST, (corners[:, 1] - ground[1] + size[1]) // size[1]
    strips = sides * _STRIPS + steps
    for strip in np.unique(strips):
        there = strips == strip
        for angle in angles_of(options.rotation):
            yield corners[there, 0], corners[there, 1], subjects[there], angle, int(strip)


def _judged(
    truth: Truth, options: ExportChips, split: SpatialSplit, size: tuple[int, int],
    columns: NDArray[np.int32], rows: NDArray[np.int32], subjects: NDArray[np.int32], angle: float, strip: int,
) -> tuple[Chips, NDArray[np.bool_]]:  # fmt: skip
    """Return the chips of one strip and angle that have a split and labelled ground, and which show objects."""
    shapes = outlines(columns, rows, size, angle)
    splits = split.of(shapes)
    splits[~_labelled(truth, shapes, options.area_rule)] = NEITHER
    count = len(columns)
    chips = Chips(columns, rows, np.full(count, angle, np.float32), splits, np.full(count, strip, np.int32), subjects)
    kept = splits != NEITHER
    return chips.where(kept), _built(truth, shapes[kept])


def _labelled(truth: Truth, shapes: NDArray[Any], rule: str) -> NDArray[np.bool_]:
    if truth.area is None:
        return np.ones(len(shapes), np.bool_)
    if rule == "chips-inside":
        covered: NDArray[np.bool_] = shapely.covers(truth.area.union, shapes)
        return covered
    return truth.area.touching(shapes)


def _built(truth: Truth, shapes: NDArray[Any]) -> NDArray[np.bool_]:
    known = truth.values[truth.ids] != IGNORE
    return truth.polygons.touching(shapes, known)


def _with_some_empty(
    chips: Chips, built: NDArray[np.bool_], options: ExportChips, size: tuple[int, int],
    has_image: Callable[[Frame], bool],
) -> Chips:  # fmt: skip
    """Keep all chips with objects, and for each split so many of the others as NEGATIVE_RATIO says."""
    plan, kept = Plan(chips, size, (0, 0, 0, 0)), built.copy()
    random = np.random.default_rng(options.seed)
    for split in SPLITS:
        of_split = chips.splits == split
        empty = np.flatnonzero(~built & of_split)
        count = round((options.negative_ratio or 0.0) * int((built & of_split).sum()))
        places = np.stack([chips.columns[empty] // size[0], chips.rows[empty] // size[1]], axis=1)
        usable = [partial(has_image, plan.frame(int(index))) for index in empty]
        kept[empty[some_of(places, usable, count, random)]] = True
    return chips.where(kept)


def _none() -> Chips:
    none = np.zeros(0, np.int32)
    return Chips(none, none, none.astype(np.float32), none.astype(np.uint8), none, none)


def _joined(parts: list[Chips]) -> Chips:
    return Chips(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Chips)))
