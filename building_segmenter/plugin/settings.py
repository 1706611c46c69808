"""The provider's one setting: which Python runs the engine."""

from __future__ import annotations

import os
import sys

from qgis.core import QgsApplication, QgsSettings

from building_segmenter.plugin.environment.engine_python import VARIABLE
from building_segmenter.plugin.process.launch import own_folders, worker_environment

NAME = "BUILDING_SEGMENTER_PYTHON"
KEY = f"Processing/Configuration/{NAME}"
"""Where Processing's options keep it in QGIS's settings."""

_GROUP = "Building Segmenter"


def engine_python_setting() -> str:
    """Return the Python named in Processing's options, or an empty text."""
    value = QgsSettings().value(KEY, "")
    return value if isinstance(value, str) else ""


def named_python() -> str:
    """Return the Python that a variable or the options name, and that comes before the managed one."""
    return os.environ.get(VARIABLE, "") or engine_python_setting()


def engine_environment() -> dict[str, str]:
    """Return the environment of the processes that this plugin starts: that of QGIS without QGIS's own parts."""
    folders = own_folders(QgsApplication.prefixPath(), os.environ, sys.platform)
    return worker_environment(os.environ, sys.platform, folders)


def register(icon) -> None:
    """Show the setting in Settings > Options > Processing."""
    # Part of QGIS, and there only with its window.
    from processing.core.ProcessingConfig import ProcessingConfig, Setting

    label = "Python of the engine (empty: the one made by Set up environment)"
    ProcessingConfig.settingIcons[_GROUP] = icon
    ProcessingConfig.addSetting(Setting(_GROUP, NAME, label, "", valuetype=Setting.FILE))
    ProcessingConfig.readSettings()


def unregister() -> None:
    """Take the setting out of the options; its value stays."""
    from processing.core.ProcessingConfig import ProcessingConfig

    ProcessingConfig.removeSetting(NAME)
