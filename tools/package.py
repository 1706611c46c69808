"""Make the plugin's zip: the package with real files instead of links, and the shipped model inside.

usage: package.py OUTPUT_FOLDER      (any Python from 3.9, standard library only)
"""

import configparser
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "building_segmenter"
LIMIT = 25 * 1024 * 1024
SKIPPED = {"__pycache__", "dev.txt"}


def main(output):
    """Write OUTPUT/building_segmenter-VERSION.zip and print its path."""
    metadata = configparser.ConfigParser(interpolation=None)
    metadata.read(ROOT / "metadata.txt", encoding="utf-8")
    target = Path(output) / f"building_segmenter-{metadata['general']['version']}.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, name in files():
            archive.writestr(zipfile.ZipInfo.from_file(path, f"building_segmenter/{name}"), path.read_bytes())
    if target.stat().st_size > LIMIT:
        sys.exit(f"{target} is larger than {LIMIT >> 20} MiB, the most that the plugin repository takes.")
    print(target)


def files():
    """Yield each file of the plugin and its name inside the plugin's folder."""
    for path in sorted(PACKAGE.rglob("*")):
        if path.is_file() and not SKIPPED.intersection(path.relative_to(PACKAGE).parts):
            yield path.resolve(), path.relative_to(PACKAGE).as_posix()
    yield ROOT / "LICENSE", "LICENSE"
    for path in sorted((ROOT / "models").iterdir()):
        yield path, f"models/{path.name}"


if __name__ == "__main__":
    main(sys.argv[1])
