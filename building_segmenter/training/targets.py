"""What a network is taught to tell of each pixel: a building or not, or one of several classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.errors import InputUnreadableError
from building_segmenter.networks.facts import BACKGROUND, Activation, ModelFacts
from building_segmenter.training.classes import class_key, join_classes
from building_segmenter.training.datasets import IGNORE, Chip, TrainingData

BUILDING, CONTACT = "building", "contact"

_VALUES = 65536
_UNLISTED = 254


@dataclass(frozen=True)
class Targets:
    """How labels of chips become labels of channels.

    Args:
        channels: Of the network: `building` and perhaps `contact`, each by itself; or `background` and the names of
            `classes`, of which each pixel has one.
        classes: `{"value", "name"}` of each class, by value; empty where an object of any class is a building.
        tables: For each dataset with such classes, the channel of every value of its labels.
    """

    channels: tuple[str, ...]
    classes: tuple[dict[str, Any], ...] = ()
    tables: Mapping[Path, NDArray[np.uint8]] = field(default_factory=dict, repr=False)

    @property
    def activation(self) -> Activation:
        """What the network ends in."""
        return "softmax" if self.classes else "sigmoid"

    @property
    def planes(self) -> int:
        """Label planes of a chip: one for each channel, but a single one with the number of the channel of classes."""
        return 1 if self.classes else len(self.channels)

    @property
    def shown(self) -> tuple[str, ...]:
        """What a chip may show: the classes, or buildings. In label plane 0 they are 1, 2 and so on."""
        return self.channels[1:] if self.classes else (BUILDING,)

    def of(self, chip: Chip, label: NDArray[Any], contact: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        """Return the labels (H, W, planes) of a chip; pixels that nobody knows are `IGNORE`.

        Args:
            chip: The chip.
            label: (H, W) class values as its dataset has them.
            contact: (H, W) 0 or 1, or None: nobody marked contacts, and they are ignored.

        Raises:
            InputUnreadableError: The label holds a class that its dataset does not list.
        """
        target = np.full((*label.shape, self.planes), IGNORE, np.uint8)
        if self.classes:
            target[..., 0] = self._numbered(chip, label)
            return target
        target[..., 0] = np.where(label == IGNORE, IGNORE, label > 0)
        if contact is not None and self.planes > 1:
            target[..., 1] = np.where(label == IGNORE, IGNORE, contact)
        return target

    def _numbered(self, chip: Chip, label: NDArray[Any]) -> NDArray[np.uint8]:
        numbers: NDArray[np.uint8] = self.tables[chip.dataset.folder][label]
        unlisted = label[numbers == _UNLISTED]
        if len(unlisted):
            raise InputUnreadableError(
                f"The label of chip {chip.title} holds class {unlisted[0]}, which its dataset does not list.",
                "Export the chips again.",
            )
        return numbers


def targets_of(data: TrainingData, classes: str, initial: ModelFacts | None = None) -> tuple[Targets, list[str]]:
    """Decide what a network is to tell of each pixel.

    Args:
        data: The datasets.
        classes: `merge`: an object of any class is a building; `separate`: each class is told from the others.
        initial: Facts of the model that training goes on from, or None. If it has several classes, those are what
            the datasets are to show, too.

    Returns:
        The targets, and what a user should know of how they came about, a sentence each.

    Raises:
        InvalidParameterError: `classes` is `separate`, and the datasets name their classes differently.
    """
    known = initial.classes if initial is not None and initial.is_multiclass else ()
    if classes == "merge":
        return building_targets(_has_contacts(data)), []
    named = {one.folder: _named(one.classes) for one in data.datasets}
    joined, notes = join_classes(named, _named(known))
    if len(joined) < 2:
        name = next(iter(joined.values()), BUILDING)
        note = f"CLASSES is separate, but all objects are of the class {name}: the model tells them from the ground."
        return building_targets(_has_contacts(data)), [note]
    numbers = {class_key(name): number for number, name in enumerate(joined.values(), start=1)}
    targets = Targets(
        channels=(BACKGROUND, *joined.values()),
        classes=tuple({"value": value, "name": name} for value, name in joined.items()),
        tables={folder: _table(names, numbers) for folder, names in named.items()},
    )
    return targets, notes


def building_targets(contacts: bool) -> Targets:
    """Return the targets of a network of buildings, with or without their contacts."""
    return Targets((BUILDING, CONTACT) if contacts else (BUILDING,))


def _named(classes: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    return {int(one["value"]): str(one["name"]).strip() for one in classes}


def _table(names: Mapping[int, str], numbers: Mapping[str, int]) -> NDArray[np.uint8]:
    table = np.full(_VALUES, _UNLISTED, np.uint8)
    table[0], table[IGNORE] = 0, IGNORE
    for value, name in names.items():
        table[value] = numbers[class_key(name)]
    return table


def _has_contacts(data: TrainingData) -> bool:
    firsts = [chips[0] for chips in data.train if chips]
    return any(chip.read()[2] is not None for chip in firsts)
