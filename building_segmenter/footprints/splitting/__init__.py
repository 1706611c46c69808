"""Parting outlines where the model sees that two buildings touch."""

from building_segmenter.footprints.splitting.basins import SplitRule
from building_segmenter.footprints.splitting.splitter import Splitter, contact_band

__all__ = ["SplitRule", "Splitter", "contact_band"]
