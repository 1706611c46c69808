"""Compiling all kernels ahead of their first use, so that no user waits for it."""

from __future__ import annotations

from typing import get_args

import numpy as np
import shapely

from building_segmenter.chips import sums
from building_segmenter.footprints.grouping import close_groups
from building_segmenter.footprints.neighbours import Directed, consensus, own_directions
from building_segmenter.footprints.regularize import Method, Settings
from building_segmenter.footprints.shared_walls import regularize_together
from building_segmenter.progress import Progress


def compile_kernels(progress: Progress) -> None:
    """Compile the kernels of regularization and of chips' export into the user's cache folder, or find them there.

    A minute or two the first time, then about a second. What runs is a tiny layer, with all methods and with what
    looks at neighbours.

    Raises:
        CancelledError: The caller asked to stop.
    """
    yard = shapely.box(0, 0, 20, 20).difference(shapely.box(6, 6, 13, 13))
    tower = shapely.Point(50, 0).buffer(6)
    slanted = shapely.Polygon([(80, 0), (110, 0), (98, 14), (80, 14)])
    layer = np.array([yard, shapely.box(20, 0, 32, 11), tower, slanted], object)
    methods = get_args(Method)
    for number, method in enumerate(methods):
        progress.update(number / (len(methods) + 1), "Compiling regularization")
        regularize_together(layer, Settings(method, threads=1))
    sums.compile_kernels()
    progress.update(len(methods) / (len(methods) + 1), "Compiling what looks at neighbours")
    close_groups(shapely.bounds(layer), 0.1)
    angle, variance = own_directions(layer, 3.0)
    consensus(Directed(np.zeros(len(layer)), np.zeros(len(layer)), angle, variance), 30.0)
