"""Building Segmenter: from an aerial image to clean building footprints, in QGIS and without it.

This file is read by two programs that never share a process: QGIS, which loads the plugin half through
`classFactory`, and the engine's own Python environment. It therefore imports nothing at module level.
"""

__version__ = "0.1.0"


def classFactory(iface):  # noqa: N802, ANN001, ANN201 - the name and signature are QGIS's
    """Return the plugin object that QGIS asks for when it loads this folder."""
    from building_segmenter.plugin.main import BuildingSegmenterPlugin

    return BuildingSegmenterPlugin(iface)
