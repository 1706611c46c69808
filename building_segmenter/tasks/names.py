"""Words that several tasks use."""

from __future__ import annotations

LAYER_MARK = "|layername="
"""Between the path of a file with several layers and the name of one."""

SHIPPED_MODEL = "shipped"
"""In place of a path: the model that comes with the plugin."""

VECTOR_SUFFIXES = (".gpkg", ".geojson", ".fgb", ".shp", ".parquet")

REGULARIZE_METHODS = ("right-angles", "right-angles-and-diagonals", "any-angle", "circle", "auto")
