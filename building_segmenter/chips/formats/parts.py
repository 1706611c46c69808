"""What of each chip waits in a file of its own until all chips are written and are put together in one file.

A stopped export keeps them, so it goes on without cutting those chips again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

PARTS = ".parts"
"""Their folder in an export."""


def remove_parts(folder: Path) -> None:
    """Remove them once they are put together."""
    shutil.rmtree(folder / PARTS, ignore_errors=True)
