"""GDAL's description of a raster that is made of others, in XML: https://gdal.org/en/stable/drivers/raster/vrt.html."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from affine import Affine
from rasterio.crs import CRS


@dataclass(frozen=True)
class Part:
    """A file that a raster is made of.

    Args:
        name: What GDAL opens.
        size: Width and height in pixels.
        block: Height and width of the file's blocks.
        corner: Column and row of the raster where it begins.
        relative: The name is a path from the folder of the description, not one from anywhere.
    """

    name: str
    size: tuple[int, int]
    block: tuple[int, int]
    corner: tuple[int, int]
    relative: bool = False


def vrt_root(width: int, height: int, transform: Affine, crs: CRS | None) -> Xml.Element:
    """Return the description of a raster without bands."""
    root = Xml.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    if crs:
        add_text(root, "SRS", crs.to_wkt(), dataAxisToSRSAxisMapping="1,2")
    add_text(root, "GeoTransform", ", ".join(repr(float(number)) for number in transform.to_gdal()))
    return root


def add_part(band: Xml.Element, kind: str, of: str, dtype: str, part: Part) -> Xml.Element:
    """Add a whole file to a band.

    Args:
        band: Of the description.
        kind: `SimpleSource` or `ComplexSource`.
        of: The file's band, counted from 1, or `mask,1`.
        dtype: GDAL's name of its type.
        part: The file.
    """
    width, height = (str(length) for length in part.size)
    source = Xml.SubElement(band, kind)
    # Not shared: several threads read, each through a description of its own.
    add_text(source, "SourceFilename", part.name, relativeToVRT=str(int(part.relative)), shared="0")
    add_text(source, "SourceBand", of)
    # With these, GDAL opens the file when it is read and not before.
    facts = {"RasterXSize": width, "RasterYSize": height, "DataType": dtype}
    blocks = {"BlockXSize": str(part.block[1]), "BlockYSize": str(part.block[0])}
    Xml.SubElement(source, "SourceProperties", {**facts, **blocks})
    Xml.SubElement(source, "SrcRect", xOff="0", yOff="0", xSize=width, ySize=height)
    Xml.SubElement(source, "DstRect", xOff=str(part.corner[0]), yOff=str(part.corner[1]), xSize=width, ySize=height)
    return source


def add_text(parent: Xml.Element, name: str, text: str, **attributes: str) -> None:
    """Add an element with a text."""
    Xml.SubElement(parent, name, attributes).text = text
