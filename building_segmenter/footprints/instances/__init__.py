"""Instances that a detector found in overlapping tiles: pasted at image resolution, merged, and outlined.

A detector sees one tile at a time, so a building on a tile line is found two to four times, whole or in part. `placed`
brings boxes and masks to the pixels of the grid, `merged` makes one instance of all views of a building while tile rows
come in, and `features` traces sub-pixel outlines of what is settled:

    for batch in merged((top, instances_of_row) for ...):
        frame = features(batch, place)

Slicing libraries compare boxes over the whole image (SAHI's GREEDYNMM, F. Akyon and others, 2022) or drop what
touches a tile's edge (detectree2, J. Ball and others, 2023). Here masks are compared, and only in the ground that both
tiles see: there two views of one building are alike however much more of it one tile sees, and two buildings are not.
"""

from building_segmenter.footprints.instances.features import Place, features
from building_segmenter.footprints.instances.instance import Instance, Tile
from building_segmenter.footprints.instances.merging import Merger, merged
from building_segmenter.footprints.instances.pasting import placed
from building_segmenter.footprints.instances.views import Merged

__all__ = ["Instance", "Merged", "Merger", "Place", "Tile", "features", "merged", "placed"]
