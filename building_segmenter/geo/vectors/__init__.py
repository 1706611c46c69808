"""Reading and writing polygon layers in any OGR format and in GeoParquet.

Rooms: `formats` (what can be read and written), `whole` (layers in memory), `reading` and `writing` (layers of any
size in batches), `parquet`, and below them `batches`, `columns`, `wkb`.
"""

from building_segmenter.geo.vectors.ahead import ahead
from building_segmenter.geo.vectors.batches import Batch, joined
from building_segmenter.geo.vectors.formats import driver_of
from building_segmenter.geo.vectors.reading import FEATURES, PolygonLayer, Survey, open_polygons
from building_segmenter.geo.vectors.whole import check_vector_output, read_lines, read_polygons, write_polygons
from building_segmenter.geo.vectors.writing import LayerSchema, free_name, write_batches

__all__ = [
    "FEATURES",
    "Batch",
    "LayerSchema",
    "PolygonLayer",
    "Survey",
    "ahead",
    "check_vector_output",
    "driver_of",
    "free_name",
    "joined",
    "open_polygons",
    "read_lines",
    "read_polygons",
    "write_batches",
    "write_polygons",
]
