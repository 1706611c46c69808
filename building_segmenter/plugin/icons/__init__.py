"""The plugin's icon."""

from __future__ import annotations

from pathlib import Path

from qgis.PyQt.QtGui import QIcon

PATH = str(Path(__file__).with_name("building_segmenter.svg"))


def icon() -> QIcon:
    """Return the plugin's icon."""
    return QIcon(PATH)
