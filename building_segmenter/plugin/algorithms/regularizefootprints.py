"""The algorithm *Regularize footprints*."""

from __future__ import annotations

from building_segmenter.plugin.algorithms.base import TaskAlgorithm


class RegularizeFootprints(TaskAlgorithm):
    """Straight walls and right angles within a tolerance."""

    ID = "regularizefootprints"
    TITLE = "Regularize footprints"
    GROUP = "footprints"
    TASK = "regularize"
    TAGS = ("regularize", "orthogonalize", "square", "right angles", "simplify", "regularize building footprint")
    HELP = """
Straightens the outlines of buildings on the ground: to right angles, with diagonals, to any angle, or to circles. Auto
makes round outlines circles, and takes the simplest of the others that serves.

Each outline is solved as a whole: of all outlines within the tolerance, the one with few walls that lies closest to
the input is taken. The result stays within the tolerance of the input, and the input within the tolerance of the
result. A good tolerance is 2 to 4 pixels of the image that the footprints come from.

With Shared walls, footprints that touch keep one common wall, without gaps and overlaps.

Footprints can be given directions to try first: that of a road or parcel boundary beside them (Alignment lines),
directions that you know (Preferred directions), and the common one of their neighbours (Neighbour distance), which
makes rows of rough outlines agree. Where an outline fits its own direction far better, it keeps it.

No feature is lost: where no outline fits, the original is kept with status 1, and the field reason says why. Status 0
is a regularized footprint. All fields of the input are kept. If only some features are selected, tick Selected
features only.
"""
