"""Models run as a user runs them, and what comes out laid beside the labels."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling

from building_segmenter import engine, tasks
from building_segmenter.assessment.objects import ObjectAccuracy, object_accuracy
from building_segmenter.geo.ground import ground_pixel
from building_segmenter.geo.unions import union_of
from building_segmenter.geo.vectors import read_polygons
from building_segmenter.progress import Progress, SilentSink
from demo.accuracy import covered
from tools.default_model.blocks import Place
from tools.default_model.cells import CellCounts, Mask, count_cells

MIN_AREA_M2 = 20.0


@dataclass(frozen=True)
class Segmented:
    """A probability raster and the threshold of the model that it comes from."""

    raster: Path
    threshold: float

    def masks(self) -> tuple[Mask, Mask]:
        """Return where buildings are predicted, and where anything is (height, width)."""
        with rasterio.open(self.raster) as source:
            stored, scale, nodata = source.read(1), source.scales[0], source.nodata
        return stored * scale >= self.threshold, stored != nodata


def segmented(image: Path, model: Path, raster: Path, precision: str = "auto") -> Segmented:
    """Run *Segment raster* with nothing but its defaults.

    Args:
        image: Raster of any ground pixel.
        model: Model file.
        raster: Probability raster to write.
        precision: Arithmetic of the network: auto, f32 or bf16.

    Raises:
        InvalidParameterError: The processor has no bf16 arithmetic and `precision` asks for it.
    """
    done = _run(
        tasks.SegmentRaster(input=str(image), output=str(raster), model=str(model), inference_precision=precision)
    )
    return Segmented(raster, float(done["threshold"]))


def compared(prediction: Segmented, place: Place) -> CellCounts:
    """Lay a prediction beside the labels, by cells of ground; pixels without data or labels do not count."""
    found, known = prediction.masks()
    with rasterio.open(prediction.raster) as source:
        transform, pixel = source.transform, pixel_of(source)
        true = covered(read_polygons(str(place.labels), "labels").to_crs(source.crs), found.shape, transform)
        if place.area:
            known &= covered(read_polygons(str(place.area), "area").to_crs(source.crs), found.shape, transform)
    return count_cells(found, true, known, pixel)


def objects(place: Place, model: Path, footprints: Path, split: bool) -> ObjectAccuracy:
    """Run *Extract buildings* with its defaults and lay its footprints beside the labels, building by building.

    Args:
        place: Where.
        model: Model file.
        footprints: Polygon layer to write.
        split: Whether buildings that touch are parted.
    """
    _run(tasks.ExtractBuildings(input=str(place.image), output=str(footprints), model=str(model), split=split))
    with rasterio.open(place.image) as source:
        crs, view = source.crs, shapely.box(*source.bounds)
    if place.area:
        labelled = read_polygons(str(place.area), "area").to_crs(crs)
        view = view.intersection(union_of(labelled.geometry.to_numpy()))
    found = read_polygons(str(footprints), "footprints").to_crs(crs)
    return object_accuracy(found, read_polygons(str(place.labels), "labels"), view, MIN_AREA_M2)


def resampled(image: Path, gsd: float, output: Path) -> Path:
    """Write an image at a coarser ground pixel, each pixel the mean of those that it covers.

    Args:
        image: North-up raster of red, green, blue and perhaps alpha, 8 bits.
        gsd: Ground pixel in metres; it is met to half a pixel over the width and height of the image.
        output: GeoTIFF to write.
    """
    with rasterio.open(image) as source:
        width, height = (
            round(count * side / gsd)
            for count, side in zip((source.width, source.height), pixel_of(source), strict=True)
        )
        values = source.read(out_shape=(source.count, height, width), resampling=Resampling.average)
        transform = source.transform @ rasterio.Affine.scale(source.width / width, source.height / height)
        colours, crs = source.colorinterp, source.crs
    if ColorInterp.alpha in colours:  # pixels half transparent are the original's edge; a raster has it or has not
        alpha = colours.index(ColorInterp.alpha)
        values[alpha] = np.where(values[alpha] >= 128, 255, 0)
    profile = {"width": width, "height": height, "count": len(values), "dtype": values.dtype, "photometric": "RGB"}
    with rasterio.open(output, "w", driver="GTiff", crs=crs, transform=transform, **profile) as target:
        target.colorinterp = colours  # before the pixels: the file's header is fixed with them
        target.write(values)
    return output


def pixel_of(source: rasterio.DatasetReader) -> tuple[float, float]:
    """Return the width and height of a north-up raster's pixel in ground metres."""
    step = source.transform
    return ground_pixel(source.crs, (step.a, step.d), (step.b, step.e), tuple(source.bounds))


def agreement(one: Segmented, other: Segmented) -> float:
    """Return the IoU of the masks of two predictions on the same pixels."""
    masks: list[NDArray[np.bool_]] = [found & known for found, known in (one.masks(), other.masks())]
    either = int(np.count_nonzero(masks[0] | masks[1]))
    return int(np.count_nonzero(masks[0] & masks[1])) / either if either else 1.0


def _run(options: tasks.Task) -> dict[str, Any]:
    sink = SilentSink()
    done = engine.run(options, Progress(sink))
    for warning in sink.warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    return done
