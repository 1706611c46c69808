"""The contract of all front ends: each task's options, their defaults, units, limits and help texts.

The command line, the worker and the Processing algorithms build these objects and nothing else, so a default
is written once. Read by both halves (QGIS's Python and the engine): Python 3.9 syntax, standard library only.

Lengths and areas are ground metres whatever the CRS of a layer. Vector inputs are paths that OGR opens; a layer
of a file with several is named as in QGIS, `path|layername=NAME`. Extents are `(xmin, ymin, xmax, ymax)` in the
CRS of the raster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from building_segmenter.errors import InvalidParameterError
from building_segmenter.options import (
    INPUT_KINDS,
    OUTPUT_KINDS,
    SETTING_KINDS,
    Option,
    Task,
    default_of,
    option,
    options_of,
    required,
)

__all__ = [
    "INPUT_KINDS",
    "LAYER_MARK",
    "OUTPUT_KINDS",
    "SETTING_KINDS",
    "SHIPPED_MODEL",
    "TASKS",
    "VECTOR_SUFFIXES",
    "DescribeModel",
    "DetectBuildings",
    "ExportChips",
    "ExportModel",
    "ExtractBuildings",
    "Option",
    "PolygonizeMask",
    "PredictionTask",
    "RegularizeFootprints",
    "SegmentRaster",
    "SegmentationTask",
    "Task",
    "TrainModel",
    "as_request",
    "build_task",
    "default_of",
    "options_of",
]

LAYER_MARK = "|layername="
"""Between the path of a file with several layers and the name of one."""

SHIPPED_MODEL = "shipped"
"""In place of a path: the model that comes with the plugin."""

VECTOR_SUFFIXES = (".gpkg", ".geojson", ".fgb", ".shp", ".parquet")


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


@dataclass(frozen=True)
class TrainModel(Task):
    """Train a segmentation model, or a detector of objects, on folders of training chips."""

    dataset: tuple[str, ...] = required(
        "folders",
        "Folders of chips",
        "One or more folders made by Export training chips, or by ArcGIS' Export Training Data For Deep Learning, with"
        " the class of each pixel or masks of objects.",
    )
    output: str = required("model-output", "Model", "The trained model, one file.", suffixes=(".keras",))
    report: str | None = option(
        None,
        "html-output",
        "Report",
        "Page with curves, metrics and sample predictions. Empty: beside the model, with the ending .html.",
        suffixes=(".html",),
    )
    architecture: str = option(
        "deeplabv3plus",
        "choice",
        "Architecture",
        "The network to train. deeplabv3plus tells what each pixel is. mask-rcnn finds objects one by one, each with"
        " its mask; it needs chips with masks of objects (rcnn-masks, coco, yolo, hdf5) and takes more time.",
        choices=("deeplabv3plus", "mask-rcnn"),
    )
    backbone: str = option(
        "mobilenetv2",
        "choice",
        "Backbone",
        "The feature extractor of the network. mobilenetv2 suits a laptop: with the new layers it has 1.6 million"
        " weights. xception has 24 million, resnet50 27 and resnet101 46: they want a graphics card and many chips. Not"
        " used with an initial model. xception is not for mask-rcnn.",
        choices=("mobilenetv2", "xception", "resnet50", "resnet101"),
    )
    backbone_weights: str = option(
        "imagenet",
        "text",
        "Backbone weights",
        "imagenet: Keras downloads weights learned on ImageNet. none: start at random. Or the path of a file of"
        " weights of the same backbone without its top: .weights.h5 or .h5 as Keras writes them, or .npz with the"
        " arrays w000, w001 and so on of get_weights(). Not used with an initial model. For mask-rcnn with resnet50 or"
        " resnet101: none, or the path of a .h5 file of Matterport's Mask R-CNN, such as mask_rcnn_coco.h5.",
    )
    output_stride: str = option(
        "16",
        "choice",
        "Output stride",
        "Pixels of the image for one of the backbone's last features. 8 is finer: it takes more time and memory. Not"
        " used with an initial model.",
        choices=("16", "8"),
        advanced=True,
    )
    initial_model: str | None = option(
        None,
        "model",
        "Initial model",
        "A model of Train model to go on from (fine-tuning), which few local chips suffice for, or the word shipped for"
        " the model that comes with the plugin. Network, bands, scaling and ground pixel are then those of the model."
        " Empty: a new network.",
    )
    classes: str = option(
        "merge",
        "choice",
        "Classes",
        "merge: an object of any class is a building. separate: the model tells the classes of the chips from each"
        " other and from the background (land cover), if they have two or more; classes of several folders are joined"
        " by their names.",
        choices=("merge", "separate"),
    )
    head_epochs: int | None = option(
        None,
        "integer",
        "Head epochs",
        "Epochs that train only the new layers while the backbone is frozen. They count among all epochs. Empty: 5; 0"
        " with an initial model or a backbone that starts at random.",
        minimum=0,
        maximum=10_000,
    )
    layers: str = option(
        "all",
        "choice",
        "Layers",
        "Which layers learn after the head epochs; for mask-rcnn only. 5+, 4+ and 3+: the heads, and the backbone from"
        " that stage on, as the original's stages are numbered; few chips then spoil less of what it knows. heads: the"
        " heads only.",
        choices=("all", "3+", "4+", "5+", "heads"),
        advanced=True,
    )
    epochs: int = option(35, "integer", "Epochs", "Epochs in all.", minimum=1, maximum=10_000)
    batch_size: int = option(
        8, "integer", "Batch size", "Chips in a step. Smaller needs less memory.", minimum=1, maximum=1024
    )
    learning_rate: float | None = option(
        None,
        "number",
        "Learning rate",
        "Highest learning rate, reached after a warm-up; it then falls along a cosine. Empty: 0.001; 0.0002 with an"
        " initial model, which has learned already; 0.0003 for mask-rcnn with resnet50 or resnet101.",
        minimum=1e-7,
        maximum=1.0,
        advanced=True,
    )
    gsd: float | None = option(
        None,
        "distance",
        "Ground pixel",
        "Ground pixel in metres that the model is to work at; chips of other ground pixels are resampled to it."
        " Empty: the mean of the datasets, or that of the initial model.",
        minimum=0.005,
        maximum=100.0,
        unit="m",
        advanced=True,
    )
    limit: int | None = option(
        None,
        "integer",
        "Limit",
        "Train on at most this many chips, spread over the ground; those of a smaller limit are among those of a larger"
        " one. Validation chips are all used. Empty: all chips.",
        minimum=1,
        maximum=100_000_000,
        advanced=True,
    )
    learning_curve: int = option(
        1,
        "integer",
        "Learning curve",
        "Number of trainings on growing parts of the chips, each on twice as many as the one before; the last, on all,"
        " gives the model. The report then shows what more labels would bring. 1: no curve.",
        minimum=1,
        maximum=10,
        advanced=True,
    )
    crop: int = option(
        384,
        "integer",
        "Training crop",
        "Side of the random piece of a chip that a step sees. Chips are never enlarged to it.",
        minimum=64,
        maximum=2048,
        unit="px",
        advanced=True,
    )
    augmentation: str = option(
        "default",
        "choice",
        "Augmentation",
        "default: flips, any rotation, scale, colour, light and sharpness, and patches and looks of other chips;"
        " for mask-rcnn flips, quarter turns, scale, colour, light and sharpness. none: chips as they are.",
        choices=("default", "none"),
        advanced=True,
    )
    patience: int = option(
        10,
        "integer",
        "Patience",
        "Stop when validation has not improved for this many epochs; the best epoch is kept in any case.",
        minimum=1,
        maximum=10_000,
        advanced=True,
    )
    training_precision: str = option(
        "float32",
        "choice",
        "Training precision",
        "Arithmetic of training. mixed_bfloat16: layers calculate in 16 bits, which is for recent graphics cards; a"
        " processor is slower with it (measured: 4.8 instead of 6.1 chips a second). The model is float32 in any case.",
        choices=("float32", "mixed_bfloat16"),
        advanced=True,
    )
    seed: int = option(1, "integer", "Seed", "Same seed, same run on the same machine.", minimum=0, advanced=True)
    log_dir: str | None = option(
        None,
        "folder-output",
        "Folder of logs",
        "Also write logs for TensorBoard, into a folder in this one that is named after the model.",
        advanced=True,
    )
    resume: bool = option(
        True,
        "flag",
        "Resume",
        "Keep every finished epoch when the training is stopped, in a folder beside the model with the ending .partial,"
        " and go on from there when the same training runs again.",
        advanced=True,
    )

    def _check_together(self) -> None:
        if self.head_epochs is not None and self.head_epochs > self.epochs:
            raise InvalidParameterError(
                f"HEAD_EPOCHS is {self.head_epochs}, more than EPOCHS, which is {self.epochs}.",
                "Head epochs count among all epochs: lower HEAD_EPOCHS or raise EPOCHS.",
            )
        if self.architecture == "mask-rcnn":
            self._check_mask_rcnn()
        elif self.layers != "all":
            raise InvalidParameterError(
                f"LAYERS is {self.layers}; {self.architecture} does not know it.",
                "Leave LAYERS at all, or set ARCHITECTURE to mask-rcnn.",
            )

    def _check_mask_rcnn(self) -> None:
        """Refuse what only the other architecture knows, instead of leaving it out of account."""
        if self.backbone == "xception":
            raise InvalidParameterError(
                "BACKBONE is xception; mask-rcnn has none of it.", "Choose mobilenetv2, resnet50 or resnet101."
            )
        if self.backbone != "mobilenetv2" and self.backbone_weights == "imagenet":
            raise InvalidParameterError(
                f"BACKBONE_WEIGHTS is imagenet, which is of Keras; the {self.backbone} of mask-rcnn is Matterport's and"
                " has other layers.",
                "Give BACKBONE_WEIGHTS the path of a .h5 file of Matterport's Mask R-CNN, such as mask_rcnn_coco.h5 (of"
                " resnet101), or none; or set BACKBONE to mobilenetv2.",
            )
        if self.layers != "all" and self.backbone_weights == "none":
            raise InvalidParameterError(
                f"LAYERS is {self.layers}, but BACKBONE_WEIGHTS is none: layers that learn nothing would stay random.",
                "Leave LAYERS at all, or give BACKBONE_WEIGHTS.",
            )
        for name in ("initial_model", "output_stride", "learning_curve", "training_precision"):
            if getattr(self, name) != default_of(type(self), name):
                raise InvalidParameterError(
                    f"{name.upper()} is {getattr(self, name)}; mask-rcnn does not know it.",
                    f"Leave {name.upper()} as it is by default, or set ARCHITECTURE to deeplabv3plus.",
                )


@dataclass(frozen=True)
class PredictionTask(Task):
    """What all tasks that run a model over a raster have in common."""

    # Only None where there are images, of which a run's work, one at a time or all as a mosaic, then becomes the input.
    input: str = option(
        None,
        "raster",
        "Image",
        "Raster to search for buildings: any raster that GDAL opens. Where it is typed, as for qgis_process, also a"
        " folder of images, a pattern such as folder/*.tif, or a text file (.txt) with one path a line; the output is"
        " then as for Several images.",
    )
    images: tuple[str, ...] | None = option(
        None,
        "rasters",
        "Several images",
        "Instead of one image: rasters, folders, patterns or lists of files. The output is then a folder that exists,"
        " or a name with * for the image's name, as folder/*.gpkg; or one file, if they are combined as a mosaic.",
    )
    combine: str = option(
        "each",
        "choice",
        "Combine images",
        "Of several images. each: one after the other, with an output each; one that fails does not stop the others,"
        " and what is done is left as it is when the same run starts again. mosaic: as one image, with one output.",
        choices=("each", "mosaic"),
        advanced=True,
    )
    output: str = required(
        "raster-output",
        "Building probability",
        "GeoTIFF of probabilities: 0..254 with scale 1/254, nodata 255, at the model's ground pixel.",
        suffixes=(".tif",),
    )
    model: str | None = option(
        None,
        "model",
        "Model",
        "A model of Train model (.keras) or Export model (.onnx), or one of segmentation from elsewhere (.keras, .h5,"
        " .onnx) with what its file does not say as parameters. Empty: the model shipped with the plugin.",
        suffixes=(".keras", ".h5", ".onnx"),
    )
    gsd: float | None = option(
        None,
        "distance",
        "Ground pixel of the image",
        "Only for an image without CRS, or with a wrong one: metres on the ground of one pixel.",
        minimum=0.005,
        maximum=100.0,
        unit="m",
        advanced=True,
    )
    bands: tuple[int, ...] | None = option(
        None,
        "bands",
        "Bands",
        "Bands of the image in the order the model was trained with. Empty: the first ones.",
        advanced=True,
    )
    extent: tuple[float, ...] | None = option(
        None, "extent", "Extent", "Work on this part of the image only.", advanced=True
    )
    area: str | None = option(
        None, "polygons", "Area of interest", "Polygons; ground outside them is left out.", advanced=True
    )
    overlap: float | None = option(
        None,
        "fraction",
        "Tile overlap",
        "Share of a tile that it has in common with the next; the overlap is blended. Empty: 0.25, or what a model from"
        " elsewhere says.",
        minimum=0.0,
        maximum=0.75,
        advanced=True,
    )
    inference_precision: str = option(
        "auto",
        "choice",
        "Precision",
        "Arithmetic of the network. auto: bf16 where the processor has it, else f32, also on a graphics card.",
        choices=("auto", "f32", "bf16", "f16"),
        advanced=True,
    )
    device: str = option(
        "cpu",
        "choice",
        "Device",
        "What runs the network. cpu: the processor. gpu: a graphics card of Intel, through OpenVINO. auto: the card"
        " where there is one, else the processor.",
        choices=("cpu", "gpu", "auto"),
        advanced=True,
    )
    threads: int = option(
        0, "integer", "Threads", "Processor threads to use. 0: all.", minimum=0, maximum=1024, advanced=True
    )
    resume: bool = option(
        True,
        "flag",
        "Resume",
        "Keep predicted rows when the run is stopped, in a folder beside the output with the ending .partial, and go on"
        " from there when the same run starts again.",
        advanced=True,
    )

    def _check_together(self) -> None:
        if not self.input and not self.images:
            raise InvalidParameterError("INPUT is missing.", "Give INPUT, an image, or IMAGES, several.")
        if self.input and self.images:
            raise InvalidParameterError(
                f"INPUT, {self.input}, and IMAGES are both given.", "Give one of them; IMAGES may hold all images."
            )


@dataclass(frozen=True)
class SegmentationTask(PredictionTask):
    """What tasks have in common whose model gives a probability for each pixel, as models from elsewhere do."""

    augment: str = option(
        "none",
        "choice",
        "Look again",
        "Predict mirrored or turned copies of each tile, too, and take the mean, which is surer. flips: 4 copies in"
        " all, in 4 times the time; turns: 8, mirrored and turned, in 8 times the time.",
        choices=("none", "flips", "turns"),
        advanced=True,
    )
    model_gsd: float | None = option(
        None,
        "distance",
        "Model from elsewhere: ground pixel",
        "Only for a model from elsewhere whose file does not say it: metres on the ground of one pixel of the images"
        " that it was trained on. The image is resampled to it.",
        minimum=0.005,
        maximum=100.0,
        unit="m",
        advanced=True,
    )
    model_tile_size: int | None = option(
        None,
        "integer",
        "Model from elsewhere: tile size",
        "Only for a model from elsewhere that takes images of any size: width and height of its tiles, best those that"
        " it was trained with.",
        minimum=16,
        maximum=8192,
        unit="px",
        advanced=True,
    )
    model_scaling: str = option(
        "auto",
        "choice",
        "Model from elsewhere: scaling",
        "What the network takes. auto: what the file says. none: values of pixels as they are. unit: bytes divided by"
        " 255. symmetric: bytes brought to -1 to 1. imagenet: divided by 255, then ImageNet's means and deviations.",
        choices=("auto", "none", "unit", "symmetric", "imagenet"),
        advanced=True,
    )
    model_means: tuple[float, ...] | None = option(
        None,
        "numbers",
        "Model from elsewhere: means",
        "Subtracted after the scaling: one number, or one for each band, such as 0.485, 0.456, 0.406.",
        advanced=True,
    )
    model_deviations: tuple[float, ...] | None = option(
        None,
        "numbers",
        "Model from elsewhere: standard deviations",
        "What is divided by after that: one number, or one for each band, such as 0.229, 0.224, 0.225.",
        advanced=True,
    )
    model_layout: str = option(
        "auto",
        "choice",
        "Model from elsewhere: layout",
        "Whether bands come before height and width, or after. auto: as the shape of its input tells.",
        choices=("auto", "channels-first", "channels-last"),
        advanced=True,
    )
    model_output: str = option(
        "auto",
        "choice",
        "Model from elsewhere: output",
        "Whether it gives probabilities, or logits that become them each by itself (logits-sigmoid) or as classes that"
        " exclude each other (logits-softmax). auto: as the end of the network tells.",
        choices=("auto", "probabilities", "logits-sigmoid", "logits-softmax"),
        advanced=True,
    )
    model_class: str | None = option(
        None,
        "text",
        "Model from elsewhere: class",
        "Which class of a model of several is wanted: its name if the file has names, or its channel counted from 1."
        " all: every class, as of a model of several classes of Train model.",
        advanced=True,
    )


@dataclass(frozen=True)
class SegmentRaster(SegmentationTask):
    """Predict the probability of buildings, or of each class of a model of several, for every pixel of an image."""


@dataclass(frozen=True)
class DetectBuildings(PredictionTask):
    """Find buildings one by one with a Mask R-CNN: polygons with their scores, as the model sees them."""

    output: str = required(
        "polygons-output",
        "Buildings",
        "Polygons with score and ground area. Neighbours may overlap a little: each is found by itself.",
        suffixes=VECTOR_SUFFIXES,
    )
    model: str = required(
        "model",
        "Model",
        "A Mask R-CNN, which Train model makes with ARCHITECTURE mask-rcnn (.keras); none comes with the plugin.",
        suffixes=(".keras",),
    )
    min_score: float | None = option(
        None,
        "fraction",
        "Least score",
        "How sure the model must be of a building. Empty: the model's own, which did best in its training. Higher:"
        " fewer, surer buildings.",
        minimum=0.0,
        maximum=1.0,
    )
    min_area: float = option(
        4.0,
        "area",
        "Minimum area",
        "Buildings and holes smaller than this many square metres on the ground are dropped.",
        minimum=0.0,
        unit="m2",
    )
    picture: str | None = option(
        None,
        "picture-output",
        "Picture",
        "Also draw the image with the buildings and their scores, as PNG.",
        suffixes=(".png",),
        advanced=True,
    )
    picture_extent: tuple[float, ...] | None = option(
        None,
        "extent",
        "Extent of the picture",
        "What the picture shows. Empty: all that is searched, made smaller if it is large.",
        advanced=True,
    )


_REGULARIZE_METHODS = ("right-angles", "right-angles-and-diagonals", "any-angle", "circle", "auto")


@dataclass(frozen=True)
class ExtractBuildings(SegmentationTask):
    """Extract regularized building footprints from an image in one run."""

    output: str = required(
        "polygons-output",
        "Building footprints",
        "Polygons with score, ground area and the outcome of the regularization.",
        suffixes=VECTOR_SUFFIXES,
    )
    threshold: float | None = option(
        None,
        "fraction",
        "Threshold",
        "Probability from which a pixel is a building; of a Mask R-CNN the least score of a building. Empty: the"
        " model's own. Higher: fewer, surer buildings.",
        minimum=0.0,
        maximum=1.0,
    )
    model: str | None = option(
        None,
        "model",
        "Model",
        "A model of Train model (.keras), a Mask R-CNN too, or Export model (.onnx), or one of segmentation from"
        " elsewhere (.keras, .h5, .onnx) with what its file does not say as parameters. Empty: the model shipped with"
        " the plugin.",
        suffixes=(".keras", ".h5", ".onnx"),
    )
    min_area: float = option(
        4.0,
        "area",
        "Minimum area",
        "Footprints and holes smaller than this many square metres on the ground are dropped.",
        minimum=0.0,
        unit="m2",
    )
    split: bool = option(
        True,
        "flag",
        "Part touching buildings",
        "Part regions of several buildings where these touch. Needs a model that also predicts contacts, as the shipped"
        " one does.",
    )
    contact_threshold: float = option(
        0.3,
        "fraction",
        "Contact threshold",
        "Probability of contact from which a place is taken for the border of two buildings. Lower: more, smaller"
        " buildings. The default was chosen with the shipped model.",
        minimum=0.01,
        maximum=1.0,
        advanced=True,
    )
    method: str = option(
        "right-angles",
        "choice",
        "Regularization",
        "right-angles: every corner of a footprint is a right angle. right-angles-and-diagonals: walls may also lie at"
        " 45 degrees. any-angle: walls may lie in any direction. circle: the circle that fits best. auto: a circle"
        " where the outline is round, otherwise the simplest of the others that serves.",
        choices=_REGULARIZE_METHODS,
    )
    tolerance: float | None = option(
        None,
        "distance",
        "Tolerance",
        "How far a regularized outline may lie from the predicted one, in metres. Empty: the larger of 1.0 m and"
        " 4 pixels of the model.",
        minimum=0.01,
        maximum=1000.0,
        unit="m",
    )
    shared_walls: bool = option(
        False,
        "flag",
        "Keep shared walls",
        "Buildings that were parted keep one common wall, without gaps and overlaps. Slow where hundreds touch. Off:"
        " each is regularized by itself.",
    )
    probability: str | None = option(
        None,
        "raster-output",
        "Building probability",
        "Also keep the probability raster.",
        suffixes=(".tif",),
        advanced=True,
    )


@dataclass(frozen=True)
class PolygonizeMask(Task):
    """Turn a probability raster or a mask into polygons with smooth, sub-pixel outlines."""

    input: str = required(
        "raster",
        "Probabilities or mask",
        "A probability raster of Segment raster, any raster of probabilities 0..1, or an integer mask.",
    )
    output: str = required(
        "polygons-output", "Polygons", "Outlines with score and ground area.", suffixes=VECTOR_SUFFIXES
    )
    band: int | None = option(
        None,
        "integer",
        "Band",
        "Band to read. Empty: the first; of a raster of several classes (land cover) all, and polygons get the fields"
        " class and class_name.",
        minimum=1,
        maximum=65535,
    )
    threshold: float = option(
        0.5,
        "fraction",
        "Threshold",
        "Probability from which a pixel is inside. Not used with Value, nor for several classes: each of these is where"
        " it is the most probable.",
        minimum=0.0,
        maximum=1.0,
    )
    value: int | None = option(
        None,
        "integer",
        "Value",
        "For an integer mask: the value that is inside. Empty: the raster holds probabilities; of an integer"
        " raster without a scale, every value but 0 is inside.",
    )
    min_area: float = option(
        4.0, "area", "Minimum area", "Polygons smaller than this on the ground are dropped.", minimum=0.0, unit="m2"
    )
    min_hole_area: float = option(
        4.0, "area", "Minimum hole area", "Holes smaller than this are filled.", minimum=0.0, unit="m2"
    )

    split: bool = option(
        True,
        "flag",
        "Part touching buildings",
        "Part regions of several buildings where these touch. Needs a band of contacts, as Segment raster writes where"
        " the model predicts them; other rasters are not affected.",
    )
    contact_threshold: float = option(
        0.3,
        "fraction",
        "Contact threshold",
        "Probability of contact from which a place is taken for the border of two buildings. Lower: more, smaller"
        " buildings. The default was chosen with the shipped model.",
        minimum=0.01,
        maximum=1.0,
        advanced=True,
    )


@dataclass(frozen=True)
class RegularizeFootprints(Task):
    """Straighten building footprints within a tolerance."""

    input: str = required("polygons", "Footprints", "Polygons from any source, in any CRS.")
    output: str = required(
        "polygons-output",
        "Regularized footprints",
        "The same features with regularized outlines; STATUS 1 marks those kept as they were, with the reason.",
        suffixes=VECTOR_SUFFIXES,
    )
    method: str = option(
        "auto",
        "choice",
        "Method",
        "right-angles: every corner becomes a right angle. right-angles-and-diagonals: walls may also lie at 45"
        " degrees. any-angle: walls may lie in any direction. circle: the circle that fits best. auto: a circle where"
        " the outline is round, otherwise the simplest of the others that serves.",
        choices=_REGULARIZE_METHODS,
    )
    tolerance: float = option(
        1.0,
        "distance",
        "Tolerance",
        "The new outline stays within this many metres of the old one, and the old one of the new. With the tolerance"
        " type area-ratio: a share instead, such as 0.1.",
        minimum=0.001,
        maximum=10_000.0,
        unit="m",
    )
    tolerance_type: str = option(
        "distance",
        "choice",
        "Tolerance type",
        "distance: metres between the outlines. area-ratio (method circle only): the area between the outline and the"
        " circle, as a share of the circle's.",
        choices=("distance", "area-ratio"),
        advanced=True,
    )
    densification: float | None = option(
        None,
        "distance",
        "Densification",
        "Distance between places of an outline where a wall may end, in metres; at most the tolerance. Empty:"
        " four times the precision, in tolerances.",
        minimum=0.001,
        maximum=10_000.0,
        unit="m",
        advanced=True,
    )
    precision: float = option(
        0.25,
        "number",
        "Precision",
        "Smaller: more places are tried where walls may end, which is slower and comes closer to the optimum.",
        minimum=0.05,
        maximum=0.25,
        advanced=True,
    )
    diagonal_penalty: float = option(
        1.5,
        "number",
        "Diagonal penalty",
        "How much walls off the main direction are shunned: a diagonal counts as two thirds of it more than a wall"
        " along the main direction, a wall of any other direction as one and a half times of it more. 0: all walls"
        " count alike. Raise it where false diagonals appear, lower it where true ones are lost.",
        minimum=0.0,
        maximum=10.0,
        advanced=True,
    )
    min_radius: float = option(
        0.1,
        "distance",
        "Smallest radius",
        "Outlines whose circle is smaller than this, in metres, do not become circles.",
        minimum=0.0,
        maximum=1_000_000.0,
        unit="m",
        advanced=True,
    )
    max_radius: float = option(
        1_000_000.0,
        "distance",
        "Largest radius",
        "Outlines whose circle is larger than this, in metres, do not become circles.",
        minimum=0.0,
        maximum=1_000_000.0,
        unit="m",
        advanced=True,
    )
    directions: tuple[float, ...] | None = option(
        None,
        "angles",
        "Preferred directions",
        "Main directions that every footprint tries first, in degrees counter-clockwise from east, such as 12.5, 57.5."
        " A footprint keeps its own where that fits far better.",
        minimum=-360.0,
        maximum=360.0,
        unit="degrees",
        advanced=True,
    )
    alignment: str | None = option(
        None,
        "lines",
        "Alignment lines",
        "Roads or parcel boundaries (lines, or polygons for their outlines, in any CRS). A footprint near one tries the"
        " direction of the nearest first, instead of preferred directions.",
        advanced=True,
    )
    alignment_tolerance: float = option(
        15.0,
        "distance",
        "Alignment distance",
        "How far, in metres, the line that a footprint follows may lie from it.",
        minimum=0.0,
        maximum=10_000.0,
        unit="m",
        advanced=True,
    )
    neighbor_distance: float = option(
        0.0,
        "distance",
        "Neighbour distance",
        "Footprints whose middles lie within this many metres of each other and that point almost the same way get"
        " a common direction, the more so the rougher they are. 30 to 40 m suits towns. 0: each by itself.",
        minimum=0.0,
        maximum=10_000.0,
        unit="m",
        advanced=True,
    )
    shared_walls: bool = option(
        False,
        "flag",
        "Keep shared walls",
        "Footprints that touch keep one common wall, without gaps and overlaps. Where one of them resists, its outline"
        " stays as it is and its neighbours are fitted to it.",
    )
    probability: str | None = option(
        None,
        "raster",
        "Probability raster",
        "Raster of Segment raster, or any of probabilities (band 1, any CRS), that the footprints were traced in. Walls"
        " follow the outline more closely where the probability changes sharply, less where it fades. The gain is"
        " small: agreement with the truth rose by 0.001 to 0.002 on drawn footprints, and on real ones not clearly."
        " Footprints outside are regularized without it. Not with shared walls.",
        advanced=True,
    )
    probability_use: str = option(
        "weights",
        "choice",
        "Use of probability",
        "weights: how sharp it is at each point. directions: footprints try the direction of its gradient first; on"
        " drawn footprints this made results worse, so it is not the default. both: the two.",
        choices=("weights", "directions", "both"),
        advanced=True,
    )

    def _check_together(self) -> None:
        if self.tolerance_type == "area-ratio" and self.method != "circle":
            raise InvalidParameterError(
                f"TOLERANCE_TYPE is area-ratio, but METHOD is {self.method}.",
                "An area ratio goes with METHOD circle only; for other methods choose distance.",
            )
        if self.tolerance_type == "area-ratio" and self.tolerance > 1:
            raise InvalidParameterError(
                f"TOLERANCE is {self.tolerance}, but as an area ratio it is a share of the circle's area.",
                "Give a share between 0.001 and 1, such as 0.1.",
            )
        if self.probability and self.shared_walls:
            raise InvalidParameterError(
                "PROBABILITY and SHARED_WALLS are both given; shared walls are straightened without a raster.",
                "Leave one of them out.",
            )
        if self.min_radius > self.max_radius:
            raise InvalidParameterError(
                f"MIN_RADIUS is {self.min_radius} m, more than MAX_RADIUS, which is {self.max_radius} m.",
                "Exchange them, or leave one out.",
            )
        if self.densification is not None and self.densification > self.tolerance:
            raise InvalidParameterError(
                f"DENSIFICATION is {self.densification} m, more than TOLERANCE, which is {self.tolerance} m.",
                "Give a densification of at most the tolerance, or leave it empty.",
            )


@dataclass(frozen=True)
class DescribeModel(Task):
    """Tell what a model is: what it takes and gives, how well it does, and how it was trained."""

    model: str | None = option(
        None,
        "model",
        "Model",
        "A model of Train model, or a .keras, .h5 or .onnx file from elsewhere, of which only inputs, outputs and"
        " metadata are known. Empty: the model shipped with the plugin.",
        suffixes=(".keras", ".h5", ".onnx"),
    )
    output: str = required("html-output", "Description", "Page that tells what the model is.", suffixes=(".html",))


@dataclass(frozen=True)
class ExportModel(Task):
    """Write a model for other programs: ONNX for Deepness and GeoDeep, or OpenVINO IR."""

    model: str | None = option(
        None, "model", "Model", "A model of Train model (.keras). Empty: the model shipped with the plugin."
    )
    output: str = required(
        "model-output",
        "Exported model",
        "File to write; its ending names the format. .onnx: ONNX with the metadata of Deepness, which GeoDeep reads"
        " too. .xml: OpenVINO IR, with its weights (.bin) and facts (.mlm.json) beside it.",
        suffixes=(".onnx", ".xml"),
    )
    threshold: float | None = option(
        None,
        "fraction",
        "Threshold",
        "Probability from which a pixel is a building in the other program. Empty: the model's own. Higher: fewer,"
        " surer buildings.",
        minimum=0.01,
        maximum=0.99,
    )


TASKS: dict[str, type[Task]] = {
    "chips": ExportChips,
    "train": TrainModel,
    "segment": SegmentRaster,
    "detect": DetectBuildings,
    "polygonize": PolygonizeMask,
    "regularize": RegularizeFootprints,
    "extract": ExtractBuildings,
    "model describe": DescribeModel,
    "model export": ExportModel,
}
"""Task name on the command line and in a worker's request -> its options."""


def build_task(name: str, options: dict[str, Any]) -> Task:
    """Make the task `name` from a mapping of option names to values, as a request carries them.

    Raises:
        InvalidParameterError: The task or an option is unknown, or a value is not allowed.
    """
    if name not in TASKS:
        raise InvalidParameterError(f"There is no task {name!r}.", f"Known tasks: {', '.join(TASKS)}.")
    unknown = sorted(set(options) - set(options_of(TASKS[name])))
    if unknown:
        known = ", ".join(key.upper() for key in options_of(TASKS[name]))
        raise InvalidParameterError(
            f"The task {name} has no parameter {', '.join(key.upper() for key in unknown)}.", f"It has: {known}."
        )
    return TASKS[name](**options)


def as_request(task: Task) -> dict[str, Any]:
    """Return a task as the JSON-ready mapping `{"task": NAME, "options": {...}}` that `build_task` reads."""
    name = next(key for key, kind in TASKS.items() if type(task) is kind)
    options = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(task).items()}
    return {"task": name, "options": options}
