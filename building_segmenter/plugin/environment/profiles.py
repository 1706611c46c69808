"""What an environment holds: the locked requirements of a profile, and the modules that must import."""

from __future__ import annotations

import re
from pathlib import Path

from building_segmenter.errors import InputNotFoundError, InvalidParameterError

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"

_PREDICT = (
    "numpy",
    "scipy",
    "pyproj",
    "shapely",
    "rasterio",
    "pyogrio",
    "pyarrow",
    "geopandas",
    "skimage",
    "numba",
    "openvino",
    "onnx",
    "keras",
    "click",
    "rich",
)
MODULES = {"predict": _PREDICT, "train": (*_PREDICT, "tensorflow")}
"""Profile -> the modules that the engine imports with it."""

PROFILES = tuple(MODULES)


def requirements_of(profile: str) -> Path:
    """Return the file of locked and hashed requirements of a profile.

    Raises:
        InvalidParameterError: There is no such profile.
        InputNotFoundError: The file is not where it belongs.
    """
    if profile not in MODULES:
        raise InvalidParameterError(f"PROFILE is {profile!r}.", f"It must be one of {', '.join(PROFILES)}.")
    path = REQUIREMENTS / f"{profile}.txt"
    if not path.is_file():
        raise InputNotFoundError(f"The list of packages {path} is missing.", "Install the plugin again.")
    return path


def count_of(requirements: Path) -> int:
    """Return how many packages a file of requirements names."""
    lines = requirements.read_text(encoding="utf-8").splitlines()
    return sum(bool(re.match(r"[A-Za-z0-9][\w.\-]*(\[[^]]*\])?\s*==", line)) for line in lines)
