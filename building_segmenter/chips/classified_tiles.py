"""The classified-tiles format: ArcGIS's Classified_Tiles layout, with a contact label and a manifest beside it.

    images/000000000.tif  labels/000000000.tif  contacts/000000000.tif  (a world file beside each)
    map.txt  stats.txt  esri_accumulated_stats.json  esri_model_definition.emd  dataset.json

Layout after Export Training Data For Deep Learning (pro.arcgis.com, Spatial Analyst tools); label values are 0 for
ground and the class value for buildings, and 255 for unknown pixels, which is this project's addition.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from building_segmenter.chips.chip import BUILDING, Chip
from building_segmenter.chips.statistics import ClassStatistics
from building_segmenter.rasters.writing import geotiff_writer, write_rows

IMAGES, LABELS, CONTACTS = "images", "labels", "contacts"
CLASS_NAME = "building"


def chip_name(number: int) -> str:
    """Return the name of a chip by its number: nine digits, as in ArcGIS."""
    return f"{number:09d}"


def write_chip(folder: Path, name: str, chip: Chip) -> None:
    """Write one chip's image, label and contacts as GeoTIFF with a world file each."""
    _write(folder / IMAGES / f"{name}.tif", np.moveaxis(chip.image, -1, 0), chip)
    _write(folder / LABELS / f"{name}.tif", chip.label[None], chip)
    _write(folder / CONTACTS / f"{name}.tif", chip.contact[None], chip)


def write_side_files(
    folder: Path,
    names: list[str],
    tile: int,
    bands: list[dict[str, float]],
    classes: ClassStatistics,
    gsd: tuple[float, float],
) -> None:
    """Write what ArcGIS writes beside the chips: map.txt, stats.txt, accumulated statistics and the EMD template.

    Args:
        folder: The export.
        names: Chip names in order.
        tile: Side of a chip in pixels.
        bands: min, max, mean and std of each band.
        classes: Counts over all chips.
        gsd: Width and height of a pixel in ground metres.
    """
    # Backslash, two blanks between and one at the end, as ArcGIS writes it.
    lines = [f"{IMAGES}\\{name}.tif  {LABELS}\\{name}.tif \n" for name in names]
    (folder / "map.txt").write_text("".join(lines), encoding="ascii")
    (folder / "stats.txt").write_text(_stats_text(tile, len(bands), classes), encoding="ascii")
    _write_json(folder / "esri_accumulated_stats.json", _accumulated(tile, len(bands), classes, gsd))
    _write_json(folder / "esri_model_definition.emd", _model_definition(tile, bands, gsd))


def _write(path: Path, array: NDArray[Any], chip: Chip) -> None:
    profile = {
        "count": array.shape[0],
        "height": array.shape[1],
        "width": array.shape[2],
        "dtype": array.dtype,
        "transform": chip.transform,
        "crs": chip.crs,
        "tfw": "YES",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with geotiff_writer(path, **profile) as dataset:
            write_rows(dataset, 0, array)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="ascii")


def _sizes(classes: ClassStatistics) -> tuple[float, float, float]:
    if not classes.pixels:
        return 0.0, 0.0, 0.0
    return min(classes.pixels), sum(classes.pixels) / len(classes.pixels), max(classes.pixels)


def _stats_text(tile: int, bands: int, classes: ClassStatistics) -> str:
    low, mean, high = _sizes(classes)
    images = len(classes.pixels)
    share = images / classes.chips
    fewest, most = int(images == classes.chips), int(images > 0)
    titles = ("cls value", "images", "pixels", "min size", "mean size", "max size")
    header = f"{'cls name':<20}" + "".join(f"{title:>12}" for title in titles)
    row = f"{CLASS_NAME:<20}{BUILDING:>12}{images:>12}{sum(classes.pixels):>12}{low:>12.2f}{mean:>12.2f}{high:>12.2f}"
    return (
        f"images = {classes.chips} *{bands}*{tile}*{tile}\nclasses = 1\n"
        f"classes per image = [min = {fewest}, mean = {share:.2f}, max = {most}]\n{header}\n{row}\n"
    )


def _accumulated(tile: int, bands: int, classes: ClassStatistics, gsd: tuple[float, float]) -> dict[str, Any]:
    low, mean, high = _sizes(classes)
    images, pixels = len(classes.pixels), sum(classes.pixels)
    per_image = {
        "Min": int(images == classes.chips),
        "Max": int(images > 0),
        "Mean": images / classes.chips,
        "Sum": images,
        "Count": classes.chips,
    }
    return {
        "Version": 1,
        "NumBands": bands,
        "TileSizeX": tile,
        "TileSizeY": tile,
        "NumClasses": 1,
        "NumTiles": classes.chips,
        "OutputFeatures": False,
        "MetaDataMode": "Classified_Tiles",
        "MinCellSize": {"x": gsd[0], "y": gsd[1]},
        "Classes": [{"ClassValue": BUILDING, "ClassName": CLASS_NAME}],
        "ClassPixelStats": {
            "NumClasses": 1,
            "NumImagesTotal": classes.chips,
            "NumImagesPerClass": [images],
            "NumPixelsPerClass": [pixels],
            "NumClassesPerImage": per_image,
            "PixelsPerClass": [{"Min": low, "Max": high, "Mean": mean, "Sum": pixels, "Count": images}],
        },
    }


def _model_definition(tile: int, bands: list[dict[str, float]], gsd: tuple[float, float]) -> dict[str, Any]:
    cell = {"x": gsd[0], "y": gsd[1]}
    keys = {"min": "Min", "max": "Max", "mean": "Mean", "std": "StdDev"}
    return {
        "Framework": "",
        "ModelConfiguration": "",
        "ModelFile": "",
        "ModelType": "ImageClassification",
        "ImageHeight": tile,
        "ImageWidth": tile,
        "ExtractBands": list(range(len(bands))),
        "DataRange": [min(band["min"] for band in bands), max(band["max"] for band in bands)],
        "ModelPadding": tile // 4,
        "BatchSize": 4,
        "MetaDataMode": "Classified_Tiles",
        "CropTileMode": "Fixed size",
        "BlackenAroundFeature": False,
        "IsMultidimensional": False,
        "ImageSpaceUsed": "MAP_SPACE",
        "MinCellSize": cell,
        "MaxCellSize": cell,
        "Classes": [{"Value": BUILDING, "Name": CLASS_NAME, "Color": [230, 57, 70]}],
        "InputRastersProps": {
            "RasterCount": 1,
            "SensorName": "",
            "BandNames": [f"Band_{i + 1}" for i in range(len(bands))],
        },
        "AllTilesStats": [{keys[key]: value for key, value in band.items()} for band in bands],
    }
