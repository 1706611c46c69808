"""What tests of exporting share: truth drawn by other means, and chips read as they are on disk."""

import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.features import rasterize

from building_segmenter import tasks
from building_segmenter.chips.dataset import open_dataset
from building_segmenter.chips.export import export_chips
from building_segmenter.progress import Progress


def exported(folder, image, footprints, progress=None, **options):
    """Export to a folder and open the result; returns it and what was told."""
    facts = {"tile_size": 96, "validation": 0.0} | options
    progress = progress or Progress()
    export_chips(tasks.ExportChips(input=image, footprints=footprints, output=str(folder), **facts), progress)
    return open_dataset(folder), progress.sink


def files(dataset, part, ending="tif"):
    return [dataset.folder / part / f"{chip.name}.{ending}" for chip in dataset.chips]


def read(path):
    with rasterio.open(path) as file:
        return file.read(), file.transform, file.crs


def truth_of(path, roofs, to_crs, values=None):
    """Rasterize roofs (in the pixels of the whole image) through the georeference of one chip alone."""
    array, transform, _ = read(path)
    to_chip = ~transform @ to_crs
    moved = [shapely.transform(roof, lambda x, y: to_chip @ (x, y), interleaved=False) for roof in roofs]
    values = values or [1] * len(roofs)
    return rasterize(zip(moved, values, strict=True), array.shape[1:], transform=Affine.identity(), dtype=np.int32)


def differing(label, truth, known=None):
    """Share of known pixels whose label is not the truth."""
    known = label != 255 if known is None else known
    return float((label != truth)[known].mean()) if known.any() else 0.0
