"""The algorithm *Check environment*."""

from __future__ import annotations

import os
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterFileDestination,
)

from building_segmenter.errors import BuildingSegmenterError
from building_segmenter.plugin import settings
from building_segmenter.plugin.algorithms.base import Algorithm
from building_segmenter.plugin.environment.check import check_environment, write_report
from building_segmenter.plugin.feedback import FeedbackListener, as_processing_exception

OUTPUT = "OUTPUT"


class CheckEnvironment(Algorithm):
    """Versions, paths, and what is wrong."""

    ID = "checkenvironment"
    TITLE = "Check environment"
    GROUP = "environment"
    TAGS = ("versions", "python", "packages", "diagnose", "report")
    HELP = """
Tells which Python environment the tools use, the versions of its packages, and what is wrong with it.

Ends with an error if something is wrong; the log and the report say what to do. Add the report when you ask for help.
"""

    def initAlgorithm(self, configuration: Any = None) -> None:
        """Declare the parameter."""
        report = QgsProcessingParameterFileDestination(
            OUTPUT, "Report", fileFilter="HTML files (*.html)", optional=True, createByDefault=True
        )
        report.setHelp("Page with versions, paths and problems.")
        self.addParameter(report)

    def processAlgorithm(
        self, parameters: dict, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict:
        """Check, and write the report."""
        output = self.parameterAsFileOutput(parameters, OUTPUT, context)
        try:
            report = check_environment(
                os.environ, FeedbackListener(feedback), settings.engine_python_setting(), settings.engine_environment()
            )
            feedback.pushInfo(report.as_text())
            if output:
                write_report(report, output)
        except BuildingSegmenterError as error:
            raise as_processing_exception(error) from error
        if not report.works:
            raise QgsProcessingException("\n".join(report.problems))
        return {OUTPUT: output} if output else {}
