"""Checks of a dataset when it is opened: what is missing or does not fit is named, with counts, before training."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from building_segmenter.chips.formats.reading import ChipEntry, Reader
from building_segmenter.errors import InputUnreadableError

ImageShape = tuple[int, int, int, str]
"""Width, height, bands and type."""

_THREADS = 4
_AGAIN = "Export the chips again, or restore the files."


def check_files(reader: Reader, entries: Sequence[ChipEntry]) -> None:
    """Check that all files of chips are there.

    Raises:
        InputUnreadableError: Some are missing.
    """
    there: dict[str, set[str]] = {}
    missing: dict[str, list[str]] = {}
    wanted: Counter[str] = Counter()
    for entry in entries:
        for path in reader.files(entry):
            part, _, name = path.rpartition("/")
            wanted[part] += 1
            if part not in there:
                there[part] = _names(reader.folder / part)
            if name not in there[part]:
                missing.setdefault(part, []).append(name)
    if missing:
        lines = [
            f"{len(names)} of {wanted[part]} files are missing from {reader.folder / part}, the first is {names[0]}."
            for part, names in missing.items()
        ]
        raise InputUnreadableError(" ".join(lines), _AGAIN)


def shapes_of(reader: Reader, entries: Sequence[ChipEntry]) -> list[ImageShape]:
    """Read the shape of each chip's image from its header.

    Raises:
        InputUnreadableError: An image is broken.
    """
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(reader.image_facts, entries))


def check_shapes(
    reader: Reader, entries: Sequence[ChipEntry], shapes: Sequence[ImageShape], expected: ImageShape, *, mixed: bool
) -> None:
    """Check that images are as expected, and labels as large as their images.

    Args:
        reader: Of the dataset.
        entries: Its chips.
        shapes: Of their images.
        expected: What they should be.
        mixed: Images may be smaller than expected.

    Raises:
        InputUnreadableError: Some are not.
    """
    odd = [(entry, shape) for entry, shape in zip(entries, shapes, strict=True) if not _is_fit(shape, expected, mixed)]
    if odd:
        entry, shape = odd[0]
        most = "at most " if mixed else ""
        raise InputUnreadableError(
            f"{len(odd)} of {len(entries)} images of {reader.folder} are not {most}{_text(expected)} as the others: the"
            f" first is {entry.name} with {_text(shape)}.",
            _AGAIN,
        )
    with ThreadPoolExecutor(_THREADS) as threads:
        labels = list(threads.map(reader.label_sizes, entries))
    pairs = zip(entries, shapes, labels, strict=True)
    unfit = [(entry, shape, sizes) for entry, shape, sizes in pairs if any(size != shape[:2] for size in sizes)]
    if unfit:
        entry, shape, sizes = unfit[0]
        label = next(size for size in sizes if size != shape[:2])
        raise InputUnreadableError(
            f"{len(unfit)} of {len(entries)} labels of {reader.folder} do not fit their images: the first is"
            f" {entry.name} with {label[0]} x {label[1]} pixels, its image has {shape[0]} x {shape[1]}.",
            _AGAIN,
        )


def _is_fit(shape: ImageShape, expected: ImageShape, mixed: bool) -> bool:
    if not mixed or shape[2:] != expected[2:]:
        return shape == expected
    return shape[0] <= expected[0] and shape[1] <= expected[1]


def _text(shape: ImageShape) -> str:
    width, height, bands, dtype = shape
    return f"{width} x {height} pixels, {bands} bands of {dtype}"


def _names(folder: Path) -> set[str]:
    return set(os.listdir(folder)) if folder.is_dir() else set()
