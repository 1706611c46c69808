"""What tasks that run a model have in common."""

from __future__ import annotations

from dataclasses import dataclass

from building_segmenter.errors import InvalidParameterError
from building_segmenter.options import Task, option, required


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
