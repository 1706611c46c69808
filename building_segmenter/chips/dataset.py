"""Reading exported chips back, as training does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from building_segmenter.chips.chip import Split
from building_segmenter.chips.classified_tiles import CONTACTS, IMAGES, LABELS
from building_segmenter.chips.manifest import MANIFEST, read_manifest
from building_segmenter.errors import InputUnreadableError


@dataclass(frozen=True)
class ChipEntry:
    """A chip of a dataset, not yet read."""

    name: str
    split: Split


@dataclass(frozen=True)
class ChipDataset:
    """A folder of chips. Made by `open_dataset`.

    Args:
        folder: Where it lies.
        gsd: Width and height of a pixel in ground metres.
        tile_size: Side of a chip in pixels.
        bands: Bands of the images.
        dtype: Type of the images.
        statistics: `{min, max, mean, std}` of each band.
        classes: `{value, name}` of each class.
        chips: All chips in order.
    """

    folder: Path
    gsd: tuple[float, float]
    tile_size: int
    bands: int
    dtype: str
    statistics: list[dict[str, float]]
    classes: list[dict[str, Any]]
    chips: list[ChipEntry]

    def split(self, name: Split) -> list[ChipEntry]:
        """Return the chips of one split, in order."""
        return [chip for chip in self.chips if chip.split == name]

    def read(self, chip: ChipEntry) -> tuple[NDArray[Any], NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Read a chip.

        Returns:
            The image (height, width, bands), the label (height, width) with 0 ground, 1 building, 255 unknown,
            and the contacts (height, width) 0 or 1, or None where the dataset has none.

        Raises:
            InputUnreadableError: A file is missing or broken, or image and label differ in size.
        """
        image = np.moveaxis(self._read(IMAGES, chip), 0, -1)
        label = self._read(LABELS, chip)[0]
        contact = self._read(CONTACTS, chip)[0] if (self.folder / CONTACTS).is_dir() else None
        if image.shape[:2] != label.shape or image.shape[2] != self.bands:
            raise InputUnreadableError(
                f"Chip {chip.name} of {self.folder} does not fit: image {image.shape}, label {label.shape}.",
                "Export the chips again.",
            )
        return np.ascontiguousarray(image), label, contact

    def _read(self, part: str, chip: ChipEntry) -> NDArray[Any]:
        path = self.folder / part / f"{chip.name}.tif"
        try:
            with rasterio.open(path) as dataset:
                array: NDArray[Any] = dataset.read()
        except RasterioError as error:
            raise InputUnreadableError(f"The chip {path} cannot be read: {error}", "Export the chips again.") from error
        return array


def open_dataset(folder: str | Path) -> ChipDataset:
    """Open a folder of training chips.

    Raises:
        InputNotFoundError: There is no such folder, or no manifest in it.
        InputUnreadableError: The manifest is broken, or files that it names are missing.
    """
    place = Path(folder)
    facts = read_manifest(place)
    try:
        chips = [ChipEntry(chip["name"], chip["split"]) for chip in facts["chips"]]
        gsd = (float(facts["gsd"][0]), float(facts["gsd"][1]))
        dataset = ChipDataset(
            place,
            gsd,
            facts["tile_size"],
            len(facts["statistics"]),
            facts["dtype"],
            facts["statistics"],
            facts["classes"],
            chips,
        )
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise InputUnreadableError(
            f"The manifest {place / MANIFEST} lacks or garbles {error}.", "Export the chips again."
        ) from error
    _check_files(dataset)
    return dataset


def _check_files(dataset: ChipDataset) -> None:
    for part in (IMAGES, LABELS):
        there = {path.stem for path in (dataset.folder / part).glob("*.tif")}
        missing = [chip.name for chip in dataset.chips if chip.name not in there]
        if missing:
            raise InputUnreadableError(
                f"{len(missing)} of {len(dataset.chips)} files are missing from {dataset.folder / part}, the first is"
                f" {missing[0]}.tif.",
                "Export the chips again.",
            )
