"""Cutting training chips."""

from __future__ import annotations

from dataclasses import dataclass

from building_segmenter.errors import InvalidParameterError
from building_segmenter.options import Task, option, required


@dataclass(frozen=True)
class ExportChips(Task):
    """Cut an image and its building footprints into training chips."""

    input: str = required("raster", "Image", "Raster to cut chips from: any raster that GDAL opens, with a CRS.")
    footprints: str = required(
        "features", "Building footprints", "Polygons of the buildings in the image, in any CRS; or points, with Buffer."
    )
    output: str = required(
        "folder-output", "Folder of chips", "New or empty folder, or an earlier export, which is then replaced."
    )
    format: str = option(
        "classified-tiles",
        "choice",
        "Format",
        "Layout of the folder. classified-tiles, rcnn-masks, pascal-voc, kitti, labeled-tiles and export-tiles are"
        " those of ArcGIS; coco, yolo and hdf5 those of other tools. labeled-tiles cuts one chip about each building.",
        choices=(
            "classified-tiles",
            "rcnn-masks",
            "coco",
            "pascal-voc",
            "kitti",
            "yolo",
            "labeled-tiles",
            "export-tiles",
            "hdf5",
        ),
    )
    image_format: str = option(
        "tiff",
        "choice",
        "Image format",
        "tiff keeps any bands, type and georeference; png and jpeg hold 1 or 3 bands of bytes, jpeg with losses.",
        choices=("tiff", "png", "jpeg"),
    )
    segmentation: str = option(
        "polygons",
        "choice",
        "Segmentation",
        "How coco writes objects: as polygons, those with holes as run lengths; or all as run lengths, which are exact"
        " to the pixel.",
        choices=("polygons", "run-lengths"),
        advanced=True,
    )
    blacken_around: bool = option(
        False,
        "flag",
        "Blacken around buildings",
        "labeled-tiles only: set all pixels of a chip but those of the building that it is cut for to 0.",
        advanced=True,
    )
    crop_mode: str = option(
        "fixed-size",
        "choice",
        "Crop mode",
        "labeled-tiles only. fixed-size: chips of the chip size with the building in the middle. bounding-box: each"
        " chip is cut to the bounds of its building, so chips differ in size; none is larger than the chip size.",
        choices=("fixed-size", "bounding-box"),
        advanced=True,
    )
    class_field: str | None = option(
        None,
        "field",
        "Class field",
        "Field of the footprints with their class: whole numbers, kept as they are, or texts, numbered in alphabetical"
        " order. Pixels of footprints without class are ignored in training. Empty: all are of the class building, 1.",
    )
    tile_size: int = option(
        512, "integer", "Chip size", "Width and height of a chip in pixels.", minimum=32, maximum=4096, unit="px"
    )
    tile_size_y: int | None = option(
        None,
        "integer",
        "Chip height",
        "Height of a chip in pixels where it differs from its width.",
        minimum=32,
        maximum=4096,
        unit="px",
        advanced=True,
    )
    stride: int | None = option(
        None,
        "integer",
        "Stride",
        "Pixels from one chip to the next. Empty: the chip size, so that chips do not overlap.",
        minimum=1,
        maximum=4096,
        unit="px",
    )
    stride_y: int | None = option(
        None,
        "integer",
        "Stride down",
        "Pixels from one row of chips to the next where they differ from those across.",
        minimum=1,
        maximum=4096,
        unit="px",
        advanced=True,
    )
    rotation: float = option(
        0.0,
        "number",
        "Rotation",
        "Cut the whole set of chips again for every such step of degrees until a full turn; 90 makes four sets. 0: one"
        " set.",
        minimum=0.0,
        maximum=359.0,
        unit="degrees",
    )
    gsd: float | None = option(
        None,
        "distance",
        "Ground pixel",
        "Resample the image to about this ground pixel in metres (to a whole number of image pixels where one is"
        " near). Empty: the image's own pixel.",
        minimum=0.005,
        maximum=100.0,
        unit="m",
    )
    bands: tuple[int, ...] | None = option(
        None, "bands", "Bands", "Bands to export, in this order. Empty: all but an alpha band."
    )
    input2: str | None = option(
        None,
        "raster",
        "Second image",
        "Raster of the same ground at another time or of another kind, in any CRS; each chip gets a second image of it"
        " (classified-tiles and export-tiles).",
        advanced=True,
    )
    buffer: float | None = option(
        None,
        "distance",
        "Buffer",
        "For points as footprints: radius in metres on the ground of the circle that stands for each.",
        minimum=0.01,
        maximum=1000.0,
        unit="m",
        advanced=True,
    )
    area: str | None = option(
        None,
        "polygons",
        "Labelled area",
        "Polygons inside which every building is drawn. Pixels outside are labelled 255 and ignored in training;"
        " chips wholly outside are left out. Empty: the whole image.",
    )
    area_rule: str = option(
        "ignore-outside",
        "choice",
        "Area rule",
        "ignore-outside: chips may reach beyond the labelled area, where they are ignored. chips-inside: only chips"
        " wholly inside it are cut, as ArcGIS does.",
        choices=("ignore-outside", "chips-inside"),
        advanced=True,
    )
    extent: tuple[float, ...] | None = option(
        None,
        "extent",
        "Extent",
        "Cut chips inside this part of the image only; the first begins in its upper left corner.",
        advanced=True,
    )
    skip_empty: bool = option(
        False,
        "flag",
        "Leave out chips without buildings",
        "A model that never sees empty ground finds buildings everywhere, so empty chips are kept by default.",
    )
    negative_ratio: float | None = option(
        None,
        "fraction",
        "Chips without buildings",
        "How many chips without buildings to keep for each chip with some, spread over the ground. Empty: all.",
        minimum=0.0,
        maximum=1.0,
    )
    min_overlap: float = option(
        0.0,
        "fraction",
        "Minimum overlap",
        "Share of a footprint that must lie on a chip to be an object of it. Pixels of a footprint with less are"
        " ignored in training: they are neither object nor ground.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    )
    validation: float = option(
        0.15,
        "fraction",
        "Validation share",
        "Share of the ground kept for validation, in whole spatial blocks: no validation chip overlaps a training"
        " chip. 0: none, 1: all.",
        minimum=0.0,
        maximum=1.0,
    )
    seed: int = option(
        1, "integer", "Seed", "Chooses the validation blocks and the chips without buildings.", minimum=0, advanced=True
    )
    resume: bool = option(
        True,
        "flag",
        "Resume",
        "Keep what is done when the export is stopped, in a folder beside the output with the ending .partial, and go"
        " on from there when the same export runs again.",
        advanced=True,
    )
    report: str | None = option(
        None,
        "html-output",
        "Contact sheet",
        "Page that shows some of the chips with their labels drawn over them.",
        suffixes=(".html",),
    )

    def _check_together(self) -> None:
        self._check_stride("STRIDE", self.stride, "TILE_SIZE", self.tile_size)
        height = ("TILE_SIZE_Y", self.tile_size_y) if self.tile_size_y else ("TILE_SIZE", self.tile_size)
        down = ("STRIDE_Y", self.stride_y) if self.stride_y else ("STRIDE", self.stride)
        self._check_stride(*down, *height)
        if 0 < self.rotation < 1:
            raise InvalidParameterError(
                f"ROTATION is {self.rotation:g} degrees; it must be 0 or at least 1.",
                "90 makes four sets of chips; smaller steps make more.",
            )
        self._check_labeled_tiles("BLACKEN_AROUND", self.blacken_around)
        self._check_labeled_tiles("CROP_MODE bounding-box", self.crop_mode == "bounding-box")
        if self.skip_empty and self.negative_ratio:
            raise InvalidParameterError(
                f"SKIP_EMPTY leaves out chips without buildings, NEGATIVE_RATIO {self.negative_ratio:g} keeps some.",
                "Give one of them.",
            )
        if self.area is None and self.area_rule != "ignore-outside":
            raise InvalidParameterError(
                f"AREA_RULE is {self.area_rule}, and there is no AREA.", "Give AREA, or leave AREA_RULE as it is."
            )
        if self.format == "labeled-tiles":
            self._check_chips_of_buildings()

    def _check_chips_of_buildings(self) -> None:
        """Refuse what places chips on a grid: labeled-tiles has them about buildings."""
        given = {"STRIDE": self.stride, "STRIDE_Y": self.stride_y, "NEGATIVE_RATIO": self.negative_ratio}
        names = [name for name, value in given.items() if value is not None]
        if names:
            raise InvalidParameterError(
                f"{names[0]} means nothing for labeled-tiles, which cuts one chip about each building.",
                f"Leave {names[0]} out, or choose another format.",
            )

    def _check_labeled_tiles(self, name: str, is_given: bool) -> None:
        if is_given and self.format != "labeled-tiles":
            raise InvalidParameterError(
                f"{name} needs the format labeled-tiles, which has one building a chip; FORMAT is {self.format}.",
                "Choose labeled-tiles, or leave this option out.",
            )

    def _check_stride(self, stride_name: str, stride: int | None, size_name: str, size: int) -> None:
        if stride is not None and stride > size:
            raise InvalidParameterError(
                f"{stride_name} is {stride} px, more than {size_name}, which is {size} px.",
                "A longer stride would leave ground between chips: give at most the chip size.",
            )
