"""How true results are: every tool over the same outlines, for each kind of footprint and overall."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from benchmarks.measures import Measures, exact, iou, measure
from benchmarks.rivals import Answers, Tool, buildingregulariser_grid, has_qgis, our_methods, ours, qgis_grid
from benchmarks.tables import HEADINGS, row, table

Geometries = NDArray[np.object_]

# Short runs are repeated, since little disturbs a long one.
TIMED_RUNS, LONG_RUN_S = 3, 1.0
TOLERANCES = (0.75, 1.0, 1.5, 2.0, 2.5)


@dataclass(frozen=True)
class Case:
    """Outlines to regularize and what is known of them.

    Args:
        outlines: Array (n) of the polygons that tools are given.
        truth: Array (n) of what they should give back.
        kind: Array (n) of names to tell apart in tables.
        angle: Array (n) of true main directions in degrees; NaN where there is none.
    """

    outlines: Geometries
    truth: Geometries
    kind: NDArray[np.object_]
    angle: NDArray[np.float64]

    def found(self) -> Case:
        """Return the part of which there is an outline."""
        there = ~shapely.is_missing(self.outlines)
        return Case(self.outlines[there], self.truth[there], self.kind[there], self.angle[there])

    @property
    def kinds(self) -> list[str]:
        """Names in their order."""
        return list(dict.fromkeys(self.kind))

    def measured(self, answers: Answers) -> Measures:
        """Compare answers with what is known."""
        return measure(answers, self.truth, self.outlines, self.angle)


def contestants(case: Case, coarse: bool) -> tuple[list[Tool], list[str]]:
    """Choose every tool's parameters on the case itself; return the tools and what to say of the choice."""
    mine, remarks = chosen_ours(case, our_methods())
    rivals, more = chosen_rivals(case, coarse)
    tools, remarks = mine + rivals, remarks + more
    if has_qgis():
        remarks += _choose(list(qgis_grid()), case, tools)
    else:
        remarks.append("QGIS IS NOT INSTALLED HERE: its native:orthogonalize was NOT measured.")
    return tools, remarks


def chosen_ours(case: Case, methods: Iterable[str]) -> tuple[list[Tool], list[str]]:
    """Return our methods with their default tolerance and with the best, and what to say of the choice."""
    tools: list[Tool] = []
    remarks: list[str] = []
    for method in methods:
        grid = [ours(method, tolerance=tolerance) for tolerance in TOLERANCES]
        remarks += _choose(grid, case, tools, always=[grid[TOLERANCES.index(1.0)]])
    return tools, remarks


def chosen_rivals(case: Case, coarse: bool) -> tuple[list[Tool], list[str]]:
    """Return `buildingregulariser` with its best parameters, and what to say of the choice."""
    tools: list[Tool] = []
    return tools, _choose(list(buildingregulariser_grid(coarse)), case, tools)


def _choose(grid: list[Tool], case: Case, tools: list[Tool], always: list[Tool] | None = None) -> list[str]:
    """Add the tools of a grid with the best mean IoU and with the most exact corners."""
    scores = [_scores(tool, case) for tool in grid]
    best = max(range(len(grid)), key=lambda index: scores[index])
    sharpest = max(range(len(grid)), key=lambda index: scores[index][::-1])
    chosen = list(always or [])
    for tool, remark in ((grid[best], "best IoU"), (grid[sharpest], "most exact")):
        if tool not in chosen and not any(tool.parameters == other.parameters for other in chosen):
            chosen.append(tool.remarked(remark) if always is None else tool)
    tools += chosen
    return [
        f"{grid[0].name}: {len(grid)} settings tried."
        f" Best mean IoU {scores[best][0]:.4f} ({scores[best][1]:.0%} exact):"
        f" {grid[best].described()}. Most exact corners {scores[sharpest][1]:.0%} (IoU {scores[sharpest][0]:.4f}):"
        f" {grid[sharpest].described()}."
    ]


def _scores(tool: Tool, case: Case) -> tuple[float, float]:
    found = tool.run(case.outlines).geometry
    return float(iou(found, case.truth).mean()), float(exact(found, case.truth).mean())


def compare(case: Case, tools: Iterable[Tool]) -> str:
    """Run the tools kind by kind and return the tables: overall, then each kind."""
    rows: dict[str, list[list[str]]] = {name: [] for name in ("all", *case.kinds)}
    nothing = np.zeros(len(case.truth), bool)
    _add(rows, "(truth)", case, case.measured(Answers(case.truth, nothing, 0.0)), {})
    _add(rows, "(input)", case, case.measured(Answers(case.outlines, nothing, 0.0)), {})
    for tool in tools:
        answers, seconds = run_by_kind(tool, case)
        _add(rows, str(tool), case, case.measured(answers), seconds)
    titles = {name: f"{name} ({len(case.truth) if name == 'all' else (case.kind == name).sum()})" for name in rows}
    return "\n\n".join(f"### {titles[name]}\n\n{table(HEADINGS, rows[name])}" for name in rows)


def run_by_kind(tool: Tool, case: Case) -> tuple[Answers, dict[str, float]]:
    """Run a tool on each kind several times; return its answers and the (median) seconds of each kind."""
    tool.run(case.outlines[:5])
    answers = Answers(np.full(len(case.truth), None, object), np.zeros(len(case.truth), bool), 0.0)
    seconds = {}
    for kind in case.kinds:
        which = case.kind == kind
        start = time.perf_counter()
        runs = [tool.run(case.outlines[which])]
        while len(runs) < TIMED_RUNS and time.perf_counter() - start < LONG_RUN_S:
            runs.append(tool.run(case.outlines[which]))
        answers.geometry[which], answers.kept[which] = runs[0].geometry, runs[0].kept
        seconds[kind] = float(np.median([run.seconds for run in runs]))
    return answers, seconds


def _add(
    rows: dict[str, list[list[str]]], name: str, case: Case, measures: Measures, seconds: dict[str, float]
) -> None:
    """Add a tool's row to the table of all and to that of each kind."""
    rows["all"].append(row(name, measures, len(case.truth) / sum(seconds.values()) if seconds else None))
    for kind in case.kinds:
        which = case.kind == kind
        rows[kind].append(row(name, measures.of(which), which.sum() / seconds[kind] if seconds else None))
