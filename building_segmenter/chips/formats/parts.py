"""What of each chip waits in a file of its own until all chips are written and are put together in one file.

A stopped export keeps them, so it goes on without cutting those chips again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from building_segmenter.chips.manifest import MANIFEST

PARTS = ".parts"
"""Their folder in an export."""


def is_put_together(folder: Path) -> bool:
    """Tell whether an export was finished, and stopped while its parts were removed."""
    return (folder / MANIFEST).is_file() and not (folder / PARTS).is_dir()


def remove_parts(folder: Path) -> None:
    """Remove them once they are put together and the manifest is written."""
    # Renamed first, so that they are all there or none.
    done = folder / f"{PARTS}.done"
    (folder / PARTS).rename(done)
    shutil.rmtree(done, ignore_errors=True)
