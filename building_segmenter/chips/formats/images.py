"""Image files of chips: GeoTIFF, PNG or JPEG with a world file each, and reading any of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from building_segmenter.chips.chip import Chip, ExportFacts, ImageFacts
from building_segmenter.chips.formats.files import write_parts, write_text
from building_segmenter.chips.formats.tiff import TiffWriter
from building_segmenter.errors import BandsError, InputUnreadableError

ENDINGS = {"tiff": ".tif", "png": ".png", "jpeg": ".jpg"}
"""Of an image, by image format."""
_WORLD_ENDINGS = {".tif": ".tfw", ".png": ".pgw", ".jpg": ".jgw"}
_JPEG_QUALITY = 95


class Writer(Protocol):
    """Writes arrays (bands, height, width) of one shape to files."""

    def write(self, path: Path, array: NDArray[Any], transform: Affine) -> None:
        """Write one."""


class ImageSet:
    """A folder of images with their world files.

    Args:
        folder: The export; the set's own folder in it is made.
        part: Name of the set's folder, with `/` between levels.
        writer: Of the files.
        ending: Of the files.
        world: Whether a world file stands beside each.
    """

    def __init__(self, folder: Path, part: str, writer: Writer, ending: str, *, world: bool = True) -> None:
        self._folder = folder / part
        self._folder.mkdir(parents=True, exist_ok=True)
        self._part, self._writer, self._ending, self._world = part, writer, ending, world

    def write(self, name: str, array: NDArray[Any], transform: Affine) -> str:
        """Write an image (height, width, bands) or (height, width) and return its path in the export."""
        planes = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
        path = self._folder / f"{name}{self._ending}"
        self._writer.write(path, planes, transform)
        if self._world:
            write_text(path.with_suffix(_WORLD_ENDINGS[self._ending]), world_file(transform))
        return f"{self._part}/{path.name}"


def image_set(
    folder: Path, part: str, image_format: str, size: tuple[int, int], image: ImageFacts, crs: Any
) -> ImageSet:
    """Return a set of images in the format that the user chose.

    Raises:
        BandsError: The format cannot hold the bands or the type of the images.
    """
    ending = ENDINGS[image_format]
    if image_format == "tiff":
        return ImageSet(folder, part, TiffWriter(size, image.bands, image.dtype, crs, image.nodata), ending)
    check_image_format(image_format, image)
    return ImageSet(folder, part, _PictureWriter(image_format, crs), ending)


class ImagePair:
    """The images of an export in `images`, and those of its second raster, if there is one, in `images2`.

    Args:
        folder: The export.
        facts: Of the export.

    Raises:
        BandsError: The format cannot hold the bands or the type of the images.
    """

    def __init__(self, folder: Path, facts: ExportFacts) -> None:
        parts = {"images": facts.image, "images2": facts.image2}
        self._sets = [
            image_set(folder, part, facts.image_format, facts.tile_size, image, facts.crs)
            for part, image in parts.items()
            if image is not None
        ]

    def write(self, name: str, chip: Chip) -> list[str]:
        """Write the images of a chip and return their paths in the export."""
        images = [image for image in (chip.image, chip.image2) if image is not None]
        return [one.write(name, image, chip.transform) for one, image in zip(self._sets, images, strict=True)]


def label_set(folder: Path, part: str, size: tuple[int, int], dtype: str, crs: Any, *, world: bool = True) -> ImageSet:
    """Return a set of label rasters: compressed GeoTIFFs whatever the images are, for a lossy label is none."""
    return ImageSet(folder, part, TiffWriter(size, 1, dtype, crs, deflate=True), ".tif", world=world)


def check_image_format(image_format: str, image: ImageFacts) -> None:
    """Check that an image format holds the bands and the type of images.

    Raises:
        BandsError: It does not.
    """
    if image_format != "tiff" and (image.bands not in (1, 3) or image.dtype != "uint8"):
        raise BandsError(
            f"{image_format.upper()} chips hold 1 or 3 bands of type uint8; the image has {image.bands} of type"
            f" {image.dtype}.",
            "Choose tiff as image format, or 1 or 3 bands of an 8-bit image with BANDS.",
        )


def world_file(transform: Affine) -> str:
    """Return the text of a world file, which places the centre of the first pixel."""
    a, b, _, d, e, _ = transform[:6]
    x, y = transform @ (0.5, 0.5)
    # Pixels in degrees have six zeros behind the point, so they need more digits than ArcGIS' ten.
    return "".join(f"{number:.16f}\n" for number in (a, d, b, e, x, y))


def read_image(path: Path) -> NDArray[Any]:
    """Read an image file as (height, width, bands).

    Raises:
        InputUnreadableError: It is missing or broken.
    """
    with _opened(path) as dataset:
        return np.ascontiguousarray(np.moveaxis(dataset.read(), 0, -1))


def read_layers(path: Path) -> NDArray[Any]:
    """Read a label file as (bands, height, width). Errors as `read_image`."""
    with _opened(path) as dataset:
        layers: NDArray[Any] = dataset.read()
        return layers


def image_place(path: Path) -> tuple[Affine, Any, tuple[int, int]]:
    """Return the transform, the CRS or None, and width and height of an image file. Errors as `read_image`."""
    with _opened(path, beside=True) as dataset:
        return dataset.transform, dataset.crs, (dataset.width, dataset.height)


def image_facts(path: Path) -> tuple[int, int, int, str]:
    """Return width, height, bands and type of an image file, from its header. Errors as `read_image`."""
    with _opened(path) as dataset:
        return dataset.width, dataset.height, dataset.count, dataset.dtypes[0]


@contextmanager
def _opened(path: Path, *, beside: bool = False) -> Iterator[Any]:
    # Else GDAL lists the whole folder for every chip, to find side files. A TIFF's pixels need none.
    look = "EMPTY_DIR" if path.suffix.lower() in (".tif", ".tiff") and not beside else "TRUE"
    try:
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN=look), rasterio.open(path) as dataset:
            yield dataset
    except RasterioError as error:
        raise InputUnreadableError(f"The chip {path} cannot be read: {error}", "Export the chips again.") from error


class _PictureWriter:
    """PNG and JPEG know no CRS, so it goes into the side file where GDAL, QGIS and ArcGIS look for it."""

    def __init__(self, image_format: str, crs: Any) -> None:
        self._profile: dict[str, Any] = {"driver": image_format.upper()}
        if image_format == "jpeg":
            self._profile["quality"] = _JPEG_QUALITY
        srs = "" if crs is None else f"<PAMDataset>\n  <SRS>{escape(crs.to_wkt())}</SRS>\n</PAMDataset>\n"
        self._side = srs

    def write(self, path: Path, array: NDArray[Any], transform: Affine) -> None:
        bands, height, width = array.shape
        shape = {"count": bands, "height": height, "width": width, "dtype": array.dtype, "transform": transform}
        with MemoryFile() as memory:
            with memory.open(**self._profile, **shape) as dataset:
                dataset.write(array)
            write_parts(path, [bytes(memory.read())])
        if self._side:
            write_text(path.with_name(f"{path.name}.aux.xml"), self._side)
