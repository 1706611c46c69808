"""The state of a training on disk after each epoch, so that a stopped run goes on from the last finished one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.training.loop import Outcome

_STATE, _BEST = "state.npz", "best-{}.npz"

Variables = Mapping[str, Sequence[Any]]
"""Groups of Keras variables by name: weights, moving averages, optimizers and the states of random generators."""


class Checkpoint:
    """Two files: the state after the last epoch, and the weights of the best one.

    Each is written under another name, forced to the disk, and put in place when whole. The best weights come first,
    so a kill at any moment leaves a state whose best weights are there.

    Args:
        folder: Where they lie; it must exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, outcome: Outcome, variables: Variables) -> None:
        """Keep the state after an epoch; what was kept before is replaced."""
        best = self._folder / _BEST.format(outcome.best_epoch)
        if outcome.best_epoch == len(outcome.history):
            _write(best, {str(index): weight for index, weight in enumerate(outcome.best_weights)})
        told = json.dumps({"history": outcome.history, "best_epoch": outcome.best_epoch})
        arrays = {key: np.asarray(variable) for key, variable in _keyed(variables).items()}
        _write(self._folder / _STATE, {"told": np.array(told), **arrays})
        for stale in self._folder.glob(_BEST.format("*")):
            if stale != best:
                stale.unlink()

    def restore(self, variables: Variables) -> Outcome | None:
        """Give variables the values that were kept.

        Returns:
            What the training had come to, or None: nothing was kept, and no variable was changed.
        """
        if not (self._folder / _STATE).is_file():
            return None
        arrays = _read(self._folder / _STATE)
        told = json.loads(str(arrays["told"]))
        best = _read(self._folder / _BEST.format(told["best_epoch"]))
        for key, variable in _keyed(variables).items():
            variable.assign(arrays[key])
        weights = [best[str(index)] for index in range(len(best))]
        return Outcome(history=told["history"], best_epoch=told["best_epoch"], best_weights=weights)


def _keyed(variables: Variables) -> dict[str, Any]:
    return {f"{name}/{index}": one for name, group in variables.items() for index, one in enumerate(group)}


def _read(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def _write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    half_made = path.with_suffix(".tmp")
    with half_made.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    half_made.replace(path)
