"""The engine's end of the process border: one task, told by a request and reported in JSON lines.

The client (`plugin/process/client.py`) starts `PYTHON -I -X utf8 -c BOOT REQUEST.json`. BOOT has already moved the
real standard input and output out of the libraries' reach when `main` is called, so only what is sent through
`Channel` can reach the client. End of file on the input asks to stop: the client closes it, or died.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
import time
import traceback
from importlib import import_module
from typing import Any

from building_segmenter import __version__, tasks
from building_segmenter.errors import (
    BuildingSegmenterError,
    CancelledError,
    EngineNotFoundError,
    OutOfMemoryError,
    WorkerError,
)

PROTOCOL = 1
CHECK_TASK, PREPARE_TASK = "environment-check", "environment-prepare"

_HEARTBEAT_S = 3.0
_GRACE_S = 1.5
_PROGRESS_S = 0.1
_PYTHONS = ((3, 11), (3, 14))


class Channel:
    """The line to the client: one ASCII JSON object a line, from any thread.

    Args:
        descriptor: Descriptor of the client's pipe. Lines that it no longer takes are dropped: the end of file on
            the input, which comes with the end of the client, is what stops the worker.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, kind: str, **facts: Any) -> None:
        """Send one message of the protocol."""
        message = {"v": PROTOCOL, "type": kind, **facts}
        line = json.dumps(message, ensure_ascii=True, default=_plain).encode("ascii") + b"\n"
        with self._lock:
            try:
                while line:
                    line = line[os.write(self._descriptor, line) :]
            except OSError:
                return


class ChannelSink:
    """Reports a task's progress to the client, at most ten times a second within a stage."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stage = ""
        self._sent = -1.0

    def progress(self, fraction: float, stage: str, eta_s: float | None) -> None:
        """Report the share done, what is being done, and the seconds left where known."""
        now = time.monotonic()
        if stage == self._stage and fraction < 1.0 and now - self._sent < _PROGRESS_S:
            return
        self._stage, self._sent = stage, now
        self._channel.send("progress", fraction=fraction, stage=stage, eta_s=eta_s)

    def log(self, message: str) -> None:
        """Report a fact about the run."""
        self._channel.send("log", message=message)

    def warning(self, message: str) -> None:
        """Report what is likely not as intended."""
        self._channel.send("warning", message=message)


def main(request: dict[str, Any], requests: int, answers: int) -> None:
    """Run the task of a request, report how it went, and end the process.

    Args:
        request: `{"v": 1, "task": NAME, "options": {...}, "scratch_token": HEX}`.
        requests: Descriptor of the client's pipe whose end of file asks to stop.
        answers: Descriptor of the client's pipe that takes the messages.
    """
    # OpenVINO reports its use to its makers when it is imported, unless it finds no module to do it with.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # What libraries print must be in the client's last lines even if the process is killed.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    channel = Channel(answers)
    channel.send(
        "hello",
        protocol=PROTOCOL,
        engine=__version__,
        python=platform.python_version(),
        executable=sys.executable,
        pid=os.getpid(),
    )
    cancelled, done = threading.Event(), threading.Event()
    threading.Thread(target=_stop_at_end_of_input, args=(requests, cancelled, done), daemon=True).start()
    threading.Thread(target=_beat, args=(channel,), daemon=True).start()
    status = _answer(request, channel, cancelled)
    done.set()
    sys.stdout.flush()
    sys.stderr.flush()
    # Native libraries may crash or hang while they are torn down, which must not spoil a finished result.
    os._exit(status)


def _answer(request: dict[str, Any], channel: Channel, cancelled: threading.Event) -> int:
    try:
        channel.send("result", result=_perform(request, channel, cancelled))
    except BaseException as error:  # also the SystemExit of a library
        told = error if isinstance(error, BuildingSegmenterError) else _in_users_terms(error)
        if told.code == "internal":
            traceback.print_exc()
        channel.send("error", code=told.code, message=told.message, hint=told.hint)
        return told.exit_status
    return 0


def _perform(request: dict[str, Any], channel: Channel, cancelled: threading.Event) -> dict[str, Any]:
    if request.get("v") != PROTOCOL:
        raise WorkerError(
            f"The request is of version {request.get('v')} of the protocol, the engine speaks version {PROTOCOL}.",
            "Restart QGIS: the plugin was updated while it was open.",
        )
    if not _PYTHONS[0] <= sys.version_info[:2] < _PYTHONS[1]:
        raise EngineNotFoundError(
            f"{sys.executable} is Python {platform.python_version()}; the engine needs Python 3.11 to 3.13.",
            "Choose another Python, or run Set up environment.",
        )
    # Only now, because these files may use the syntax of the engine's Python.
    from building_segmenter import scratch
    from building_segmenter.progress import Progress

    scratch.token = str(request["scratch_token"])
    progress = Progress(ChannelSink(channel), cancelled)
    if request["task"] == CHECK_TASK:
        return _check_packages(request["options"], progress)
    if request["task"] == PREPARE_TASK:
        from building_segmenter.footprints.warming import compile_kernels

        compile_kernels(progress)
        return {}
    task = tasks.build_task(request["task"], request["options"])
    from building_segmenter import engine

    return engine.run(task, progress)


def _in_users_terms(error: BaseException) -> BuildingSegmenterError:
    if isinstance(error, MemoryError):
        traceback.print_exc()
        return OutOfMemoryError(
            f"The memory does not suffice: {error}.".replace(": .", "."),
            "Close other programs, or work on a smaller extent.",
        )
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("building_segmenter"):
        profile = "train" if error.name == "tensorflow" else "predict"
        return EngineNotFoundError(
            f"The engine's Python, {sys.executable}, has no package {error.name}.",
            f"Run Set up environment with the profile {profile}.",
        )
    return BuildingSegmenterError(
        f"{type(error).__name__}: {error}", "This is a mistake of ours: please report it with the lines below."
    )


def _check_packages(options: dict[str, Any], progress: Any) -> dict[str, Any]:
    """Import each named module and return its distribution's version, or why it does not work."""
    from importlib.metadata import packages_distributions, version

    os.environ["KERAS_BACKEND"] = "openvino"
    modules = list(options["modules"])
    distributions = packages_distributions()
    versions, problems = {}, {}
    for number, module in enumerate(modules):
        progress.update(number / len(modules), f"Importing {module}")
        try:
            import_module(module)
            versions[module] = version(distributions[module][0]) if module in distributions else ""
        except CancelledError:
            raise
        except Exception as error:
            problems[module] = f"{type(error).__name__}: {error}"
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "versions": versions,
        "problems": problems,
    }


def _stop_at_end_of_input(requests: int, cancelled: threading.Event, done: threading.Event) -> None:
    try:
        while os.read(requests, 4096):
            pass
    except OSError:
        traceback.print_exc()
    cancelled.set()
    if not done.wait(_GRACE_S):
        from building_segmenter import scratch

        scratch.remove_scratch()
        os._exit(CancelledError.exit_status)


def _beat(channel: Channel) -> None:
    while True:
        time.sleep(_HEARTBEAT_S)
        channel.send("heartbeat")


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item"):
        return value.item()  # a NumPy scalar
    raise TypeError(f"a {type(value).__name__} cannot be sent to the client")
