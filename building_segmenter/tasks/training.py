"""Training a model."""

from __future__ import annotations

from dataclasses import dataclass

from building_segmenter.errors import InvalidParameterError
from building_segmenter.options import Task, default_of, option, required


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
