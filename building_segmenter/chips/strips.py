"""Strips of ground in memory: the raster, its labels and a second raster, each pixel read once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.chips.chip import IGNORE
from building_segmenter.chips.truth import Truth, labelled
from building_segmenter.chips.views import View, blank_value
from building_segmenter.chips.windows import Plan
from building_segmenter.rasters.overlay import Window

_GAP = 256
"""Pixels across that nobody needs, from which on it is quicker to leave them out than to read them too."""


@dataclass(frozen=True)
class Strip:
    """Pixels of the grid from row `top` and column `left` on; arrays of one height and width.

    Args:
        left: First column.
        top: First row.
        image: (bands, height, width); nodata, or 0, where there is none or nobody needs it.
        image2: The same of the second raster, or None.
        valid: (height, width): every raster has an image there.
        label: As in `chip.Chip`.
        instances: As in `chip.Chip`.
        contact: As in `chip.Chip`.
    """

    left: int
    top: int
    image: NDArray[Any]
    image2: NDArray[Any] | None
    valid: NDArray[np.bool_]
    label: NDArray[Any]
    instances: NDArray[np.int32]
    contact: NDArray[np.uint8]

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.valid.shape[0])

    @property
    def width(self) -> int:
        """Pixels in a row."""
        return int(self.valid.shape[1])

    def window(self, window: Window) -> tuple[slice, slice]:
        """Return the rows and columns of the arrays for a window of the grid."""
        column, row = window[0] - self.left, window[1] - self.top
        return slice(row, row + window[3]), slice(column, column + window[2])

    def _arrays(self) -> list[NDArray[Any]]:
        arrays = (self.image, self.image2, self.valid, self.label, self.instances, self.contact)
        return [array for array in arrays if array is not None]


class StripReader:
    """Reads the strips of a plan one after the other; rows that the next strip shares are kept, not read again.

    Args:
        plan: Which chips to cut.
        truth: Labels.
        view: The raster.
        view2: The second raster, or None.
    """

    def __init__(self, plan: Plan, truth: Truth, view: View, view2: View | None) -> None:
        self._plan, self._truth, self._view, self._view2 = plan, truth, view, view2
        self._last: Strip | None = None

    def read(self, number: int, spent: Strip | None = None) -> Strip:
        """Return the strip under the chips of a strip of the plan; call in the order of the plan.

        Args:
            number: Of the strip.
            spent: A strip that nobody looks at any more: its memory is used again, which is quicker than new memory.

        Raises:
            InputUnreadableError: A raster breaks off.
        """
        left, right = self._plan.sides(number)
        windows = self._plan.windows(number)
        top, bottom = int(windows[:, 1].min()), int(windows[:, 3].max())
        if spent is not None and (spent.width, spent.height) == (right - left, bottom - top):
            strip = dataclasses.replace(spent, left=left, top=top)
        else:
            strip = self._new(left, top, right - left, bottom - top)
        first = self._keep(strip)
        runs = self._needed(number, first, bottom)
        rest = (left, first, right - left, bottom - first)
        if runs != [(left, right)] or common_window(rest, self._plan.ground) != rest:
            self._blank(strip, first - top)
        for start, stop in runs:
            self._fill(strip, (start, first, stop - start, bottom - first))
        self._last = strip
        return strip

    def _new(self, left: int, top: int, width: int, height: int) -> Strip:
        def image(view: View) -> NDArray[Any]:
            return np.empty((view.facts.bands, height, width), view.facts.dtype)

        return Strip(
            left,
            top,
            image(self._view),
            None if self._view2 is None else image(self._view2),
            np.empty((height, width), np.bool_),
            np.empty((height, width), self._truth.values.dtype),
            np.empty((height, width), np.int32),
            np.empty((height, width), np.uint8),
        )

    def _blank(self, strip: Strip, first: int) -> None:
        """Empty the rows of a strip from one on."""
        strip.image[:, first:] = blank_value(self._view.facts)
        if self._view2 is not None and strip.image2 is not None:
            strip.image2[:, first:] = blank_value(self._view2.facts)
        for array, blank in ((strip.valid, False), (strip.label, IGNORE), (strip.instances, 0), (strip.contact, 0)):
            array[first:] = blank

    def _keep(self, strip: Strip) -> int:
        """Copy the rows of the last strip that this one shares; return the first row that is still to be read."""
        last = self._last
        if last is None or (last.left, last.width) != (strip.left, strip.width) or not last.top <= strip.top:
            return strip.top
        shared = min(last.top + last.height - strip.top, strip.height)
        if shared <= 0:
            return strip.top
        skipped = strip.top - last.top
        for array, earlier in zip(strip._arrays(), last._arrays(), strict=True):
            array[..., :shared, :] = earlier[..., skipped : skipped + shared, :]
        return strip.top + shared

    def _needed(self, number: int, first: int, bottom: int) -> list[tuple[int, int]]:
        """Return the runs of columns that chips of this strip and later ones need of rows from `first` on."""
        runs: list[tuple[int, int]] = []
        sides = self._plan.sides(number)
        for later in range(number, len(self._plan)):
            windows = self._plan.windows(later)
            if windows[:, 1].min() >= bottom or self._plan.sides(later) != sides:
                break
            needed = windows[(windows[:, 1] < bottom) & (windows[:, 3] > first)]
            runs += [(int(start), int(stop)) for start, stop in needed[:, ::2]]
        return _merged(runs)

    def _fill(self, strip: Strip, window: Window) -> None:
        window = common_window(window, self._plan.ground)
        if window[2] <= 0 or window[3] <= 0:
            return
        rows, columns = strip.window(window)
        strip.image[:, rows, columns], valid = self._view.read(window)
        if self._view2 is not None and strip.image2 is not None:
            strip.image2[:, rows, columns], valid2 = self._view2.read(window)
            valid = valid & valid2
        labels = self._truth.labels(window)
        if not valid.all():
            labels = labelled(labels.instances, labels.contact, self._truth.values, valid & (labels.label != IGNORE))
        strip.label[rows, columns], strip.instances[rows, columns] = labels.label, labels.instances
        strip.contact[rows, columns], strip.valid[rows, columns] = labels.contact, valid


def _merged(runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(runs):
        if merged and start <= merged[-1][1] + _GAP:
            merged[-1] = merged[-1][0], max(merged[-1][1], stop)
        else:
            merged.append((start, stop))
    return merged


def common_window(window: Window, ground: Window) -> Window:
    """Return the part of a window that lies on the ground of an export; empty sides where there is none."""
    left, top = max(window[0], ground[0]), max(window[1], ground[1])
    right = min(window[0] + window[2], ground[0] + ground[2])
    bottom = min(window[1] + window[3], ground[1] + ground[3])
    return left, top, right - left, bottom - top
