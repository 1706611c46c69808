"""Checking an environment: its versions, its paths, what is wrong, and what to do about it."""

from __future__ import annotations

import html
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from building_segmenter import __version__
from building_segmenter.errors import (
    BuildingSegmenterError,
    CancelledError,
    EngineNotFoundError,
    OutputNotWritableError,
)
from building_segmenter.plugin.environment.engine_python import find_engine_python, source_of
from building_segmenter.plugin.environment.managed import ManagedEnvironments, data_folder
from building_segmenter.plugin.environment.profiles import MODULES
from building_segmenter.plugin.process.client import PACKAGE, Client
from building_segmenter.plugin.process.listener import Listener


@dataclass
class EnvironmentReport:
    """What a check found.

    Args:
        facts: Label -> value, in the order to be shown.
        versions: Module -> version, of those that import.
        problems: What is wrong, each with what to do.
    """

    facts: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def works(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def as_text(self) -> str:
        """Return the report as lines of text."""
        lines = [f"{label}: {value}" for label, value in {**self.facts, **self.versions}.items()]
        return "\n".join([*lines, *self._verdict()])

    def as_html(self) -> str:
        """Return the report as a page."""
        rows = [_row(label, value) for label, value in {**self.facts, **self.versions}.items()]
        verdict = "".join(
            f"<p class='{'good' if self.works else 'bad'}'>{_lines(line)}</p>" for line in self._verdict()
        )
        return (
            "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>Building Segmenter: environment</title>"
            "<style>body{font:15px sans-serif;margin:2em;max-width:60em}td{padding:.2em 1em .2em 0;vertical-align:top}"
            ".good{color:#1a7f37}.bad{color:#b42318}</style></head><body><h1>Building Segmenter: environment</h1>"
            f"{verdict}<table>{''.join(rows)}</table></body></html>\n"
        )

    def _verdict(self) -> list[str]:
        return self.problems or ["Everything works."]


def check_environment(
    environ: Mapping[str, str],
    listener: Listener,
    setting: str = "",
    worker_environ: Optional[Mapping[str, str]] = None,
) -> EnvironmentReport:
    """Check the environment that would run the engine; what is wrong is in the report, not raised.

    Args:
        environ: Where the engine's Python is looked up.
        listener: Hears of progress.
        setting: The Python set in QGIS, or empty.
        worker_environ: The environment of the worker; None: `environ`.

    Raises:
        CancelledError: The listener asked to stop.
    """
    report = EnvironmentReport({"Building Segmenter": __version__, "Package": str(PACKAGE)})
    managed = ManagedEnvironments(data_folder(environ, sys.platform)).current()
    report.facts["Managed environment"] = f"{managed['folder']} ({managed['profile']})" if managed else "none"
    try:
        python = find_engine_python(environ, setting)
        report.facts["Engine's Python"] = f"{python} (from {source_of(environ, setting)})"
        _ask_worker(python, worker_environ or environ, listener, report)
    except CancelledError:
        raise
    except BuildingSegmenterError as error:
        report.problems.append(str(error))
    if managed and managed["engine"] != __version__ and not report.works:
        report.problems.append(f"The managed environment is of version {managed['engine']}. Run Set up environment.")
    return report


def verify(python: str, profile: str, environ: Mapping[str, str], listener: Listener) -> None:
    """Raise if not every module of a profile imports in a worker.

    Raises:
        EngineNotFoundError: A module does not import.
        CancelledError: The listener asked to stop.
    """
    found = _checked(python, MODULES[profile], environ, listener)
    if found["problems"]:
        told = "\n".join(f"{module}: {problem}" for module, problem in found["problems"].items())
        raise EngineNotFoundError(
            f"The new environment does not work, so the old one stays in use.\n{told}",
            "Run this again with another Python; if it fails again, report it with these lines.",
        )


def prepare(python: str, environ: Mapping[str, str], listener: Listener) -> None:
    """Compile ahead what the engine compiles on first use, so that no user waits for it.

    Raises:
        BuildingSegmenterError: The engine cannot do its work with this Python.
        CancelledError: The listener asked to stop.
    """
    Client(python, environ).run({"task": "environment-prepare", "options": {}}, listener)


def _ask_worker(python: str, environ: Mapping[str, str], listener: Listener, report: EnvironmentReport) -> None:
    found = _checked(python, MODULES["train"], environ, listener)
    report.facts["Python"] = f"{found['python']} on {found['platform']}"
    report.versions = found["versions"]
    missing = dict(found["problems"])
    training = missing.pop("tensorflow", None)
    report.facts["Training"] = "possible" if training is None else "not possible: tensorflow is not installed"
    if training is not None and "ModuleNotFoundError" not in training:
        missing["tensorflow"] = training
    for module, problem in missing.items():
        report.problems.append(f"{module} does not import: {problem}\nRun Set up environment.")
    if training is not None:
        listener.log("To train models, run Set up environment with the profile train.")


def _checked(python: str, modules: tuple, environ: Mapping[str, str], listener: Listener) -> dict:
    return Client(python, environ).run({"task": "environment-check", "options": {"modules": modules}}, listener)


def write_report(report: EnvironmentReport, path: str) -> None:
    """Write a report as a page.

    Raises:
        OutputNotWritableError: It cannot be written there.
    """
    try:
        Path(path).write_text(report.as_html(), encoding="utf-8")
    except OSError as error:
        raise OutputNotWritableError(
            f"The report {path} cannot be written: {error.strerror or error}.", "Name a file in a folder that exists."
        ) from error


def _row(label: str, value: str) -> str:
    return f"<tr><td>{html.escape(label)}</td><td>{_lines(value)}</td></tr>"


def _lines(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")
