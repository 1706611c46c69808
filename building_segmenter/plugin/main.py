"""The plugin object that QGIS makes, with its window or without."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsApplication

from building_segmenter.plugin import icons, settings
from building_segmenter.plugin.provider import BuildingSegmenterProvider


class BuildingSegmenterPlugin:
    """Adds the provider, and in QGIS's window the setting.

    Args:
        iface: QGIS's window, or None in `qgis_process`.
    """

    def __init__(self, iface: Any) -> None:
        self._iface = iface
        self._provider = None

    def initProcessing(self) -> None:
        """Add the provider; all that `qgis_process` calls."""
        self._provider = BuildingSegmenterProvider()
        QgsApplication.processingRegistry().addProvider(self._provider)

    def initGui(self) -> None:
        """Add the provider and the setting."""
        settings.register(icons.icon())
        self.initProcessing()

    def unload(self) -> None:
        """Take away what was added."""
        if self._provider is not None:
            QgsApplication.processingRegistry().removeProvider(self._provider)
            self._provider = None
        if self._iface is not None:
            settings.unregister()
