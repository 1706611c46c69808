"""The chips of a run, and what a model file says of them."""

from __future__ import annotations

from building_segmenter import tasks
from building_segmenter.chips.dataset import open_dataset
from building_segmenter.networks.facts import BandFacts, ModelFacts
from building_segmenter.progress import Progress
from building_segmenter.training.datasets import TrainingData, join_datasets
from building_segmenter.training.initial import check_fit, wanted_gsd
from building_segmenter.training.limits import limited


def gathered(options: tasks.TrainModel, initial: ModelFacts | None, progress: Progress) -> TrainingData:
    """Open the datasets of a run and join them.

    Args:
        options: Of the task.
        initial: The facts of the initial model, or None.
        progress: Told what a user should know of the datasets.

    Raises:
        InputNotFoundError: A dataset does not exist.
        BandsError: The datasets differ in their bands, or from the initial model.
        InvalidParameterError: A dataset's ground pixel is too far from the others' or the model's.
        NoDataError: There are no training or no validation chips.
    """
    datasets = [open_dataset(folder) for folder in options.dataset]
    for note in (note for dataset in datasets for note in dataset.notes):
        progress.warn(note)
    if initial is not None:
        check_fit(datasets, initial, str(options.initial_model))
    data = join_datasets(datasets, wanted_gsd(options, initial))
    for chip in (chips[0] for chips in data.train if chips and chips[0].zoom != 1.0):
        progress.log(f"The chips of {chip.dataset.folder} are resampled to {data.gsd:.3g} m.")
    return data if options.limit is None else limited(data, options.limit, options.seed)


def bands_of(data: TrainingData) -> tuple[BandFacts, ...]:
    """Return the bands of the images with their statistics."""
    return tuple(
        BandFacts(str(index + 1), one["min"], one["max"], one["mean"], one["std"])
        for index, one in enumerate(data.statistics)
    )


def credits_of(data: TrainingData, initial: ModelFacts | None = None) -> str:
    """Return whom a map made with the model must name; one that goes on from another owes what that one owed."""
    credits = [initial.credits if initial else "", *(getattr(one, "credits", "") for one in data.datasets)]
    return "; ".join(dict.fromkeys(filter(None, credits)))
