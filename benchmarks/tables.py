"""Plain tables of measures, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # its import needs the rivals
    from benchmarks.measures import Measures

MEANS = ("IoU", "exact", "right", "dev 95 %", "dev max", "angle")
FAILURES = ("dropped", "invalid", "split", "kept")
HEADINGS = ("tool", *MEANS, *FAILURES, "per s")

EXPLANATION = """\
IoU: mean over all footprints, with the truth (0 where one was dropped). exact: share with the truth's number of corners
in every ring (round: share that are circles). right: share of corners within 0.1 degrees of 90. dev: distance in metres
between the boundaries of result and input (Hausdorff). angle: mean error of the main direction in degrees. dropped,
invalid, split (in pieces), kept (the input given back): numbers of footprints. per s: polygons per second of
one processor."""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with aligned columns."""
    lines = [list(headings), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    texts.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(texts)


def row(name: str, measures: Measures, per_second: float | None) -> list[str]:
    """Return a tool's row for the columns of `HEADINGS`."""
    some = np.isfinite(measures.deviation).any()
    counts = (measures.dropped, measures.invalid, measures.split, measures.kept)
    return [
        name,
        f"{measures.iou.mean():.4f}",
        f"{measures.exact.mean():.0%}",
        f"{measures.right.sum() / max(measures.corners.sum(), 1):.0%}",
        f"{np.nanpercentile(measures.deviation, 95):.2f}" if some else "-",
        f"{np.nanmax(measures.deviation):.2f}" if some else "-",
        f"{np.nanmean(measures.angle_error):.2f}" if np.isfinite(measures.angle_error).any() else "-",
        *(f"{int(count.sum())}" for count in counts),
        f"{per_second:,.0f}" if per_second else "-",
    ]
