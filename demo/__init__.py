"""The demonstration: a drawn scene with exact truth, the tools run on it through QGIS, a map and an accuracy report."""
