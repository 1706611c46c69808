"""The Processing provider."""

from __future__ import annotations

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from building_segmenter import __version__
from building_segmenter.plugin import icons
from building_segmenter.plugin.algorithms import ALGORITHMS
from building_segmenter.plugin.outputs import vector_suffixes


class BuildingSegmenterProvider(QgsProcessingProvider):
    """Offers the tools in the Toolbox, the model designer and `qgis_process`."""

    def id(self) -> str:
        """Return the provider's id, the first part of its algorithms' ids."""
        return "building_segmenter"

    def name(self) -> str:
        """Return the name shown in the Toolbox."""
        return "Building Segmenter"

    def longName(self) -> str:
        """Return the name with the version."""
        return f"Building Segmenter ({__version__})"

    def versionInfo(self) -> str:
        """Return the version."""
        return __version__

    def icon(self) -> QIcon:
        """Return the icon."""
        return icons.icon()

    def svgIconPath(self) -> str:
        """Return the path of the icon."""
        return icons.PATH

    def loadAlgorithms(self) -> None:
        """Add the algorithms."""
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm())

    def supportsNonFileBasedOutput(self) -> bool:
        """Tell that outputs are files: another process writes them."""
        return False

    def defaultVectorFileExtension(self, hasGeometry: bool = True) -> str:
        """Return the ending of a vector output without one."""
        return "gpkg"

    def supportedOutputVectorLayerExtensions(self) -> list:
        """Return the endings of vector outputs."""
        return [suffix[1:] for suffix in vector_suffixes()]

    def defaultRasterFileExtension(self) -> str:
        """Return the ending of a raster output without one."""
        return "tif"

    def supportedOutputRasterLayerExtensions(self) -> list:
        """Return the endings of raster outputs."""
        return ["tif"]
