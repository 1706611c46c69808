"""The format hdf5: all chips in one compressed file, a chunk a chip.

    chips.h5
        images     (chips, height, width, bands)  the raster's type
        masks      (chips, height, width)         class values, 0 ground, 255 unknown
        contacts   (chips, height, width)  uint8  1 where two buildings meet
        instances  (chips, height, width)  int32  id of the footprint that a pixel shows, 0 for none
        objects    (objects)  chip (index from 0), id, value, share of the footprint's area on the chip
        names, splits, angles (chips), transforms (chips, 6): a, b, c, d, e, f from pixels to the CRS
        attributes: crs (WKT), gsd (metres, x and y), classes and statistics (JSON), band_names, nodata

Datasets are shuffled and deflated, which every HDF5 library reads.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from building_segmenter.chips import manifest
from building_segmenter.chips.chip import IGNORE, Chip, ExportFacts, WrittenChip
from building_segmenter.chips.formats import reading
from building_segmenter.chips.formats.files import not_written, write_parts
from building_segmenter.chips.formats.images import check_image_format
from building_segmenter.chips.formats.parts import PARTS, is_put_together, remove_parts
from building_segmenter.chips.formats.reading import ChipEntry, Instances, Kind
from building_segmenter.chips.statistics import ExportStatistics
from building_segmenter.errors import InputUnreadableError

TAKES_SECOND_IMAGE = False
FILE = "chips.h5"
_LEVEL = 1
_OBJECT = np.dtype([("chip", "<i4"), ("id", "<i4"), ("value", "<u2"), ("share", "<f4")])


class Writer:
    """Writes chips as compressed chunks, and puts them together in the end. See `formats.Writer`.

    HDF5 takes one thread at a time and is broken by a process that is killed; files of chunks are neither, and putting
    them together only copies bytes.
    """

    def __init__(self, folder: Path, facts: ExportFacts) -> None:
        check_image_format(facts.image_format, facts.image)
        self._folder, self._facts = folder, facts
        wide = max((one.value for one in facts.classes), default=0) > IGNORE
        self._mask_type = "uint16" if wide else "uint8"
        if not is_put_together(folder):
            (folder / PARTS).mkdir(parents=True, exist_ok=True)

    def write(self, chip: Chip, name: str) -> dict[str, Any]:
        """Write a chip."""
        arrays = {
            "images": chip.image,
            "masks": chip.label.astype(self._mask_type, copy=False),
            "contacts": chip.contact,
            "instances": chip.instances,
        }
        chunks = [_chunk(array) for array in arrays.values()]
        write_parts(self._folder / PARTS / name, chunks)
        objects = [(one.id, one.value, round(one.share, 6)) for one in chip.objects]
        return {"lengths": [len(chunk) for chunk in chunks], "objects": objects}

    def finish(self, entries: Sequence[WrittenChip], statistics: ExportStatistics) -> None:
        """Put the chunks together."""
        if is_put_together(self._folder):
            return
        try:
            with h5py.File(self._folder / FILE, "w") as file:
                self._copy_chunks(file, entries)
                self._describe(file, entries, statistics)
        except (OSError, RuntimeError) as error:
            raise not_written(self._folder / FILE, error) from error
        manifest.write_export_manifest(self._folder, self._facts, entries, statistics)
        remove_parts(self._folder)

    def _copy_chunks(self, file: h5py.File, entries: Sequence[WrittenChip]) -> None:
        width, height = self._facts.tile_size
        shapes = {
            "images": ((height, width, self._facts.image.bands), self._facts.image.dtype),
            "masks": ((height, width), self._mask_type),
            "contacts": ((height, width), "uint8"),
            "instances": ((height, width), "int32"),
        }
        datasets = [_dataset(file, name, len(entries), shape, dtype) for name, (shape, dtype) in shapes.items()]
        for index, entry in enumerate(entries):
            whole, start = (self._folder / PARTS / entry.name).read_bytes(), 0
            for dataset, length in zip(datasets, entry.record["lengths"], strict=True):
                place = (index,) + (0,) * (dataset.ndim - 1)
                dataset.id.write_direct_chunk(place, whole[start : start + length])
                start += length

    def _describe(self, file: h5py.File, entries: Sequence[WrittenChip], statistics: ExportStatistics) -> None:
        objects = [(index, *one) for index, entry in enumerate(entries) for one in entry.record["objects"]]
        file["objects"] = np.array(objects, _OBJECT)
        file["names"] = [entry.name for entry in entries]
        file["splits"] = [entry.split for entry in entries]
        file["angles"] = [entry.angle for entry in entries]
        file["transforms"] = np.array([entry.statistics["transform"] for entry in entries], np.float64)
        classes = [{"value": one.value, "name": one.name, "color": list(one.color)} for one in self._facts.classes]
        file.attrs["crs"] = "" if self._facts.crs is None else self._facts.crs.to_wkt()
        file.attrs["gsd"] = self._facts.gsd
        file.attrs["classes"] = json.dumps(classes)
        file.attrs["statistics"] = json.dumps(statistics.bands)
        file.attrs["band_names"] = list(self._facts.image.band_names)
        if self._facts.image.nodata is not None:
            file.attrs["nodata"] = self._facts.image.nodata


def _chunk(array: NDArray[Any]) -> bytes:
    """Return an array as HDF5's filters shuffle and deflate leave it."""
    flat = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
    shuffled = flat.view(np.uint8).reshape(-1, flat.itemsize).T if flat.itemsize > 1 else flat
    return zlib.compress(np.ascontiguousarray(shuffled).data, _LEVEL)


