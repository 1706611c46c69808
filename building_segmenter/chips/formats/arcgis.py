"""The files that ArcGIS writes beside its chips: `map.txt`, `stats.txt`, accumulated statistics and the EMD template.

After Export Training Data For Deep Learning (pro.arcgis.com, Spatial Analyst tools) and published exports. A folder
with all of them opens in ArcGIS as its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from building_segmenter.chips.chip import BOUNDING_BOX, ChipClass, ExportFacts, WrittenChip
from building_segmenter.chips.formats.files import write_esri_json, write_text
from building_segmenter.chips.statistics import BandFigures, ClassFigures, ExportStatistics, Spread

MAP, STATS = "map.txt", "stats.txt"
ACCUMULATED, DEFINITION = "esri_accumulated_stats.json", "esri_model_definition.emd"
WELL_KNOWN = "WellKnownBandNames (FYI, these band names can be used in ExtractBands)"
"""A key of the EMD that arcgis.learn asks for when it looks at band names."""

MODES = {
    "classified-tiles": "Classified_Tiles",
    "rcnn-masks": "RCNN_Masks",
    "pascal-voc": "PASCAL_VOC_rectangles",
    "kitti": "KITTI_rectangles",
    "labeled-tiles": "Labeled_Tiles",
    "export-tiles": "Export_Tiles",
}
"""MetaDataMode of each of ArcGIS' formats."""

UNKNOWN_CLASS = "unknown"
"""Name of the class that unknown pixels are to ArcGIS, with the value that they have here."""

_BAND_NAMES = (
    "Red Green Blue Infrared CoastalBlue Yellow RedEdge ShortWaveInfrared NearInfrared NearInfrared_1 NearInfrared_2"
    " MidInfrared MidInfrared_1 MidInfrared_2 Thermal Thermal_1 Thermal_2 Panchromatic PseudoRed PseudoGreen"
    " PseudoBlue QA"
).split()
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}


def class_folders(classes: Sequence[ChipClass]) -> dict[int, str]:
    """Return the name of each class by value, fit for a folder on every system and for `map.txt`.

    ArcGIS names the folders of classes as the EMD does, and splits `map.txt` at blanks.
    """
    names: dict[int, str] = {}
    for one in classes:
        name = re.sub(r'[\s<>:"/\\|?*\x00-\x1f]+', "_", one.name.strip()).strip(".") or str(one.value)
        if name.lower() in _RESERVED or name.lower() in (other.lower() for other in names.values()):
            name = f"{name}_{one.value}"
        names[one.value] = name
    return names


def write_side_files(
    folder: Path, facts: ExportFacts, entries: Sequence[WrittenChip], statistics: ExportStatistics
) -> None:
    """Write the four files.

    Args:
        folder: The export.
        facts: Of the export; its format is one of `MODES`.
        entries: All chips; each record's `files` are the paths of its image, second image and labels.
        statistics: Of all chips.
    """
    by_pixel = facts.format == "classified-tiles"
    classes = listed_classes(facts, statistics)
    write_text(folder / MAP, "".join(map_line(entry.record["files"]) for entry in entries))
    write_text(folder / STATS, _stats_text(facts, classes, statistics, by_pixel))
    write_esri_json(folder / ACCUMULATED, _accumulated(facts, classes, statistics, by_pixel))
    write_esri_json(folder / DEFINITION, _definition(facts, classes, statistics))


def map_line(files: Sequence[str]) -> str:
    """Return a line of `map.txt`: backslashes, two blanks between paths and one at the end.

    A second image stands behind the first with one blank between, as published exports have it.
    """
    image, *others = (path.replace("/", "\\") for path in files)
    seconds = "".join(f" {path}" for path in others if path.startswith("images2\\"))
    labels = "".join(f"  {path}" for path in others if not path.startswith("images2\\"))
    return f"{image}{seconds}{labels} \n"


def listed_classes(
    facts: ExportFacts, statistics: ExportStatistics
) -> list[tuple[str, tuple[int, int, int], ClassFigures]]:
    """Return name, colour and figures of each class, and of unknown pixels where a class raster has any.

    ArcGIS has no notion of unknown pixels. Named as a class they can be left out of training there (its argument
    IGNORE_CLASSES); unnamed, they stop it.
    """
    names = class_folders(facts.classes)
    classes = [
        (names[one.value], one.color, figures) for one, figures in zip(facts.classes, statistics.classes, strict=True)
    ]
    if facts.format == "classified-tiles" and statistics.unknown.images:
        classes.append((UNKNOWN_CLASS, (128, 128, 128), statistics.unknown))
    return classes


def _stats_text(facts: ExportFacts, classes: Sequence[Any], statistics: ExportStatistics, by_pixel: bool) -> str:
    width, height = facts.tile_size
    first = f"images = {statistics.chips} *{facts.image.bands}*{width}*{height}\n"
    count = f"classes = {len(classes)}\n"
    if by_pixel:
        head = count + _per_image("classes", statistics.classes_per_image)
        titles = "cls name              cls value     images   pixels      min size   mean size    max size\n"
    else:
        spread = statistics.features_per_image
        head = f"features = {spread.total}\n{_per_image('features', spread)}{count}"
        titles = "cls name              cls value     images   features    min size   mean size    max size\n"
    return first + head + titles + "".join(_stats_row(name, one, by_pixel) for name, _, one in classes)


def _per_image(what: str, spread: Spread) -> str:
    return f"{what} per image = [min = {spread.low}, mean = {spread.mean:.2f}, max = {spread.high}]\n"


