"""A training chip in memory, what an export knows of all its chips, and what is kept of a written one.

These values are what cutting hands to the writers of formats, and what readers hand to training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from affine import Affine
from numpy.typing import NDArray

Split = Literal["train", "validation"]

GROUND = 0
BUILDING = 1
"""Class value of footprints when no field tells classes apart."""
IGNORE = 255
"""Label of pixels that nobody knows: nodata, outside the labelled area, or of a footprint without class."""
BOUNDING_BOX = "bounding-box"
"""The choice of CROP_MODE by which chips differ in size."""
CONTACT_REACH_M = 0.4
"""Two buildings are in contact where a pixel lies within this ground distance of both."""


@dataclass(frozen=True)
class ChipClass:
    """A class of objects.

    Args:
        value: Value in labels, 1 to 65535 but for 255.
        name: As in the class field, or `building`.
        color: Red, green, blue, each 0..255.
    """

    value: int
    name: str
    color: tuple[int, int, int]


@dataclass(frozen=True)
class ChipObject:
    """A footprint on a chip.

    Args:
        id: Number of the footprint in its layer, from 1: the same on every chip that shows it.
        value: Class value.
        name: Class name.
        polygon: Polygon or MultiPolygon, clipped to the chip, in its pixels: x right, y down, the chip's corner at
            (0, 0), pixel centres at .5.
        share: Share of the whole footprint's area that lies on the chip, 0..1.
    """

    id: int
    value: int
    name: str
    polygon: Any
    share: float


@dataclass(frozen=True)
class Chip:
    """An image with its labels. The arrays may be views of larger ones and are never written to.

    Args:
        image: (height, width, bands) in the raster's own type; the raster's nodata value, or 0, where it has no image.
        label: (height, width) uint8, or uint16 where a class value needs it: 0 ground, class values, 255 unknown.
        contact: (height, width) uint8: 1 where two buildings meet, of whatever class; 0 where unknown.
        instances: (height, width) int32: id of the object that a pixel shows, the upper one where footprints
            overlap; 0 on ground and where unknown.
        objects: All objects that hold the centre of a known pixel, by id, also those under others; every id in
            `instances` is one of theirs.
        transform: From the chip's pixels to `crs`; of a turned chip it is a turned one.
        crs: CRS of the raster, or None.
        number: Place in the export, from 0.
        split: What it is for.
        angle: Degrees by which the chip is turned against the raster; 0 for the first set.
        image2: As `image`, of the second raster; None where there is none.
    """

    image: NDArray[Any]
    label: NDArray[Any]
    contact: NDArray[np.uint8]
    instances: NDArray[np.int32]
    objects: tuple[ChipObject, ...]
    transform: Affine
    crs: Any
    number: int = 0
    split: Split = "train"
    angle: float = 0.0
    image2: NDArray[Any] | None = None

    @property
    def name(self) -> str:
        """Name of the chip's files without ending: nine digits, as in ArcGIS."""
        return f"{self.number:09d}"


@dataclass(frozen=True)
class ImageFacts:
    """What all images of one raster have in common.

    Args:
        dtype: Name of the numpy type.
        band_names: Name of each band, as described in the raster or `Band_1` and so on.
        nodata: Value of pixels without image, or None where the raster names none (it is then 0).
    """

    dtype: str
    band_names: tuple[str, ...]
    nodata: float | None

    @property
    def bands(self) -> int:
        """Number of bands."""
        return len(self.band_names)


@dataclass(frozen=True)
class ExportFacts:
    """What all chips of an export have in common.

    Args:
        format: A choice of FORMAT.
        image_format: `tiff`, `png` or `jpeg`; checked to hold the bands and type of the images.
        tile_size: Width and height of a chip in pixels; of chips cut to their objects, the most that they have.
        stride: Pixels from one chip to the next, across and down.
        gsd: Width and height of a pixel in ground metres.
        crs: CRS of the raster.
        image: Of the raster.
        image2: Of the second raster, or None.
        classes: All classes of the layer by value, also those on no chip.
        rotation: Degrees from one set of chips to the next; 0: one set.
        choices: The other options that say what is on a chip, ready for JSON (area rule, minimum overlap, crop mode,
            split, seed).
        sources: Name and hash of each input by role, ready for JSON.
    """

    format: str
    image_format: str
    tile_size: tuple[int, int]
    stride: tuple[int, int]
    gsd: tuple[float, float]
    crs: Any
    image: ImageFacts
    image2: ImageFacts | None
    classes: tuple[ChipClass, ...]
    rotation: float
    choices: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WrittenChip:
    """What is kept of a chip once it is on disk, ready for JSON.

    It is enough for all side files, so that a stopped export goes on without reading a chip again.

    Args:
        name: See `Chip.name`.
        split: What it is for.
        angle: See `Chip.angle`.
        statistics: What `statistics.chip_statistics` returned for it.
        record: What its format's `write` returned for it.
    """

    name: str
    split: Split
    angle: float
    statistics: dict[str, Any]
    record: dict[str, Any]
