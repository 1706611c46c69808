"""Footprints of an extraction: regularized batch by batch, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import geopandas
import numpy as np
from numpy.typing import NDArray

from building_segmenter.footprints.fields import room_for_ours
from building_segmenter.footprints.layer import regularize_some
from building_segmenter.footprints.outcome import check_somewhere, fields_of
from building_segmenter.footprints.regularize import Settings
from building_segmenter.geo.strips import Ground
from building_segmenter.progress import Progress
from building_segmenter.tasks import ExtractBuildings

SMALLEST_TOLERANCE_M = 1.0
TOLERANCE_IN_PIXELS = 4.0


class Straightened:
    """Regularizes the features of one extraction.

    Args:
        settings: Of regularization.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reasons = Counter[str]()

    @classmethod
    def of(cls, options: ExtractBuildings, gsd: Sequence[float]) -> Straightened:
        """Return what the options of a task ask for, at a model pixel of a width and height in ground metres."""
        tolerance = options.tolerance or max(SMALLEST_TOLERANCE_M, TOLERANCE_IN_PIXELS * max(gsd))
        return cls(Settings(options.method, tolerance))  # type: ignore[arg-type]  # the task checked it

    def fields_after(self, fields: Iterable[str]) -> tuple[str, ...]:
        """Return the fields of features that had others before, in order."""
        ours = fields_of(self._settings)
        return (*room_for_ours(fields, ours).values(), *ours)

    def batch(
        self,
        frame: geopandas.GeoDataFrame,
        ground: Ground,
        progress: Progress,
        regions: NDArray[np.int64] | None = None,
    ) -> geopandas.GeoDataFrame:
        """Regularize some features; see `regularize_some`."""
        found = regularize_some(frame, self._settings, ground, regions=regions, progress=progress)
        self._reasons.update(found["reason"].tolist())
        return found

    def check_somewhere(self) -> None:
        """Raise `InputUnreadableError` if all features lie where their CRS is not defined."""
        check_somewhere(set(self._reasons))

    def outcome(self, output: str, threshold: float, progress: Progress) -> dict[str, Any]:
        """Tell how it went, and return it: `output`, `features`, `regularized`, `kept`, `tolerance`, `threshold`."""
        features, tolerance = self._reasons.total(), self._settings.tolerance
        regularized = self._reasons[""]
        progress.log(
            f"{features} footprints at threshold {threshold:.2f}: {regularized} regularized within {tolerance:.2f} m,"
            f" {features - regularized} kept as predicted."
        )
        result = {"output": output, "features": features, "regularized": regularized, "kept": features - regularized}
        return result | {"tolerance": tolerance, "threshold": threshold}
