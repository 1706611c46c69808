"""Which images the user means: one, or the many of a folder, a pattern, or a list of files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError

from building_segmenter.errors import InputNotFoundError, InputUnreadableError, NoDataError

IMAGE_SUFFIXES = (".tif", ".tiff", ".jp2", ".img", ".png", ".jpg", ".jpeg", ".sid", ".ecw")
"""Endings of what is taken from a folder. VRTs are not: they mostly show the files that lie beside them."""

LIST_SUFFIX = ".txt"
_NOT_A_FILE = ("/vsi", "http:", "https:", "<")


def names_many(source: str) -> bool:
    """Tell whether a name stands for images in the plural: a folder, a pattern, or a list of files.

    A folder that GDAL opens as one raster, as of ArcInfo or Zarr, is one image; so is a file with `*`, `?` or `[` in
    its name.
    """
    if source.lstrip().lower().startswith(_NOT_A_FILE) or os.path.isfile(source):
        return source.lower().endswith(LIST_SUFFIX) and os.path.isfile(source)
    if os.path.isdir(source):
        return not _is_raster(source)
    return glob.has_magic(source)


def images_in(sources: Iterable[str]) -> list[str]:
    """Return the images that names stand for, each once: in the order of the names, within each by file name.

    Folders give the images directly in them by ending (`IMAGE_SUFFIXES`); patterns (`*`, `?`, `[...]`, and `**` for
    any depth) what matches, of these endings unless the pattern has an ending of its own. A list of files (.txt) has
    one name a line, relative to its own folder; empty lines and those that begin with # are passed over. Whether a
    listed image exists is not checked.

    Raises:
        InputNotFoundError: A pattern matches nothing.
        NoDataError: A folder or a list names no image.
        InputUnreadableError: A list is not text.
    """
    images: dict[str, str] = {}
    for source in sources:
        for image in _expanded(source) if names_many(source) else [source]:
            images.setdefault(os.path.normcase(os.path.abspath(image)) if is_local(image) else image, image)
    return list(images.values())


def _expanded(source: str) -> list[str]:
    if os.path.isdir(source):
        found = _with_endings(path for path in Path(source).iterdir())
        if not found:
            raise NoDataError(
                f"The folder {source} holds no image ({', '.join(IMAGE_SUFFIXES)}).",
                "Images in folders below it are not searched: name them by a pattern, as FOLDER/**/*.tif.",
            )
        return found
    return _listed(Path(source)) if os.path.isfile(source) else _matching(source)


def _with_endings(paths: Iterable[Path]) -> list[str]:
    # Names that begin with a dot are scratch of ours or of others.
    return sorted(str(p) for p in paths if p.suffix.lower() in IMAGE_SUFFIXES and p.name[0] != "." and p.is_file())


def _matching(pattern: str) -> list[str]:
    paths = [Path(name) for name in glob.glob(pattern, recursive=True)]
    ending = Path(pattern).suffix
    has_ending = ending and not glob.has_magic(ending)
    found = sorted(str(path) for path in paths if path.is_file()) if has_ending else _with_endings(paths)
    if not found:
        raise InputNotFoundError(
            f"No image matches {pattern}.", "Check the path; put the pattern in quotes, so that the shell leaves it."
        )
    return found


def _listed(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        raise InputUnreadableError(
            f"The list of images {path} cannot be read: {error}.", "Save it as plain text in UTF-8, one path a line."
        ) from error
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise NoDataError(f"The list {path} names no image.", "Write one path a line.")
    return [str(path.parent / name) if is_local(name) else name for name in names]


def is_local(name: str) -> bool:
    """Tell whether a name can be a path of this machine, and not one that only GDAL understands."""
    return os.path.exists(name) or (":" not in name[2:] and not name.lstrip().lower().startswith(_NOT_A_FILE))


def _is_raster(folder: str) -> bool:
    try:
        with rasterio.open(folder):
            return True
    except RasterioError:
        return False
