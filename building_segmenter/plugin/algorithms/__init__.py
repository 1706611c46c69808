"""The algorithms of the provider, one file each."""

from __future__ import annotations

from building_segmenter.plugin.algorithms.checkenvironment import CheckEnvironment
from building_segmenter.plugin.algorithms.describemodel import DescribeModel
from building_segmenter.plugin.algorithms.detectbuildings import DetectBuildings
from building_segmenter.plugin.algorithms.exportmodel import ExportModel
from building_segmenter.plugin.algorithms.exporttrainingchips import ExportTrainingChips
from building_segmenter.plugin.algorithms.extractbuildings import ExtractBuildings
from building_segmenter.plugin.algorithms.polygonizemask import PolygonizeMask
from building_segmenter.plugin.algorithms.regularizefootprints import RegularizeFootprints
from building_segmenter.plugin.algorithms.segmentraster import SegmentRaster
from building_segmenter.plugin.algorithms.setupenvironment import SetupEnvironment
from building_segmenter.plugin.algorithms.trainmodel import TrainModel

ALGORITHMS = (
    ExtractBuildings,
    SegmentRaster,
    DetectBuildings,
    PolygonizeMask,
    RegularizeFootprints,
    ExportTrainingChips,
    TrainModel,
    DescribeModel,
    ExportModel,
    SetupEnvironment,
    CheckEnvironment,
)
