"""Many images as one: a GDAL VRT in memory, which opens each file when its ground is read.

The format is that of https://gdal.org/en/stable/drivers/raster/vrt.html. Validity is a mask band of its own, put
together from the masks of the images, so that ground of no image is nodata, whatever the images have: a nodata
value, an alpha band, a mask, or none of them. Where images lie over each other, the later one wins where it is valid.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as Xml

from affine import Affine
from rasterio.crs import CRS
from rasterio.dtypes import dtype_rev, typename_fwd
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader, MemoryFile

from building_segmenter.errors import InputUnreadableError
from building_segmenter.progress import Progress
from building_segmenter.rasters.image_list import is_local
from building_segmenter.rasters.source import open_raster
from building_segmenter.rasters.vrt import Part, add_part, add_text, vrt_root

_PIXEL_TOLERANCE = 1e-6
_SHIFT_TOLD = 0.05


@dataclass(frozen=True)
class _Image:
    """What the mosaic needs of one image; `alike` must be the same in all of them."""

    path: str
    crs: CRS | None
    transform: Affine
    size: tuple[int, int]
    block: tuple[int, int]
    alike: dict[str, Any]
    nodata: float | None
    is_masked: bool


@contextmanager
def mosaic_of(images: Sequence[str], progress: Progress) -> Iterator[str]:
    """Give the name under which GDAL opens many images as one, while the block lasts.

    The name depends on nothing but the images' names, shapes and places, so that stopped work on it is known again.

    Args:
        images: Files of the same CRS, pixel size, bands and types, north up. Their pixels need not share a grid:
            each is placed at the nearest pixel of the first one's, and a shift of more than 0.05 px is warned of.
        progress: Told what is being done.

    Raises:
        InputNotFoundError: One does not exist.
        InputUnreadableError: One cannot be opened, or differs in what must be the same; the message names it.
    """
    facts = []
    for number, image in enumerate(images):
        progress.update(number / len(images), "Looking at the images")
        with open_raster(image) as dataset:
            facts.append(_facts(dataset, image))
        _check_alike(facts[0], facts[-1])
    text = Xml.tostring(_vrt(facts, progress))
    folder = f"mosaic-{hashlib.sha256(text).hexdigest()[:16]}"
    with MemoryFile(text, dirname=folder, filename=f"{len(images)} images.vrt") as file:
        yield file.name


def _facts(dataset: DatasetReader, path: str) -> _Image:
    step = dataset.transform
    if step.b or step.d or step.a <= 0 or step.e >= 0:
        raise InputUnreadableError(
            f"The image {path} is not north up, so it cannot be part of a mosaic.",
            "Warp it first (gdalwarp), or let each image be done by itself.",
        )
    flags = dataset.mask_flag_enums
    nodata = dataset.nodata if any(MaskFlags.nodata in one for one in flags) else None
    alike = {
        "the number of bands": dataset.count,
        "the data types": dataset.dtypes,
        "the kinds of bands": tuple(dataset.colorinterp),
        "the scales and offsets": (dataset.scales, dataset.offsets),
    }
    is_masked = not all(MaskFlags.all_valid in one for one in flags)
    shape = dataset.block_shapes[0]
    return _Image(path, dataset.crs, step, (dataset.width, dataset.height), shape, alike, nodata, is_masked)


def _check_alike(first: _Image, other: _Image) -> None:
    differences = [name for name, value in first.alike.items() if other.alike[name] != value]
    if first.crs != other.crs:
        differences.insert(0, "the CRS")
    sizes = ((first.transform.a, other.transform.a), (first.transform.e, other.transform.e))
    if not all(math.isclose(a, b, rel_tol=_PIXEL_TOLERANCE) for a, b in sizes):
        differences.append("the size of pixels")
    if differences:
        raise InputUnreadableError(
            f"The images {first.path} and {other.path} cannot be one mosaic: they differ in {', '.join(differences)}.",
            "Bring them to the same form (gdalwarp, gdal_translate), or let each image be done by itself.",
        )


def _vrt(images: list[_Image], progress: Progress) -> Xml.Element:
    first, step = images[0], images[0].transform
    places = [_place(image, step) for image in images]
    shifted = [
        i.path for i, (x, y) in zip(images, places, strict=True) if _off(x) > _SHIFT_TOLD or _off(y) > _SHIFT_TOLD
    ]
    if shifted:
        progress.warn(
            f"{len(shifted)} images do not lie on the pixels of {first.path} and are shifted by up to half a pixel;"
            f" the first is {shifted[0]}."
        )
    corners = [(round(x), round(y)) for x, y in places]
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    right = max(x + image.size[0] for (x, _), image in zip(corners, images, strict=True))
    bottom = max(y + image.size[1] for (_, y), image in zip(corners, images, strict=True))
    origin = step @ Affine.translation(left, top)
    root = vrt_root(right - left, bottom - top, origin, first.crs)
    placed = [(image, (x - left, y - top)) for image, (x, y) in zip(images, corners, strict=True)]
    for band, dtype in enumerate(first.alike["the data types"], start=1):
        _add_band(root, band, dtype, first, placed)
    mask = Xml.SubElement(Xml.SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte")
    for image, corner in placed:
        # What one image does not know, another may: only valid pixels are written.
        source = _source(mask, "ComplexSource", "mask,1", "Byte", image, corner)
        add_text(source, "NODATA", "0")
    return root


def _add_band(
    root: Xml.Element, band: int, dtype: str, first: _Image, placed: list[tuple[_Image, tuple[int, int]]]
) -> None:
    element = Xml.SubElement(root, "VRTRasterBand", dataType=_type_name(dtype), band=str(band))
    role: ColorInterp = first.alike["the kinds of bands"][band - 1]
    add_text(element, "ColorInterp", role.name.capitalize())
    scales, offsets = first.alike["the scales and offsets"]
    add_text(element, "Scale", repr(float(scales[band - 1])))
    add_text(element, "Offset", repr(float(offsets[band - 1])))
    for image, corner in placed:
        kind = "ComplexSource" if image.is_masked else "SimpleSource"
        source = _source(element, kind, str(band), _type_name(dtype), image, corner)
        if image.nodata is not None:
            add_text(source, "NODATA", repr(float(image.nodata)))
        elif image.is_masked and role != ColorInterp.alpha:
            add_text(source, "UseMaskBand", "true")


def _source(band: Xml.Element, kind: str, of: str, dtype: str, image: _Image, corner: tuple[int, int]) -> Xml.Element:
    name = os.path.abspath(image.path) if is_local(image.path) else image.path
    return add_part(band, kind, of, dtype, Part(name, image.size, image.block, corner))


def _place(image: _Image, step: Affine) -> tuple[float, float]:
    """Return where an image begins, in pixels of the first one."""
    return (image.transform.c - step.c) / step.a, (image.transform.f - step.f) / step.e


def _type_name(dtype: str) -> str:
    """Return GDAL's name of a data type."""
    return str(typename_fwd[dtype_rev[dtype]])


def _off(pixels: float) -> float:
    return abs(pixels - round(pixels))
