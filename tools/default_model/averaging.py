"""The mean of the weights of several trainings that began at one model.

Models that were trained further from the same one lie so near each other that the mean of their weights is a model,
too, and one that does better than each of them, most of all on what none has seen (Wortsman et al. 2022, "Model
soups", https://arxiv.org/abs/2203.05482).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from building_segmenter.chips.dataset import open_dataset
from building_segmenter.networks.facts import ModelFacts


def averaged(models: Sequence[Path], threshold: float, judges: Iterable[Path]) -> tuple[Any, ModelFacts]:
    """Return the network with the mean of the weights of some models, and its facts.

    Args:
        models: Models of *Train model*: the first one, and those that went on from it.
        threshold: Of the mean.
        judges: Folders of chips; the facts' metrics are of those of their validation split.

    Raises:
        BuildingSegmenterError: A model or a folder cannot be read.
    """
    from building_segmenter.networks.model_file import load_model

    loaded = [load_model(path) for path in models]
    network, facts = loaded[-1]
    weights = zip(*(each.get_weights() for each, _ in loaded), strict=True)
    network.set_weights([np.mean(of_all, axis=0, dtype=np.float64).astype(of_all[0].dtype) for of_all in weights])
    record = facts.training | {"mean_of": [_record(one) for _, one in loaded]}
    metrics = _metrics(network, threshold, judges)
    return network, dataclasses.replace(facts, threshold=threshold, metrics=metrics, training=record)


def _record(facts: ModelFacts) -> dict[str, Any]:
    return {"options": facts.training.get("options", {}), "metrics": facts.metrics, "threshold": facts.threshold}


def _metrics(network: Any, threshold: float, judges: Iterable[Path]) -> dict[str, float]:
    from building_segmenter.training.evaluation import PixelCounts, evaluate

    def predict(image: Any) -> Any:
        return np.asarray(network(image[np.newaxis].astype(np.float32), training=False))[0]

    counts = evaluate(_chips(judges), predict).counts
    if not isinstance(counts, PixelCounts):
        raise TypeError("the chips are of several classes")
    return {name: round(value, 4) for name, value in counts.metrics(threshold).items()}


def _chips(judges: Iterable[Path]) -> Iterator[tuple[Any, Any]]:
    for folder in judges:
        dataset = open_dataset(folder)
        for entry in dataset.split("validation"):
            image, label, _ = dataset.read(entry)
            # Classes are merged: 1 where there is a building, 255 where nothing is known.
            yield image, np.where(label == 255, 255, label > 0).astype(np.uint8)[..., np.newaxis]
