"""What the algorithms share: their place in the Toolbox, and a task's run in a worker."""

from __future__ import annotations

import os
from typing import Any

from qgis.core import QgsProcessingAlgorithm, QgsProcessingContext, QgsProcessingFeedback
from qgis.PyQt.QtGui import QIcon

from building_segmenter import tasks
from building_segmenter.errors import BuildingSegmenterError, InvalidParameterError
from building_segmenter.plugin import icons, settings
from building_segmenter.plugin.environment.engine_python import find_engine_python
from building_segmenter.plugin.feedback import FeedbackListener, as_processing_exception, cancelled_by_interrupt
from building_segmenter.plugin.outputs import check_output, check_outputs_of_many, stated_path
from building_segmenter.plugin.parameters import parameters_of
from building_segmenter.plugin.process.client import Client
from building_segmenter.plugin.styles import leave_unloaded, leave_unloaded_if_unreadable, style_on_load
from building_segmenter.plugin.values import TaskValues

_GROUPS = {
    "footprints": "Footprints",
    "training": "Training",
    "models": "Models",
    "environment": "Environment",
}


class Algorithm(QgsProcessingAlgorithm):
    """An algorithm told by its class' attributes.

    Attributes:
        ID: Its id in the provider.
        TITLE: Its name in the Toolbox.
        GROUP: A key of the groups.
        HELP: Paragraphs on what it does, for its dialog.
        TAGS: Words under which it is found.
    """

    ID = TITLE = GROUP = HELP = ""
    TAGS: tuple[str, ...] = ()

    def name(self) -> str:
        """Return the id."""
        return self.ID

    def displayName(self) -> str:
        """Return the name in the Toolbox."""
        return self.TITLE

    def group(self) -> str:
        """Return the group's name in the Toolbox."""
        return _GROUPS[self.GROUP]

    def groupId(self) -> str:
        """Return the group's id."""
        return self.GROUP

    def tags(self) -> list:
        """Return the words under which it is found."""
        return [*self.TAGS, "building", "footprint"]

    def icon(self) -> QIcon:
        """Return the icon."""
        return icons.icon()

    def svgIconPath(self) -> str:
        """Return the path of the icon."""
        return icons.PATH

    def createInstance(self) -> QgsProcessingAlgorithm:
        """Return a new one of these."""
        return type(self)()

    def shortHelpString(self) -> str:
        """Return what it does and what each parameter is for, as HTML."""
        paragraphs = [f"<p>{paragraph}</p>" for paragraph in self.HELP.strip().split("\n\n")]
        rows = [
            f"<p><b>{definition.description()}</b> ({definition.name()}): {definition.help()}</p>"
            for definition in self.parameterDefinitions()
        ]
        return "".join([*paragraphs, "<h3>Parameters</h3>", *rows])


class TaskAlgorithm(Algorithm):
    """An algorithm that runs a task of `tasks.TASKS` in a worker.

    Attributes:
        TASK: The task's name.
    """

    TASK = ""

    def initAlgorithm(self, configuration: Any = None) -> None:
        """Declare the task's parameters."""
        for parameter in parameters_of(tasks.TASKS[self.TASK]):
            self.addParameter(parameter)

    def checkParameterValues(self, parameters: dict, context: QgsProcessingContext) -> tuple:
        """Return whether the values can be worked with, and why not."""
        try:
            self._check(parameters, context)
        except BuildingSegmenterError as error:
            return False, str(as_processing_exception(error))
        # Last, because it does not say what is wrong.
        known = TaskValues(self, tasks.TASKS[self.TASK], parameters, context).known_to_qgis()
        accepted, message = super().checkParameterValues(known, context)
        if accepted:
            return True, ""
        told = InvalidParameterError(f"{message}.", "The tool's help says what each parameter takes.")
        return False, str(as_processing_exception(told))

    def prepareAlgorithm(
        self, parameters: dict, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> bool:
        """Read from layers what must be read in the main thread."""
        values = TaskValues(self, tasks.TASKS[self.TASK], parameters, context)
        try:
            self._check(parameters, context)
            values.read_layers(feedback)
        except BuildingSegmenterError as error:
            raise as_processing_exception(error) from error
        self._values = values
        return True

    def processAlgorithm(
        self, parameters: dict, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict:
        """Run the task and return the paths of its outputs."""
        # Not kept: together with this object it is a cycle that holds the context until after QGIS has gone.
        values, self._values = self._values, None
        try:
            python = find_engine_python(os.environ, settings.engine_python_setting())
            options = values.options(feedback)
            client = Client(python, settings.engine_environment())
            with cancelled_by_interrupt(feedback):
                result = client.run({"task": self.TASK, "options": options}, FeedbackListener(feedback))
        except BuildingSegmenterError as error:
            raise as_processing_exception(error) from error
        return self._outputs(options, result, context, feedback)

    def _check(self, parameters: dict, context: QgsProcessingContext) -> None:
        values = TaskValues(self, tasks.TASKS[self.TASK], parameters, context)
        values.check()
        check = check_outputs_of_many if values.has_folder() else check_output
        for name, option in tasks.options_of(tasks.TASKS[self.TASK]).items():
            if option.kind in tasks.OUTPUT_KINDS:
                check(stated_path(parameters.get(name.upper())), name.upper(), option)

    def _outputs(
        self, options: dict, result: dict, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict:
        """Return the outputs by parameter name, styled; the result's other figures go to the log."""
        kinds = {name: option.kind for name, option in tasks.options_of(tasks.TASKS[self.TASK]).items()}
        outputs = {}
        for name in (name for name in options if options[name] and kinds[name] in tasks.OUTPUT_KINDS):
            outputs[name.upper()] = options[name]
            if os.path.isdir(options[name]) or "*" in os.path.basename(options[name]):
                leave_unloaded(options[name], context)
                continue
            if kinds[name] == "polygons-output":
                leave_unloaded_if_unreadable(options[name], context, feedback)
            if kinds[name] in ("raster-output", "polygons-output"):
                style_on_load(options[name], context)
        for name, value in result.items():
            if kinds.get(name) in tasks.OUTPUT_KINDS:
                outputs[name.upper()] = value
            else:
                feedback.pushInfo(f"{name}: {value}")
        return outputs
