"""Where buildings meet and what nobody knows, in a raster of its own beside formats that have no place for it.

contacts/000000000.tif: 1 where two buildings meet, 255 where unknown, 0 elsewhere
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from building_segmenter.chips.chip import IGNORE, Chip, ExportFacts
from building_segmenter.chips.formats.images import ImageSet, label_set
from building_segmenter.chips.formats.reading import CONTACTS, UNKNOWN


def contact_set(folder: Path, facts: ExportFacts) -> ImageSet:
    """Return the set of contacts of an export; nobody but this program reads them, so without world files."""
    return label_set(folder, CONTACTS, facts.tile_size, "uint8", facts.crs, world=False)


def marked_contacts(chip: Chip) -> NDArray[np.uint8]:
    """Return what the raster of contacts says of a chip."""
    unknown = chip.label == IGNORE
    return np.where(unknown, np.uint8(UNKNOWN), chip.contact) if unknown.any() else chip.contact
