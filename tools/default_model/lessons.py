"""What a teacher says of chips, as lessons for another network.

A lesson is a chip, soft as *Segment raster* reads images that are finer than the model, and the mean of what the
teacher says of it seen from its eight sides: surer than what it says of a tile in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from building_segmenter.chips.dataset import open_dataset
from building_segmenter.inference.network import coarse_network
from building_segmenter.inference.runtime import TilePredictor
from building_segmenter.inference.turns import TURNS, turned
from building_segmenter.networks.model_file import read_facts

BATCH = 4
_SHARP = 1
"""Lessons of a batch whose images are left as sharp as the chips are, for images as coarse as the model."""

_SOFT_KERNEL = (0.125, 0.75, 0.125)
"""What reading softly at twice the image's ground pixel is, beside the mean of two pixels, in pixels of the model."""

_DRAWN, _DRAWN_SHARE = "scene", 0.04
"""Drawn scenes are easy; sites on the ground share the rest evenly, however many chips they have."""


@dataclass(frozen=True)
class Lessons:
    """Chips and what a teacher says of them.

    Args:
        images: (lessons, side, side, bands) in the chips' own type.
        logits: (lessons, side / factor, side / factor, channels) float32, of cells.
        shares: How often each is to be shown; they add up to one.
    """

    images: NDArray[Any]
    logits: NDArray[np.float32]
    shares: NDArray[np.float64]

    def batches(self, steps: int, seed: Sequence[int]) -> Iterator[tuple[Any, Any]]:
        """Give batches of images and logits, (batch, side, side, ...) float32, turned at random.

        Args:
            steps: How many.
            seed: Equal ones give equal batches.
        """
        rng = np.random.default_rng(seed)
        sides = TURNS["turns"]
        for _ in range(steps):
            chosen = rng.choice(len(self.shares), BATCH, p=self.shares)
            turns = [sides[number] for number in rng.integers(len(sides), size=BATCH)]
            images, logits = (
                [turned(one[index], turn).astype(np.float32) for index, turn in zip(chosen, turns, strict=True)]
                for one in (self.images, self.logits)
            )
            soft = [softened(image) for image in images[_SHARP:]]
            # As the network itself enlarges its logits.
            yield tf.constant(np.stack(images[:_SHARP] + soft)), tf.image.resize(np.stack(logits), images[0].shape[:2])

    def masks(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
        """Give each image as soft as it is read, and where the teacher sees a building: (side, side, 1) of 0 and 1."""
        for image, logits in zip(self.images, self.logits, strict=True):
            likely = tf.image.resize(logits[..., :1], image.shape[:2]).numpy() > 0
            yield softened(image.astype(np.float32)), likely.astype(np.uint8)


def lessons_of(folders: Iterable[str | Path], teacher: Path, split: str = "train") -> Lessons:
    """Return lessons of all chips of some folders.

    Args:
        folders: Data sets of chips as large as the teacher's tiles, named SITE_NUMBER.
        teacher: Model file of ours.
        split: Which chips: train or validation.

    Raises:
        BuildingSegmenterError: The model or a data set cannot be read.
        ValueError: A chip is not as large as the teacher's tiles.
    """
    images, sites = [], []
    for folder in map(Path, folders):
        dataset = open_dataset(folder)
        chips = [dataset.read_image(chip) for chip in dataset.split(split)]
        images += chips
        sites += [folder.name.rpartition("_")[0]] * len(chips)
    facts = read_facts(teacher)
    sizes = {image.shape for image in images}
    if sizes != {(facts.tile_size, facts.tile_size, len(facts.bands))}:
        raise ValueError(
            f"chips of {sizes} are not tiles of {teacher} ({facts.tile_size} px, {len(facts.bands)} bands)"
        )
    predictor = TilePredictor(coarse_network(teacher, facts), "f32", augment="turns")

    def said(image: NDArray[Any]) -> NDArray[np.float32]:
        return predictor.predict(softened(image.astype(np.float32)))

    with ThreadPoolExecutor(predictor.requests) as pool:
        return Lessons(np.stack(images), np.stack(list(pool.map(said, images))), shares_of(sites))


def shares_of(sites: Sequence[str]) -> NDArray[np.float64]:
    """Return how often each chip is to be shown, given the site of each: sites equally often, drawn scenes seldom."""
    names, index, counts = np.unique(sites, return_inverse=True, return_counts=True)
    wanted = np.where(names == _DRAWN, _DRAWN_SHARE, (1.0 - _DRAWN_SHARE) / max(np.count_nonzero(names != _DRAWN), 1))
    shares: NDArray[np.float64] = (wanted / counts)[index]
    return shares / shares.sum()


def softened(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an image (height, width, bands) as soft as *Segment raster* reads it; at the border it is mirrored."""
    for axis in (0, 1):
        image = correlate1d(image, _SOFT_KERNEL, axis=axis, mode="reflect")
    return image
