"""The algorithm *Set up environment*."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
)

from building_segmenter.errors import BuildingSegmenterError
from building_segmenter.plugin import settings
from building_segmenter.plugin.algorithms.base import Algorithm
from building_segmenter.plugin.environment.check import check_environment, write_report
from building_segmenter.plugin.environment.profiles import PROFILES
from building_segmenter.plugin.environment.setup import setup_environment
from building_segmenter.plugin.feedback import FeedbackListener, as_processing_exception, cancelled_by_interrupt
from building_segmenter.plugin.process.listener import PartListener

PYTHON, PROFILE, BUNDLE, OUTPUT = "PYTHON", "PROFILE", "BUNDLE", "OUTPUT"


class SetupEnvironment(Algorithm):
    """The engine's own Python environment."""

    ID = "setupenvironment"
    TITLE = "Set up environment"
    GROUP = "environment"
    TAGS = ("install", "python", "packages", "pip", "venv", "dependencies")
    HELP = """
Makes the Python environment in which all other tools do their work. Run it once, and again after an update of the
plugin that asks for it.

It is a folder of its own under your user's data: nothing is installed into QGIS, into its Python, or for the whole
computer, and no administrator's rights are needed. A Python 3.11 to 3.13 must be there. Some hundreds of megabytes
are downloaded; every file is checked against a list of hashes. The new environment is tried out before it replaces the
old one, which stays in use until then.
"""

    def initAlgorithm(self, configuration: Any = None) -> None:
        """Declare the parameters."""
        python = QgsProcessingParameterFile(PYTHON, "Python to build with", optional=True)
        python.setHelp("Path of a Python 3.11 to 3.13. Empty: the newest that is found on this computer.")
        profile = QgsProcessingParameterEnum(
            PROFILE, "Profile", options=list(PROFILES), defaultValue=PROFILES[0], usesStaticStrings=True
        )
        profile.setHelp("predict: all but training. train: training too, which needs about twice the space.")
        folder = QgsProcessingParameterFile.Behavior.Folder
        bundle = QgsProcessingParameterFile(BUNDLE, "Folder of wheels", folder, optional=True)
        bundle.setHelp("For computers without internet: a folder of packages to install from. Empty: the internet.")
        report = QgsProcessingParameterFileDestination(
            OUTPUT, "Report", fileFilter="HTML files (*.html)", optional=True, createByDefault=False
        )
        report.setHelp("Page with the versions and paths of the new environment.")
        for parameter in (profile, python, bundle, report):
            self.addParameter(parameter)

    def processAlgorithm(
        self, parameters: dict, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict:
        """Build the environment, and report on it if asked to."""
        listener = FeedbackListener(feedback)
        output = self.parameterAsFileOutput(parameters, OUTPUT, context)
        environ = settings.engine_environment()
        try:
            with cancelled_by_interrupt(feedback):
                python = setup_environment(
                    environ,
                    PartListener(listener, 0.0, 0.95),
                    profile=self.parameterAsEnumString(parameters, PROFILE, context),
                    python=self.parameterAsFile(parameters, PYTHON, context) or None,
                    bundle=self.parameterAsFile(parameters, BUNDLE, context) or None,
                )
            feedback.pushInfo(f"The engine now runs in {python}.")
            self._warn_if_unused(python, feedback)
            if output:
                write_report(check_environment(environ, PartListener(listener, 0.95, 1.0), python), output)
        except BuildingSegmenterError as error:
            raise as_processing_exception(error) from error
        return {OUTPUT: output, PYTHON: python} if output else {PYTHON: python}

    def _warn_if_unused(self, python: str, feedback: QgsProcessingFeedback) -> None:
        named = settings.named_python()
        if named:
            feedback.pushWarning(
                f"{named} is still used: it is named in a variable or in the options. Remove it there."
            )
