"""Drawn probability rasters with a perfect band of contacts."""

import numpy as np
import rasterio
import shapely
from rasterio.features import rasterize
from rasterio.transform import from_origin

from building_segmenter.chips.contacts import Contacts

PIXEL = 0.15
EAST, NORTH = 740_000.0, 3_732_000.0


def drawn(buildings, shape):
    """Return planes (2, height, width) 0..1 of building and contact for outlines in pixels that may touch."""
    buildings = np.asarray(buildings, object)
    contacts = Contacts(buildings, (PIXEL, PIXEL))
    reach = contacts.reach
    around = (shape[0] + 2 * reach, shape[1] + 2 * reach)
    moved = shapely.transform(buildings, lambda points: points + reach)
    ids = rasterize([(one, k) for k, one in enumerate(moved, start=1)], around, dtype="int32")
    core = ids[reach:-reach, reach:-reach]
    return np.stack([core > 0, contacts.mark(ids)]).astype(np.float32)


def softened(planes, sigma=1.0):
    """Return planes as a network sees them: blurred."""
    from scipy.ndimage import gaussian_filter

    return np.stack([gaussian_filter(plane, sigma) for plane in planes]).astype(np.float32)


def write_planes(path, planes, names=("building", "contact"), crs="EPSG:32616", transform=None, valid=None, **profile):
    """Write planes 0..1 as the rasters of `segment` are: uint8 with scale 1/254, nodata 255."""
    stored = np.clip(np.rint(np.asarray(planes) * 254), 0, 254).astype(np.uint8)
    if valid is not None:
        stored[:, ~valid] = 255
    profile |= {"count": len(stored), "height": stored.shape[1], "width": stored.shape[2], "dtype": "uint8"}
    profile |= {"crs": crs, "transform": transform or from_origin(EAST, NORTH, PIXEL, PIXEL), "nodata": 255}
    with rasterio.open(path, "w", driver="GTiff", **profile) as dataset:
        dataset.write(stored)
        dataset.scales = (1 / 254,) * len(stored)
        for band, name in enumerate(names, start=1):
            dataset.set_band_description(band, f"Probability of {name}")
    return str(path)


def in_pixels(layer, transform=None):
    """Return polygons of a layer in pixels of the raster."""
    back = ~(transform or from_origin(EAST, NORTH, PIXEL, PIXEL))
    return shapely.transform(layer.geometry.to_numpy(), lambda x, y: back @ (x, y), interleaved=False)
