"""The blocks of imagery that train the shipped model, and those that judge it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / "build" / "default-model"


@dataclass(frozen=True)
class Block:
    """A mosaic of the data folder and what it is used for.

    Args:
        town: Blocks of one town show the same roofs: all of them are left out, or none.
        site: Folder of the block's tiles and labels in the data folder.
        number: Which block of the site.
        stride: Pixels from chip to chip; a small site's chips overlap more, so that it counts.
        validates: Its chips choose the epoch and the threshold; none of them trains.
        labelled_area: File of the site with the polygon that its labels cover; None: they are complete.
    """

    town: str
    site: str
    number: int
    stride: int
    validates: bool = False
    labelled_area: str | None = None

    @property
    def name(self) -> str:
        """Name of its folder of chips."""
        return f"{Path(self.site).name}_{self.number}"

    @property
    def title(self) -> str:
        """Its name for people."""
        return f"{Path(self.site).name.replace('_', ' ').capitalize()} block {self.number}"


BLOCKS = (
    Block("zanzibar", "hot_oam_7cm/zanzibar", 0, 256),
    Block("zanzibar", "hot_oam_7cm/zanzibar", 1, 256),
    Block("kampala", "hot_oam_7cm/kampala", 0, 128),
    Block("kampala", "hot_oam_7cm/kampala", 1, 512, validates=True),
    Block("banepa", "hot_oam_7cm/banepa_south", 0, 128),
    Block("banepa", "hot_oam_7cm/banepa_south", 1, 512, validates=True),
    Block("banepa", "banepa_13cm/centre", 0, 256),
    Block("banepa", "banepa_13cm/north", 0, 256, labelled_area="label_aoi.geojson"),
)
TOWNS = tuple(dict.fromkeys(block.town for block in BLOCKS))


@dataclass(frozen=True)
class Place:
    """An image with the outlines of its buildings.

    Args:
        title: Its name for people.
        image: Raster.
        labels: Polygon layer of its buildings, in any CRS.
        area: Polygon layer of where the labels are complete; None: everywhere.
    """

    title: str
    image: Path
    labels: Path
    area: Path | None = None


def blocks_without(town: str | None) -> tuple[Block, ...]:
    """Return all blocks but those of a town; all of them for None."""
    return tuple(block for block in BLOCKS if block.town != town)


def place_of(block: Block, data: Path, work: Path) -> Place:
    """Return a block's image, joined from its tiles unless the work folder has it, and its labels.

    Args:
        block: One of `BLOCKS`.
        data: Folder of the sites and of the script `make_mosaics.py`.
        work: Folder for the mosaics.
    """
    site = data / block.site
    mosaic = work / f"{site.name}_block{block.number}.tif"
    if not mosaic.is_file():
        _join_tiles(site, data / "make_mosaics.py", work)
    area = site / block.labelled_area if block.labelled_area else None
    return Place(block.title, mosaic, site / "labels.geojson", area)


def _join_tiles(site: Path, script: Path, work: Path) -> None:
    # By way of a scratch folder: half a mosaic, of a run that was killed, must not be taken for a whole one.
    with tempfile.TemporaryDirectory(prefix=".mosaics.", dir=work) as scratch:
        subprocess.run([sys.executable, script, site, scratch], check=True, stdout=sys.stderr)
        for made in Path(scratch).glob("*.tif"):
            made.replace(work / made.name)