def _stats_row(name: str, one: ClassFigures, by_pixel: bool) -> str:
    images, total, sizes = (
        (one.images, one.pixels.total, one.pixels) if by_pixel else (one.feature_images, one.areas.count, one.areas)
    )
    spread = f"{sizes.low:>12.2f}{sizes.mean:>12.2f}{sizes.high:>12.2f}"
    return f"{name:<20}{one.value:>11}{images:>11}{total:>11}{spread}\n"


def _accumulated(
    facts: ExportFacts, classes: Sequence[Any], statistics: ExportStatistics, by_pixel: bool
) -> dict[str, Any]:
    stats = (
        {"ClassPixelStats": _pixel_stats(statistics, classes)}
        if by_pixel
        else {"FeatureStats": _feature_stats(statistics, classes)}
    )
    return {
        "Version": 1,
        "NumBands": facts.image.bands,
        "TileSizeX": facts.tile_size[0],
        "TileSizeY": facts.tile_size[1],
        "NumClasses": len(classes),
        "NumTiles": statistics.chips,
        "OutputFeatures": not by_pixel,
        "MetaDataMode": MODES[facts.format],
        **_cell_sizes(facts, statistics),
        "Classes": [{"ClassValue": one.value, "ClassName": name, "Color": list(color)} for name, color, one in classes],
        **stats,
        **_raster_props(facts),
        "BandStatsState": [_band_state(band, statistics.known_pixels) for band in statistics.bands],
    }


def _pixel_stats(statistics: ExportStatistics, classes: Sequence[Any]) -> dict[str, Any]:
    return {
        "NumClasses": len(classes),
        "NumImagesTotal": statistics.chips,
        "NumImagesPerClass": [one.images for *_, one in classes],
        "NumPixelsPerClass": [one.pixels.total for *_, one in classes],
        "NumClassesPerImage": _esri(statistics.classes_per_image),
        "PixelsPerClass": [_esri(one.pixels) for *_, one in classes],
    }


def _feature_stats(statistics: ExportStatistics, classes: Sequence[Any]) -> dict[str, Any]:
    return {
        "NumClasses": len(classes),
        "NumImagesTotal": statistics.chips,
        "NumFeaturesTotal": statistics.features_per_image.total,
        "NumImagesPerClass": [one.feature_images for *_, one in classes],
        "NumFeaturesPerClass": [one.areas.count for *_, one in classes],
        "NumFeaturesPerImage": _esri(statistics.features_per_image),
        "FeatureAreaPerClass": [_esri(one.areas) for *_, one in classes],
    }


def _esri(spread: Spread) -> dict[str, float]:
    return {
        "Min": spread.low,
        "Max": spread.high,
        "Mean": spread.mean,
        "Sum": spread.total,
        "Count": spread.count,
    }


def _band_state(band: BandFigures, pixels: int) -> dict[str, float]:
    # M1 is the mean and M2 the sum of squared deviations; ArcGIS leaves Mean and StdDev at 0 here.
    moments = {"M1": band["mean"], "M2": band["std"] ** 2 * pixels, "Num": pixels}
    return {"Min": band["min"], "Max": band["max"], "Mean": 0, "StdDev": 0, **moments}


def _definition(facts: ExportFacts, classes: Sequence[Any], statistics: ExportStatistics) -> dict[str, Any]:
    width, height = facts.tile_size
    seconds = {} if facts.image2 is None else {"AllTilesStats2": _tile_stats(statistics.bands2)}
    return {
        "Framework": "e.g. TensorFlow or PyTorch",
        "ModelConfiguration": "e.g. UNet or FasterRCNN",
        "ModelType": "e.g. ObjectDetection or ImageClassification",
        "ModelFile": "e.g. ./trained.model",
        "ImageHeight": height,
        "ImageWidth": width,
        "ExtractBands": list(range(facts.image.bands)),
        "DataRange": "e.g. [0.1, 1.0] (optional)",
        "ModelPadding": "e.g. 64 (optional)",
        "BatchSize": "e.g. 8 (optional)",
        "MetaDataMode": MODES[facts.format],
        "BlackenAroundFeature": bool(facts.choices.get("blacken_around")),
        "IsMultidimensional": False,
        "CropTileMode": "Bounding_Box" if facts.choices.get("crop_mode") == BOUNDING_BOX else "Fixed_Size",
        "ImageSpaceUsed": "MAP_SPACE",
        **_cell_sizes(facts, statistics),
        "Classes": [{"Value": one.value, "Name": name, "Color": list(color)} for name, color, one in classes],
        **_raster_props(facts),
        "AllTilesStats": _tile_stats(statistics.bands),
        **seconds,
        WELL_KNOWN: _BAND_NAMES,
    }


def _tile_stats(bands: Sequence[BandFigures]) -> list[dict[str, Any]]:
    return [{"Min": band["min"], "Max": band["max"], "Mean": band["mean"], "StdDev": band["std"]} for band in bands]


def _cell_sizes(facts: ExportFacts, statistics: ExportStatistics) -> dict[str, Any]:
    reference = _spatial_reference(facts.crs)
    smallest, largest = ({"x": x, "y": y} | reference for x, y in statistics.cell)
    return {"MinCellSize": smallest, "MaxCellSize": largest}


def _spatial_reference(crs: Any) -> dict[str, Any]:
    if crs is None:
        return {}
    code = crs.to_epsg()
    return {"spatialReference": {"wkt": crs.to_wkt()} if code is None else {"wkid": code, "latestWkid": code}}


def _raster_props(facts: ExportFacts) -> dict[str, Any]:
    props = {"InputRastersProps": facts.image, "InputRastersProps2": facts.image2}
    return {
        key: {"RasterCount": 1, "SensorName": "", "BandNames": list(image.band_names)}
        for key, image in props.items()
        if image is not None
    }
