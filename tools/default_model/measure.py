"""Measure the shipped model, or others, for the tables of models/README.md.

usage: python -m tools.default_model.measure --data FOLDER [MODEL ...] [--left-out TOWN=MODEL ...] [--json FILE]

Every figure comes from the tasks *Segment raster* and *Extract buildings* with their defaults. Where neither a MODEL
nor a left-out town is named, the shipped model is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from building_segmenter.errors import BuildingSegmenterError
from building_segmenter.networks.shipped import default_model_path
from tools.default_model import figures, tables
from tools.default_model.blocks import BLOCKS, TOWNS, WORK, place_of

PARTS = ("accuracy", "ground-pixel", "precision")


def main() -> None:
    """Run the command."""
    chosen = parsed()
    chosen.work.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".measure.", dir=chosen.work) as scratch:
            results = measured(chosen, Path(scratch))
    except BuildingSegmenterError as error:
        sys.exit(f"{error.message} {error.hint}")
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(f"Written: {chosen.json}", file=sys.stderr)


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure of a MODEL")
    parser.add_argument("--left-out", nargs="+", type=_pair, default=[], metavar="TOWN=MODEL")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    chosen = parser.parse_args(arguments)
    chosen.left_out = dict(chosen.left_out)
    if not chosen.models and not chosen.left_out:
        chosen.models = [default_model_path()]
    for town, model in chosen.left_out.items():
        if town in figures.towns_seen(model):
            parser.error(f"{model} has seen {town}: train one with --leave-out {town}")
    return chosen


def measured(chosen: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Measure what was asked for, print each table as soon as it is known, and return all figures."""
    results: dict[str, Any] = {"models": [], "left_out": None}
    judges = [place_of(block, chosen.data, chosen.work) for block in BLOCKS if block.validates] if chosen.models else []
    for model in chosen.models:
        print(f"\n## {model}")
        results["models"].append({"model": model.name, **_of_model(model, judges, chosen.parts, scratch)})
    if chosen.left_out:
        places = {
            town: [place_of(block, chosen.data, chosen.work) for block in BLOCKS if block.town == town]
            for town in chosen.left_out
        }
        results["left_out"] = figures.left_out(chosen.left_out, places, scratch)
        _show("Towns left out", tables.left_out_table(results["left_out"]))
    return results


def _of_model(model: Path, judges: list[Any], parts: Sequence[str], scratch: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "accuracy" in parts:
        found["accuracy"] = figures.accuracy(model, judges, scratch)
        _show("Validation blocks", tables.accuracy_table(found["accuracy"]))
    if "ground-pixel" in parts:
        found["ground_pixel"] = figures.by_ground_pixel(model, judges, scratch)
        _show("Pixel IoU by ground pixel of the image", tables.ground_pixel_table(found["ground_pixel"]))
    if "precision" in parts:
        found["precision"] = figures.by_precision(model, judges, scratch)
        table = tables.precision_table(found["precision"]) if found["precision"] else "This processor has no bf16."
        _show("Arithmetic of 16 and 32 bits", table)
    return found


def _show(title: str, table: str) -> None:
    print(f"\n{title}\n\n{table}", flush=True)


def _pair(text: str) -> tuple[str, Path]:
    town, sign, model = text.partition("=")
    if town not in TOWNS or not sign or not Path(model).is_file():
        raise argparse.ArgumentTypeError(f"{text!r} is not TOWN=MODEL with a town of {', '.join(TOWNS)} and a file")
    return town, Path(model)


if __name__ == "__main__":
    main()
