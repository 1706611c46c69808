"""The QGIS half: parameters, layers, progress, cancel, styles and help. Standard library and `qgis` only."""
