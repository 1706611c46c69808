"""The formats of training chips: one small writer and reader each.

A writer gets chips, in any order and from several threads, and leaves a folder; a reader gives the same labels back.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from building_segmenter.chips.chip import Chip, ExportFacts, WrittenChip
from building_segmenter.chips.formats.reading import Description, Reader
from building_segmenter.chips.statistics import ExportStatistics
from building_segmenter.errors import InvalidParameterError

_MODULES = {
    "classified-tiles": "classified_tiles",
    "rcnn-masks": "rcnn_masks",
    "pascal-voc": "pascal_voc",
    "kitti": "kitti",
    "labeled-tiles": "labeled_tiles",
    "export-tiles": "export_tiles",
    "coco": "coco",
    "yolo": "yolo",
    "hdf5": "hdf5",
}
FORMATS = tuple(_MODULES)
"""All values of FORMAT."""


class Writer(Protocol):
    """Writes the chips of one export.

    It remembers nothing that `finish` needs: what is known of a chip comes back to it in `WrittenChip`, also when
    another process wrote the chip before the export was stopped.
    """

    def write(self, chip: Chip, name: str) -> dict[str, Any]:
        """Write a chip, again if it is there; called from several threads for different chips.

        Args:
            chip: The chip.
            name: Of its files.

        Returns:
            What `finish` needs to know of it, ready for JSON.

        Raises:
            DiskFullError: The disk is full.
            OutputNotWritableError: A file cannot be written for another reason.
        """

    def finish(self, entries: Sequence[WrittenChip], statistics: ExportStatistics) -> None:
        """Write the files that stand beside the chips, `dataset.json` the last one.

        Args:
            entries: All chips in order.
            statistics: Of all chips.
        """


def make_writer(folder: Path, facts: ExportFacts) -> Writer:
    """Return a writer into a folder, which may hold chips of the same export that was stopped.

    Raises:
        BandsError: The image format cannot hold the images.
        InvalidParameterError: The format has no place for a second image.
    """
    module = _module(facts.format)
    if facts.image2 is not None and not module.TAKES_SECOND_IMAGE:
        raise InvalidParameterError(
            f"The format {facts.format} has no place for a second raster.",
            "Choose classified-tiles or export-tiles, or leave the second raster out.",
        )
    writer: Writer = module.Writer(folder, facts)
    return writer


def make_reader(name: str, description: Description) -> Reader:
    """Return the reader of a format."""
    reader: Reader = _module(name).Reader(description)
    return reader


def _module(name: str) -> Any:
    if name not in _MODULES:
        raise InvalidParameterError(f"There is no format {name}.", f"Choose one of {', '.join(FORMATS)}.")
    # One at a time: HDF5 and XML are not needed to cut classified tiles.
    return importlib.import_module(f"{__name__}.{_MODULES[name]}")
