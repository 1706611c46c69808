"""The format pascal-voc: ArcGIS' PASCAL_VOC_rectangles, boxes of objects in XML.

    images/000000000.tif  labels/000000000.xml

As ArcGIS writes it: the name of an object is its class value, and corners are pixels with two decimals, counted from
the chip's corner. `objects.csv` says which footprint an object is. After the PASCAL VOC development kit's annotations.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from building_segmenter.chips import manifest
from building_segmenter.chips.chip import Chip, ExportFacts, WrittenChip
from building_segmenter.chips.formats import arcgis, boxes
from building_segmenter.chips.formats.boxes import corners_of
from building_segmenter.chips.formats.files import write_text
from building_segmenter.chips.formats.images import image_set
from building_segmenter.chips.formats.objects import object_rows, write_object_table
from building_segmenter.chips.statistics import ExportStatistics
from building_segmenter.errors import InputUnreadableError

TAKES_SECOND_IMAGE = False


class Writer:
    """Writes boxes in XML. See `formats.Writer`."""

    def __init__(self, folder: Path, facts: ExportFacts) -> None:
        self._folder, self._facts = folder, facts
        self._images = image_set(folder, "images", facts.image_format, facts.tile_size, facts.image, facts.crs)
        (folder / "labels").mkdir(exist_ok=True)

    def write(self, chip: Chip, name: str) -> dict[str, Any]:
        """Write a chip."""
        image = self._images.write(name, chip.image, chip.transform)
        boxes = [(one.value, corners) for one, corners in zip(chip.objects, corners_of(chip.objects), strict=True)]
        label = f"labels/{name}.xml"
        write_text(self._folder / label, annotation(Path(image).name, chip.image.shape, boxes))
        return {"files": [image, label], "objects": object_rows(name, chip.objects)}

    def finish(self, entries: Sequence[WrittenChip], statistics: ExportStatistics) -> None:
        """Write the side files."""
        arcgis.write_side_files(self._folder, self._facts, entries, statistics)
        write_object_table(self._folder, entries)
        manifest.write_export_manifest(self._folder, self._facts, entries, statistics)


def annotation(image: str, shape: tuple[int, ...], boxes: Sequence[tuple[int, Sequence[float]]]) -> str:
    """Return the annotation of an image (height, width, bands) with the class value and corners of each object."""
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = image
    ElementTree.SubElement(ElementTree.SubElement(root, "source"), "annotation").text = "Building Segmenter"
    size = ElementTree.SubElement(root, "size")
    for tag, length in zip(("width", "height", "depth"), (shape[1], shape[0], shape[2]), strict=True):
        ElementTree.SubElement(size, tag).text = str(length)
    for value, corners in boxes:
        one = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(one, "name").text = str(value)
        box = ElementTree.SubElement(one, "bndbox")
        for tag, corner in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
            ElementTree.SubElement(box, tag).text = f"{corner:.2f}"
    ElementTree.indent(root, "    ")
    return f'<?xml version="1.0"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


class Reader(boxes.Reader):
    """Reads boxes from XML."""

    text_ending = ".xml"

    def read_text(self, path: Path) -> list[tuple[str, list[float]]]:
        """Read class and box of each object of an annotation."""
        return read_annotation(path)


def read_annotation(path: Path) -> list[tuple[str, list[float]]]:
    """Read the name and the corners of each object of an annotation.

    Raises:
        InputUnreadableError: It is missing or broken.
    """
    try:
        text = path.read_bytes()
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            raise ValueError("it declares entities, which no annotation needs")
        return [_object(one) for one in ElementTree.fromstring(text).iter("object")]
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise InputUnreadableError(
            f"The annotation {path} cannot be read: {error}.", "Export the chips again."
        ) from error


def _object(one: ElementTree.Element) -> tuple[str, list[float]]:
    texts = [one.findtext(path) for path in ("name", *(f"bndbox/{tag}" for tag in ("xmin", "ymin", "xmax", "ymax")))]
    if any(text is None for text in texts):
        raise ValueError("an object has no name or no box")
    return str(texts[0]).strip(), [float(str(text)) for text in texts[1:]]
