"""Reading exported chips back, as training does: our own exports in every format, and those of ArcGIS."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.chips.checks import check_files, check_shapes, shapes_of
from building_segmenter.chips.chip import BOUNDING_BOX
from building_segmenter.chips.formats import make_reader
from building_segmenter.chips.formats.arcgis_reading import (
    SIDE_FILES,
    ForeignExport,
    is_arcgis_export,
    read_arcgis_export,
)
from building_segmenter.chips.formats.images import ENDINGS
from building_segmenter.chips.formats.reading import CONTACTS, Boxes, ChipEntry, Description, Instances, Kind, Reader
from building_segmenter.chips.manifest import MANIFEST, read_manifest
from building_segmenter.errors import InputNotFoundError, InputUnreadableError

__all__ = ["Boxes", "ChipDataset", "ChipEntry", "Instances", "open_dataset"]


@dataclass(frozen=True)
class ChipDataset:
    """A folder of chips. Made by `open_dataset`.

    Args:
        folder: Where it lies.
        gsd: Width and height of a pixel in ground metres.
        tile_size: Shorter side of a chip in pixels.
        bands: Bands of the images.
        dtype: Type of the images.
        statistics: `{min, max, mean, std}` of each band.
        classes: `{value, name}` of each class, and more where it is known.
        chips: All chips in order.
        format: A choice of FORMAT.
        labels: What its labels say, of `classes`, `instances`, `boxes`, `tile`.
        size: Width and height of a chip in pixels; where they differ, of the largest.
        crs: CRS as WKT, or None.
        notes: What had to be concluded, a sentence each, for whoever uses the dataset.
        reader: Of its format.
    """

    folder: Path
    gsd: tuple[float, float]
    tile_size: int
    bands: int
    dtype: str
    statistics: list[dict[str, float]]
    classes: list[dict[str, Any]]
    chips: list[ChipEntry]
    format: str = "classified-tiles"
    labels: frozenset[Kind] = frozenset({"classes"})
    size: tuple[int, int] = (0, 0)
    crs: str | None = None
    notes: tuple[str, ...] = ()
    reader: Reader | None = field(default=None, repr=False, compare=False)

    def split(self, name: str) -> list[ChipEntry]:
        """Return the chips of one split, in order."""
        return [chip for chip in self.chips if chip.split == name]

    def require(self, kind: Kind) -> None:
        """Check that there are labels of a kind.

        Raises:
            InvalidParameterError: There are none.
        """
        if kind not in self.labels:
            raise self.opened_reader.lacks(kind)

    def read(self, chip: ChipEntry) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.uint8] | None]:
        """Read a chip with the class of every pixel.

        Returns:
            The image (height, width, bands), the label (height, width) with 0 ground, class values, 255 unknown,
            and the contacts (height, width) 0 or 1, or None where the dataset has none.

        Raises:
            InputUnreadableError: A file is missing or broken, or image and label differ in size.
            InvalidParameterError: The dataset has no such labels.
        """
        self.require("classes")
        image, label = self.read_image(chip), self.opened_reader.label(chip)
        self._check_fit(chip, image, label)
        return image, label, self.opened_reader.contact(chip)

    def read_image(self, chip: ChipEntry) -> NDArray[Any]:
        """Read the image of a chip (height, width, bands).

        Raises:
            InputUnreadableError: It is missing or broken, or has other bands than the dataset.
        """
        image = self.opened_reader.image(chip)
        if image.shape[2] != self.bands:
            raise InputUnreadableError(
                f"Chip {chip.name} of {self.folder} has {image.shape[2]} bands, the dataset {self.bands}.",
                "Export the chips again.",
            )
        return image

    def read_instances(self, chip: ChipEntry) -> Instances:
        """Read the objects of a chip with their masks and class values. Errors as `read`."""
        self.require("instances")
        return self.opened_reader.instances(chip)

    def read_boxes(self, chip: ChipEntry) -> Boxes:
        """Read the objects of a chip with their boxes and class values. Errors as `read`."""
        self.require("boxes")
        return self.opened_reader.boxes(chip)

    def read_tile_class(self, chip: ChipEntry) -> int:
        """Read the class value of the object that a chip was cut for. Errors as `read`."""
        self.require("tile")
        return self.opened_reader.tile_class(chip)

    def read_tile_mask(self, chip: ChipEntry) -> NDArray[np.bool_] | None:
        """Read which pixels (height, width) show the object that a chip was cut for. Errors as `read`.

        Where the export blackened what is around objects, all others are 0 in the image.

        Returns:
            The mask, or None where the dataset does not say: ArcGIS writes none.
        """
        self.require("tile")
        return self.opened_reader.tile_mask(chip)

    @property
    def opened_reader(self) -> Reader:
        """The reader of its files."""
        if self.reader is None:
            raise ValueError("this dataset was not made by open_dataset")
        return self.reader

    def _check_fit(self, chip: ChipEntry, image: NDArray[Any], label: NDArray[Any]) -> None:
        if image.shape[:2] != label.shape:
            raise InputUnreadableError(
                f"Chip {chip.name} of {self.folder} does not fit: image {image.shape}, label {label.shape}.",
                "Export the chips again.",
            )


def open_dataset(folder: str | Path) -> ChipDataset:
    """Open a folder of training chips, made by this program or by ArcGIS.

    Raises:
        InputNotFoundError: There is no such folder, or no manifest in it and no side files of ArcGIS.
        InputUnreadableError: Manifest or side files are broken, files that they name are missing, or images and
            labels differ in size, bands or type.
    """
    place = Path(folder)
    if (place / MANIFEST).is_file():
        return _open_own(place)
    if is_arcgis_export(place):
        return _open_foreign(place)
    if not place.is_dir():
        raise InputNotFoundError(f"The dataset {folder} does not exist.", "Check the path.")
    raise InputNotFoundError(
        f"The folder {folder} has neither {MANIFEST} nor ArcGIS' {', '.join(SIDE_FILES)}.",
        "Choose a folder made by Export training chips or by ArcGIS' Export Training Data For Deep Learning.",
    )


def _open_own(folder: Path) -> ChipDataset:
    facts = read_manifest(folder)
    try:
        dataset = _described(folder, facts)
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise InputUnreadableError(
            f"The manifest {folder / MANIFEST} lacks or garbles {error}.", "Export the chips again."
        ) from error
    reader = dataset.opened_reader
    if facts.get("unknown_pixels") and reader.needs_contacts and not reader.has_contacts:
        raise InputUnreadableError(
            f"The folder {folder / CONTACTS} is missing, which says what is unknown.", "Export the chips again."
        )
    check_files(reader, dataset.chips)
    shape = (*dataset.size, dataset.bands, dataset.dtype)
    check_shapes(reader, dataset.chips, shapes_of(reader, dataset.chips), shape, mixed=_is_mixed(facts))
    return dataset


def _is_mixed(facts: dict[str, Any]) -> bool:
    return facts.get("crop_mode") == BOUNDING_BOX


def _described(folder: Path, facts: dict[str, Any]) -> ChipDataset:
    sides = facts["tile_size"]
    size = (int(sides), int(sides)) if isinstance(sides, int) else (int(sides[0]), int(sides[1]))
    name = facts.get("format", "classified-tiles")
    ending = ENDINGS[facts.get("image_format", "tiff")]
    reader = make_reader(name, Description(folder, size, facts["classes"], ending=ending))
    return ChipDataset(
        folder=folder,
        gsd=(float(facts["gsd"][0]), float(facts["gsd"][1])),
        tile_size=min(size),
        bands=len(facts["statistics"]),
        dtype=facts["dtype"],
        statistics=facts["statistics"],
        classes=facts["classes"],
        chips=[ChipEntry(chip["name"], chip["split"]) for chip in facts["chips"]],
        format=name,
        labels=reader.labels,
        size=size,
        crs=facts.get("crs"),
        notes=(_mixed_note(folder, size),) if _is_mixed(facts) else (),
        reader=reader,
    )


def _open_foreign(folder: Path) -> ChipDataset:
    export = read_arcgis_export(folder)
    probe = make_reader(export.format, _foreign_description(folder, export, (0, 0)))
    check_files(probe, export.entries)
    shapes = shapes_of(probe, export.entries)
    ((width, height, bands, dtype), _), *_ = Counter(shapes).most_common(1)
    mixed = probe.sizes_differ and len({shape[:2] for shape in shapes}) > 1
    if mixed:
        width, height = max(shape[0] for shape in shapes), max(shape[1] for shape in shapes)
    check_shapes(probe, export.entries, shapes, (width, height, bands, dtype), mixed=mixed)
    reader = make_reader(export.format, _foreign_description(folder, export, (width, height)))
    return ChipDataset(
        folder=folder,
        gsd=export.gsd,
        tile_size=min(width, height),
        bands=bands,
        dtype=dtype,
        statistics=export.statistics,
        classes=export.classes,
        chips=export.entries,
        format=export.format,
        labels=reader.labels,
        size=(width, height),
        crs=export.crs,
        notes=(*export.notes, _mixed_note(folder, (width, height))) if mixed else export.notes,
        reader=reader,
    )


def _mixed_note(folder: Path, size: tuple[int, int]) -> str:
    return f"The chips of {folder} are cut to their objects and differ in size: {size[0]} x {size[1]} pixels at most."


def _foreign_description(folder: Path, export: ForeignExport, size: tuple[int, int]) -> Description:
    return Description(folder, size, export.classes, export.values, is_own=False)
