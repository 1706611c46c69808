"""Traced features on their way into a layer: frames as batches with Arrow columns."""

from __future__ import annotations

from collections.abc import Iterable

import geopandas
import numpy as np
import pyarrow as pa
from pyproj.crs import CRS
from rasterio.io import DatasetReader

from building_segmenter.geo.vectors import Batch, LayerSchema

_TYPES = {
    "class": pa.int32(),
    "class_name": pa.string(),
    "vertices": pa.int32(),
    "status": pa.int32(),
    "reason": pa.string(),
    "method": pa.string(),
}


def schema_of(fields: Iterable[str], dataset: DatasetReader) -> LayerSchema:
    """Return what a layer of polygons is like that were traced in a raster.

    Args:
        fields: Names of fields of ours, in order.
        dataset: The raster, whose CRS the layer has.
    """
    schema = pa.schema([pa.field(name, _TYPES.get(name, pa.float64())) for name in fields])
    return LayerSchema(schema, None if dataset.crs is None else _told(CRS.from_user_input(dataset.crs)))


def batch_of(frame: geopandas.GeoDataFrame, schema: LayerSchema) -> Batch:
    """Return the features of a frame that has the fields of a schema; the index is not kept."""
    columns = [pa.array(frame[field.name].to_numpy(), field.type, from_pandas=True) for field in schema.fields]
    fields = pa.record_batch(columns, schema.fields)
    return Batch(np.asarray(frame.geometry.to_numpy(), object), fields)


def _told(crs: CRS) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else crs.to_wkt()
