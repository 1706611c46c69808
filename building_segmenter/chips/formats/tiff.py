"""GeoTIFFs of one shape, written much faster than GDAL opens a file.

All images of an export have the same size, bands, type and CRS, and so the same header but for the few numbers that
place them. GDAL writes that header once; each chip gets a copy with its own numbers, and its pixels behind it in one
strip a band. Layout after TIFF 6.0 (tags 273, 279) and GeoTIFF 1.1 (tags 33550, 33922, 34264).
"""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from building_segmenter.chips.buffers import thread_array
from building_segmenter.chips.formats.files import write_parts

_STRIP_OFFSETS, _STRIP_BYTES, _SCALE, _TIEPOINT, _MATRIX = 273, 279, 33550, 33922, 34264
_LONG = 4
_UPRIGHT, _TURNED = Affine(1, 0, 1, 0, -1, 1), Affine(0, 1, 1, 1, 0, 1)


class TiffWriter:
    """Writes GeoTIFFs of one shape; from several threads at once.

    Args:
        size: Width and height in pixels.
        bands: Number of bands.
        dtype: Name of the numpy type.
        crs: CRS, or None.
        nodata: Value of pixels without image, or None.
        deflate: Compress the pixels; for one band only.
    """

    def __init__(
        self,
        size: tuple[int, int],
        bands: int,
        dtype: str,
        crs: Any,
        nodata: float | None = None,
        *,
        deflate: bool = False,
    ) -> None:
        self._shape = (bands, size[1], size[0])
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._deflate = deflate
        self._zeros = zlib.compress(bytes(np.prod(self._shape) * self._dtype.itemsize), 1) if deflate else b""
        profile = {"width": size[0], "height": size[1], "count": bands, "dtype": dtype, "crs": crs, "nodata": nodata}
        if deflate:
            profile["compress"] = "deflate"
        self._upright, self._turned = _Header(profile, _UPRIGHT), _Header(profile, _TURNED)

    def write(self, path: Path, array: NDArray[Any], transform: Affine) -> None:
        """Write an image (bands, height, width).

        Raises:
            DiskFullError: The disk is full.
            OutputNotWritableError: The file cannot be written for another reason.
        """
        if array.shape != self._shape:
            raise ValueError(f"{path.name} is {array.shape}, the others are {self._shape}")
        contiguous = thread_array(array.shape, self._dtype)
        np.copyto(contiguous, array, casting="unsafe")
        pixels: bytes | memoryview = contiguous.data.cast("B")
        if self._deflate:
            # Most labels of contacts are empty, and finding that out is ten times faster than compressing zeros.
            pixels = zlib.compress(pixels, 1) if array.any() else self._zeros
        is_upright = transform.b == 0 and transform.d == 0 and transform.a > 0 and transform.e < 0
        header = self._upright if is_upright else self._turned
        write_parts(path, [header.placed(transform, len(pixels)), pixels])


class _Header:
    """What stands before the pixels, and where in it the numbers are that differ from chip to chip."""

    def __init__(self, profile: dict[str, Any], transform: Affine) -> None:
        whole = _written_by_gdal(profile, transform)
        tags = _tags(whole)
        self._bytes = whole[: _first_offset(whole, tags[_STRIP_OFFSETS])]
        self._strip_bytes = tags[_STRIP_BYTES].place if profile.get("compress") else None
        self._places = {tag: tags[tag].value for tag in (_SCALE, _TIEPOINT, _MATRIX) if tag in tags}

    def placed(self, transform: Affine, length: int) -> bytearray:
        """Return the header of an image at a place whose pixels take `length` bytes."""
        header = bytearray(self._bytes)
        a, b, c, d, e, f = transform[:6]
        numbers = {
            _SCALE: (a, -e, 0.0),
            _TIEPOINT: (0.0, 0.0, 0.0, c, f, 0.0),
            _MATRIX: (a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
        }
        for tag, place in self._places.items():
            struct.pack_into(f"<{len(numbers[tag])}d", header, place, *numbers[tag])
        if self._strip_bytes is not None:
            # The whole entry: GDAL may have written a small length as a 16-bit number.
            struct.pack_into("<HHII", header, self._strip_bytes, _STRIP_BYTES, _LONG, 1, length)
        return header


def _written_by_gdal(profile: dict[str, Any], transform: Affine) -> bytes:
    layout = {"interleave": "band", "blockysize": profile["height"], "endianness": "LITTLE", "bigtiff": "NO"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with MemoryFile() as memory:
            with memory.open(driver="GTiff", transform=transform, **profile, **layout) as dataset:
                dataset.write(np.zeros((profile["count"], profile["height"], profile["width"]), profile["dtype"]))
            return bytes(memory.read())


class _Entry(NamedTuple):
    kind: int
    length: int
    value: int
    """The value where it has room, else its place in the file."""
    place: int
    """Of the entry itself."""


def _tags(whole: bytes) -> dict[int, _Entry]:
    """Return the entries of the first directory by tag."""
    (directory,) = struct.unpack_from("<I", whole, 4)
    (entries,) = struct.unpack_from("<H", whole, directory)
    tags = {}
    for place in range(directory + 2, directory + 2 + 12 * entries, 12):
        # A 16-bit value stands in the first half of its field; little-endian, so the rest is 0.
        tag, kind, count, value = struct.unpack_from("<HHII", whole, place)
        tags[tag] = _Entry(kind, count, value, place)
    return tags


def _first_offset(whole: bytes, offsets: _Entry) -> int:
    if offsets.length == 1:
        return offsets.value
    first: int = struct.unpack_from("<I" if offsets.kind == _LONG else "<H", whole, offsets.value)[0]
    return first
