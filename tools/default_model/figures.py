"""What the card tells of a model, measured: plain mappings, ready for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from building_segmenter.assessment.objects import ObjectAccuracy
from building_segmenter.errors import InvalidParameterError
from building_segmenter.networks import safety
from building_segmenter.networks.facts import item_to_facts
from tools.default_model import runs
from tools.default_model.blocks import BLOCKS, Place
from tools.default_model.cells import CellCounts, estimated, estimated_mean, joined

GROUND_PIXELS_M = (0.1, 0.15, 0.2, 0.3)

Figures = dict[str, Any]


def accuracy(model: Path, places: Sequence[Place], scratch: Path) -> list[Figures]:
    """Return of each place the pixel IoU, and how buildings were found with and without parting those that touch."""
    rows = []
    for place in places:
        prediction = runs.segmented(place.image, model, scratch / "probability.tif")
        rows.append(
            {
                "place": place.title,
                "threshold": prediction.threshold,
                "pixel_iou": runs.compared(prediction, place).iou,
                "parted": object_figures(runs.objects(place, model, scratch / "parted.gpkg", split=True)),
                "not_parted": object_figures(runs.objects(place, model, scratch / "whole.gpkg", split=False)),
            }
        )
    return rows


def by_ground_pixel(
    model: Path, places: Sequence[Place], scratch: Path, pixels: Sequence[float] = GROUND_PIXELS_M
) -> list[Figures]:
    """Return the pixel IoU of each place, its image resampled to each ground pixel in metres, and their mean."""
    rows = []
    for gsd in pixels:
        ious = {}
        for place in places:
            image = runs.resampled(place.image, gsd, scratch / "coarse.tif")
            prediction = runs.segmented(image, model, scratch / "probability.tif")
            ious[place.title] = runs.compared(prediction, place).iou
        rows.append({"gsd": gsd, "pixel_iou": ious, "mean": float(np.mean(list(ious.values())))})
    return rows


def by_precision(model: Path, places: Sequence[Place], scratch: Path) -> list[Figures]:
    """Return what 16-bit arithmetic changes at each place; nothing where the processor has none."""
    rows = []
    for place in places:
        full = runs.segmented(place.image, model, scratch / "f32.tif", "f32")
        try:
            half = runs.segmented(place.image, model, scratch / "bf16.tif", "bf16")
        except InvalidParameterError:
            return []
        ious = {name: runs.compared(one, place).iou for name, one in (("f32", full), ("bf16", half))}
        rows.append({"place": place.title, **ious, "mask_iou": runs.agreement(full, half)})
    return rows


def left_out(models: Mapping[str, Path], places: Mapping[str, Sequence[Place]], scratch: Path) -> Figures:
    """Return the pixel IoU of each town by a model that has not seen it, at the threshold chosen without it.

    Args:
        models: Model file by town.
        places: All places of each of these towns.
        scratch: Folder for what is thrown away.

    Returns:
        `towns`, each with the IoU of its cells of ground, its interval of 95 % and the IoU of each place; and `mean`
        of the towns, with its interval.
    """
    towns, cells = [], []
    for town, model in models.items():
        predictions = [runs.segmented(place.image, model, scratch / f"{n}.tif") for n, place in enumerate(places[town])]
        counts = [runs.compared(one, place) for one, place in zip(predictions, places[town], strict=True)]
        by_place = {place.title: one.iou for place, one in zip(places[town], counts, strict=True)}
        cells.append(joined(counts))
        towns.append(town_figures(town, cells[-1]) | {"threshold": predictions[0].threshold, "places": by_place})
    return {"towns": towns, "mean": asdict(estimated_mean(cells))}


def town_figures(town: str, cells: CellCounts) -> Figures:
    """Return the figures of a town's cells."""
    return {"town": town, "cells": len(cells), **asdict(estimated(cells))}


def object_figures(accuracy: ObjectAccuracy) -> Figures:
    """Return the figures of buildings found; corners are None where no whole building was matched."""
    matches = accuracy.matches
    return {
        "f1": matches.f1,
        "precision": matches.precision,
        "recall": matches.recall,
        "found": matches.predicted_count,
        "true": matches.reference_count,
        "matched": len(matches),
        "corners": _known(accuracy.predicted_corners),
        "true_corners": _known(accuracy.reference_corners),
    }


def towns_seen(model: Path) -> set[str]:
    """Return the towns whose chips trained a model or chose its threshold, by the record in its file."""
    # Not by `model_file`, which imports Keras before the first task has chosen its backend.
    with safety.open_archive(model) as archive:
        facts = item_to_facts(safety.read_json(archive, "mlm.json", str(model)), str(model))
    folders = {one.get("folder") for one in facts.training.get("datasets", [])}
    return {block.town for block in BLOCKS if block.name in folders}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
