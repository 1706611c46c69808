"""Figures as tables for the model card, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Figures = Mapping[str, Any]


def accuracy_table(rows: Sequence[Figures]) -> str:
    """Return the table of `figures.accuracy`."""
    headings = (
        "block",
        "pixel IoU",
        "object F1 (precision, recall), touching buildings parted",
        "not parted",
        "corners a matched building (labels)",
    )
    lines = [
        (row["place"], _share(row["pixel_iou"]), _found(row["parted"]), _found(row["not_parted"]), _corners(row))
        for row in rows
    ]
    means = [_share(np.mean([row["pixel_iou"] for row in rows]))]
    means += [f"{np.mean([row[way]['f1'] for row in rows]):.2f}" for way in ("parted", "not_parted")]
    return table(headings, [*lines, ("mean", *means, "")])


def ground_pixel_table(rows: Sequence[Figures]) -> str:
    """Return the table of `figures.by_ground_pixel`."""
    places = list(rows[0]["pixel_iou"])
    lines = [
        (f"{row['gsd']:g} m", *(_share(row["pixel_iou"][place]) for place in places), _share(row["mean"]))
        for row in rows
    ]
    return table(("ground pixel of the image", *places, "mean"), lines)


def precision_table(rows: Sequence[Figures]) -> str:
    """Return the table of `figures.by_precision`."""
    headings = ("block", "f32", "bf16", "difference", "IoU of the two masks")
    return table(
        headings,
        [
            (row["place"], _share(row["f32"]), _share(row["bf16"]), f"{row['bf16'] - row['f32']:+.4f}",
             f"{row['mask_iou']:.4f}")
            for row in rows
        ],
    )  # fmt: skip


def left_out_table(figures: Figures) -> str:
    """Return the table of `figures.left_out`."""
    lines = [
        (row["town"].capitalize(), _estimate(row), f"{row['cells']}", f"{row['threshold']:.2f}", _places(row["places"]))
        for row in figures["towns"]
    ]
    headings = ("town left out", "pixel IoU (95 %)", "cells of ground", "threshold", "blocks")
    return table(headings, [*lines, ("mean", _estimate(figures["mean"]), "", "", "")])


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _share(value: float) -> str:
    return f"{value:.3f}"


def _estimate(figures: Figures) -> str:
    return f"{figures['value']:.3f} ({figures['low']:.3f} to {figures['high']:.3f})"


def _found(figures: Figures) -> str:
    return f"{figures['f1']:.2f} ({figures['precision']:.2f}, {figures['recall']:.2f})"


def _corners(row: Figures) -> str:
    corners, true = row["parted"]["corners"], row["parted"]["true_corners"]
    return "none" if corners is None else f"{corners:.1f} ({true:.1f})"


def _places(ious: Mapping[str, float]) -> str:
    return ", ".join(f"{place} {_share(iou)}" for place, iou in ious.items())
