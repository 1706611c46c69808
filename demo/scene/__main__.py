"""Write drawn scenes for training: `python -m demo.scene OUT_DIR --seed 1 --size 2048 --count 4`."""

from __future__ import annotations

import argparse
from pathlib import Path

from demo.scene import draw_scene, write_scene
from demo.scene.style import STYLES


def main() -> None:
    """Write scene_SEED.tif and scene_SEED.gpkg for `count` seeds in a row."""
    parser = argparse.ArgumentParser(description="Draw aerial scenes with exact building footprints.")
    parser.add_argument("folder", type=Path, metavar="OUT_DIR")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first scene")
    parser.add_argument("--size", type=int, default=2048, help="width and height in pixels")
    parser.add_argument("--count", type=int, default=1, help="number of scenes")
    parser.add_argument("--gsd", type=float, default=0.15, help="ground pixel in metres")
    parser.add_argument("--town", choices=sorted(STYLES), help="kind of town; any of them if not given")
    parser.add_argument("--crs", default="EPSG:32636")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seed, options.seed + options.count):
        scene = draw_scene(seed, options.size, options.size, options.gsd, options.town)
        raster, footprints = options.folder / f"scene_{seed}.tif", options.folder / f"scene_{seed}.gpkg"
        write_scene(scene, raster, footprints, options.crs)
        print(f"{raster}: {len(scene.footprints)} buildings")


if __name__ == "__main__":
    main()