def _dataset(file: h5py.File, name: str, chips: int, shape: tuple[int, ...], dtype: str) -> Any:
    kind = np.dtype(dtype).newbyteorder("<")
    options = {"chunks": (1, *shape), "compression": "gzip", "compression_opts": _LEVEL, "shuffle": kind.itemsize > 1}
    return file.create_dataset(name, (chips, *shape), kind, **options)


class Reader(reading.Reader):
    """Reads chips of the one file; h5py lets one thread in at a time."""

    labels = frozenset[Kind]({"classes", "instances", "boxes"})
    has_contacts = True

    def image_path(self, entry: ChipEntry) -> str:
        """Return the one file."""
        return FILE

    def label_paths(self, entry: ChipEntry) -> tuple[str, ...]:
        """Return the one file."""
        return (FILE,)

    def image(self, entry: ChipEntry) -> NDArray[Any]:
        """Read the image (height, width, bands)."""
        return self._read("images", entry)

    def image_facts(self, entry: ChipEntry) -> tuple[int, int, int, str]:
        """Return width, height, bands and type of the images."""
        self._index_of(entry)
        _, height, width, bands = self._file["images"].shape
        return width, height, bands, self._file["images"].dtype.name

    def label_sizes(self, entry: ChipEntry) -> list[tuple[int, int]]:
        """Return width and height of the masks."""
        _, height, width = self._file["masks"].shape
        return [(width, height)]

    def files(self, entry: ChipEntry) -> list[str]:
        """Return the one file."""
        return [FILE]

    def label(self, entry: ChipEntry) -> NDArray[Any]:
        """Read class values (height, width), 255 where unknown."""
        return self._read("masks", entry)

    def contact(self, entry: ChipEntry) -> NDArray[np.uint8] | None:
        """Read where buildings meet (height, width)."""
        return self._read("contacts", entry)

    def unknown(self, entry: ChipEntry) -> NDArray[np.bool_] | None:
        """Read which pixels nobody knows."""
        unknown: NDArray[np.bool_] = self.label(entry) == IGNORE
        return unknown

    def instances(self, entry: ChipEntry) -> Instances:
        """Read the objects with their masks."""
        raster = self._read("instances", entry)
        rows = self._objects[self._objects["chip"] == self._index_of(entry)]
        ids = rows["id"].astype(np.int64)
        table = np.zeros(int(max(raster.max(), ids.max(initial=0))) + 1, np.int32)
        table[ids] = np.arange(1, len(ids) + 1)
        return Instances(table[raster], ids, rows["value"].astype(np.int64))

    def _read(self, name: str, entry: ChipEntry) -> NDArray[Any]:
        index = self._index_of(entry)
        try:
            array: NDArray[Any] = self._file[name][index]
        except (OSError, KeyError) as error:
            raise self._broken(error) from error
        return array

    def _index_of(self, entry: ChipEntry) -> int:
        if entry.name not in self._indices:
            raise InputUnreadableError(f"{self.folder / FILE} has no chip {entry.name}.", "Export the chips again.")
        return self._indices[entry.name]

    @cached_property
    def _file(self) -> h5py.File:
        try:
            return h5py.File(self.folder / FILE, "r")
        except OSError as error:
            raise self._broken(error) from error

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self._file["names"].asstr()[:])}

    @cached_property
    def _objects(self) -> NDArray[Any]:
        objects: NDArray[Any] = self._file["objects"][:]
        return objects

    def _broken(self, error: Exception) -> InputUnreadableError:
        return InputUnreadableError(f"{self.folder / FILE} cannot be read: {error}.", "Export the chips again.")
