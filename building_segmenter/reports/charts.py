"""Line charts as SVG inside a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from building_segmenter.reports.page import escape

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 500, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 34, 44
# Okabe and Ito's colours, told apart by colour-blind readers too.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


def line_chart(
    title: str,
    series: Mapping[str, Points],
    x_label: str,
    y_range: tuple[float, float] | None = None,
    marker: tuple[float, str] | None = None,
) -> str:
    """Return a chart of one or more lines.

    Args:
        title: Plain text above the chart.
        series: Name and points (x, y) of each line; points that are not finite are left out.
        x_label: What the x axis is.
        y_range: Lowest and highest y. None: chosen from the points.
        marker: An x to mark, and what it means.
    """
    kept = {name: [p for p in points if all(map(math.isfinite, p))] for name, points in series.items()}
    x_ticks = _ticks(*_span([x for points in kept.values() for x, _ in points]))
    y_ticks = _ticks(*(y_range or _span([y for points in kept.values() for _, y in points])))
    frame = _Frame((x_ticks[0], x_ticks[-1]), (y_ticks[0], y_ticks[-1]))
    parts = [_axes(frame, x_ticks, y_ticks, x_label)]
    parts += [_line(frame, points, _COLOURS[i % len(_COLOURS)]) for i, points in enumerate(kept.values())]
    parts += [_legend(list(kept))]
    if marker is not None:
        parts.append(_marker(frame, *marker))
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img"'
        f' aria-label="{escape(title)}" font-size="11" fill="#1c2430">'
        f'<text x="{_LEFT}" y="14" font-size="13" font-weight="600">{escape(title)}</text>'
        f"{''.join(parts)}</svg></figure>"
    )


class _Frame:
    """Where values lie in the picture."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the place of a point in the picture."""
        across = (x - self._x[0]) / (self._x[1] - self._x[0])
        up = (y - self._y[0]) / (self._y[1] - self._y[0])
        return (
            round(_LEFT + across * (_WIDTH - _LEFT - _RIGHT), 2),
            round(_HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM), 2),
        )


def _span(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def _axes(frame: _Frame, x_ticks: Sequence[float], y_ticks: Sequence[float], x_label: str) -> str:
    parts = []
    for y in y_ticks:
        (x0, height), (x1, _) = frame.at(x_ticks[0], y), frame.at(x_ticks[-1], y)
        parts.append(f'<line x1="{x0}" x2="{x1}" y1="{height}" y2="{height}" stroke="#d8dde4"/>')
        parts.append(f'<text x="{x0 - 6}" y="{height + 4}" text-anchor="end">{y:.6g}</text>')
    for x in x_ticks:
        across, down = frame.at(x, y_ticks[0])
        parts.append(f'<text x="{across}" y="{down + 16}" text-anchor="middle">{x:.6g}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle" fill="#5c6675">{escape(x_label)}</text>')
    return "".join(parts)


def _line(frame: _Frame, points: Points, colour: str) -> str:
    places = [frame.at(x, y) for x, y in points]
    path = " ".join(f"{x},{y}" for x, y in places)
    # Dots too: a run of one epoch has no line.
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="2"/>' for x, y in places) if len(places) <= 60 else ""
    return f'<g stroke="{colour}" fill="{colour}"><polyline points="{path}" fill="none" stroke-width="2"/>{dots}</g>'


def _legend(names: Sequence[str]) -> str:
    width = (_WIDTH - _LEFT - _RIGHT) / max(len(names), 1)
    return "".join(
        f'<rect x="{_LEFT + index * width}" y="20" width="12" height="4" fill="{_COLOURS[index % len(_COLOURS)]}"/>'
        f'<text x="{_LEFT + index * width + 16}" y="26">{escape(name)}</text>'
        for index, name in enumerate(names)
    )


def _marker(frame: _Frame, x: float, meaning: str) -> str:
    (across, _), top, bottom = frame.at(x, 0.0), _TOP, _HEIGHT - _BOTTOM
    anchor, shift = ("end", -4) if across > _WIDTH / 2 else ("start", 4)
    return (
        f'<line x1="{across}" x2="{across}" y1="{top}" y2="{bottom}" stroke="#5c6675" stroke-dasharray="4 3"/>'
        f'<text x="{across + shift}" y="{bottom - 6}" text-anchor="{anchor}" fill="#5c6675">{escape(meaning)}</text>'
    )
