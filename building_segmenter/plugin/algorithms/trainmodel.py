"""The algorithm *Train model*."""

from __future__ import annotations

from building_segmenter.plugin.algorithms.base import TaskAlgorithm


class TrainModel(TaskAlgorithm):
    """From training chips to a model."""

    ID = "trainmodel"
    TITLE = "Train model"
    GROUP = "training"
    TASK = "train"
    TAGS = ("training", "deep learning", "model", "segmentation", "train deep learning model")
    HELP = """
Trains a model to find buildings, from folders made by Export training chips or exported by ArcGIS.

The backbone, which has seen many images, is kept as it is for the first epochs while the new layers learn; then all
layers learn together. The model of the epoch that was best on the validation ground is kept. Beside the model, a
table and a report with curves and sample predictions are written.

Chips exported with a class field can also teach several classes at once, such as roofs, water and trees: set Classes
to separate. Otherwise objects of any class are buildings.

A stopped training, even one that was killed, goes on from its last finished epoch when it is started again with the
same inputs and settings; until then its state lies in a folder beside the model whose name ends in .partial.

With few chips of your own, go on from a trained model (Initial model): it knows buildings already and only has to get
to know yours. A learning curve tells what more labels would bring.

Training needs the environment with the profile train (Set up environment), takes hours without a graphics card, and
can be cancelled at any time. It uses all of the processor and several GB of memory; if they do not suffice it says so
before it begins, and proposes a smaller batch.
"""
