"""The format export-tiles: ArcGIS' Export_Tiles, images alone.

images/000000000.tif  (a world file beside each; second images in images2)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from building_segmenter.chips import manifest
from building_segmenter.chips.chip import Chip, ExportFacts, WrittenChip
from building_segmenter.chips.formats import arcgis, reading
from building_segmenter.chips.formats.images import ImagePair
from building_segmenter.chips.statistics import ExportStatistics

TAKES_SECOND_IMAGE = True


class Writer:
    """Writes images. See `formats.Writer`."""

    def __init__(self, folder: Path, facts: ExportFacts) -> None:
        self._folder, self._facts = folder, facts
        self._images = ImagePair(folder, facts)

    def write(self, chip: Chip, name: str) -> dict[str, Any]:
        """Write a chip."""
        return {"files": self._images.write(name, chip)}

    def finish(self, entries: Sequence[WrittenChip], statistics: ExportStatistics) -> None:
        """Write the side files."""
        arcgis.write_side_files(self._folder, self._facts, entries, statistics)
        manifest.write_export_manifest(self._folder, self._facts, entries, statistics)


class Reader(reading.Reader):
    """Reads images."""
