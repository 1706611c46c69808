"""`dataset.json`, the manifest of an export: what ArcGIS's side files do not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from building_segmenter import __version__
from building_segmenter.errors import InputNotFoundError, InputUnreadableError

MANIFEST = "dataset.json"
VERSION = 1


def write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """Write the manifest of an export; `facts` must be ready for JSON."""
    content = {"version": VERSION, "engine": __version__, **facts}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of an export.

    Raises:
        InputNotFoundError: The folder or its manifest does not exist.
        InputUnreadableError: The manifest is broken or of a later version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        missing = (
            f"The dataset {folder} does not exist."
            if not folder.is_dir()
            else f"The folder {folder} has no {MANIFEST}."
        )
        raise InputNotFoundError(missing, "Choose a folder made by Export training chips.")
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = content["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputUnreadableError(f"The manifest {path} is broken: {error}", "Export the chips again.") from error
    if version != VERSION:
        raise InputUnreadableError(
            f"The manifest {path} is of version {version}; this program reads version {VERSION}.",
            "Update Building Segmenter, or export the chips again.",
        )
    return content
