"""Seams: what the split of the work, the border of a file and the place of the tile grid change.

usage: python -m benchmarks.seams                                  some minutes
       python -m benchmarks.seams --part blocks --size 700         a quick look

blocks   The same raster in 1, 4 and 16 blocks of rows, each predicted by a run of its own (EXTENT) and joined: the same
         file to the byte; its outlines traced in 1, 4 and 16 bands of rows: the same layer to the byte.
halves   A raster cut in two, across and upright, at an odd pixel: the VRT of the halves and an EXTENT of the whole
         agree with the whole at every pixel. A half alone agrees where it has all the tiles that the whole has; in the
         last tile before the cut it cannot see what the whole sees.
shift    The raster moved on the map by half a stride, so that its tiles begin elsewhere on the same pixels; half a
         stride is a multiple of the network's stride, and pixels are read alike. How much of the mask changes, near the
         tile lines and elsewhere; at the model's native pixel, the shipped one unless another is named.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import seams_blocks, seams_halves, seams_shift
from benchmarks.imagery import UNSEEN, facts_of, shipped_facts

PARTS: dict[str, Callable[[argparse.Namespace, Path], bool]] = {
    "blocks": seams_blocks.run,
    "halves": seams_halves.run,
    "shift": seams_shift.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS), help="measure some of them")
    parser.add_argument("--size", type=int, default=2048, help="width and height of the raster made of real imagery")
    parser.add_argument("--blocks", nargs="+", default=UNSEEN, metavar="SITE:NUMBER", help="imagery it is made of")
    parser.add_argument("--images", nargs="*", metavar="SITE:NUMBER", help="whole blocks of imagery to shift besides")
    parser.add_argument("--precision", nargs="+", choices=("auto", "f32", "bf16"), default=["auto", "f32"])
    parser.add_argument("--model", type=Path, help="not the shipped one, but one of its ground pixel and tile size")
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    options = parser.parse_args()
    if options.model and not _is_like_the_shipped(options.model):
        parser.error(f"{options.model} has another ground pixel or tile size than the shipped model.")
    if options.images is None:
        options.images = seams_shift.LARGE
    with tempfile.TemporaryDirectory() as folder:
        kept = [PARTS[part](options, Path(folder)) for part in options.part]
    sys.exit(0 if all(kept) else 1)


def _is_like_the_shipped(model: Path) -> bool:
    given, shipped = facts_of(model), shipped_facts()
    return (given.gsd, given.tile_size) == (shipped.gsd, shipped.tile_size)


if __name__ == "__main__":
    main()
