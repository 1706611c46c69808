"""Pages that need nothing but themselves: no script, no style sheet or picture from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

_STYLE = """
:root { color-scheme: light; --ink: #1c2430; --quiet: #5c6675; --line: #d8dde4; --paper: #ffffff; }
body { font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
.lead { color: var(--quiet); margin-top: .2rem; }
table { border-collapse: collapse; margin: .6rem 0; } caption { text-align: left; color: var(--quiet); }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; } figcaption { color: var(--quiet); font-size: .9rem; }
img { max-width: 100%; height: auto; image-rendering: auto; } svg { max-width: 100%; height: auto; }
pre { background: #f4f6f8; padding: .8rem; font-size: .85rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } .key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 .9em; }
"""


def page(title: str, lead: str, sections: Iterable[tuple[str, str]]) -> str:
    """Return a whole HTML page.

    Args:
        title: Heading, plain text.
        lead: A sentence below it, plain text.
        sections: Heading (plain text) and body (HTML) of each section.
    """
    body = "".join(f"<section><h2>{escape(heading)}</h2>{content}</section>\n" for heading, content in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f'<body><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>\n{body}</body></html>\n'
    )


def table(rows: Sequence[Sequence[Any]], head: Sequence[str] = (), caption: str = "") -> str:
    """Return a table; numbers are set to the right.

    Args:
        rows: Cells, plain values.
        head: Column titles.
        caption: A line above the table.
    """
    top = f"<tr>{''.join(f'<th>{escape(title)}</th>' for title in head)}</tr>" if head else ""
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="wide"><table>{said}{top}{lines}</table></div>'


def escape(value: Any) -> str:
    """Return a value as text that is safe inside HTML."""
    return html.escape(str(value))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.4g}</td>'
    if isinstance(value, int) and not isinstance(value, bool):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{escape(value)}</td>"
