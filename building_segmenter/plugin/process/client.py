"""Runs one task in a worker process and tells how it went.

Standard library only: QGIS's algorithms, the set-up of the environment and tests use the same client.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from glob import escape, glob
from pathlib import Path
from typing import Any, Optional

from building_segmenter import __version__, errors, tasks
from building_segmenter.plugin.process.launch import kill_tree, popen_options, worker_command
from building_segmenter.plugin.process.lines import Lines, Tail
from building_segmenter.plugin.process.listener import Listener

PROTOCOL = 1
PACKAGE = Path(__file__).resolve().parents[2]

_GRACE_S = 1.8
"""How long a worker may take to stop by itself; it cuts itself off after 1.5 s."""

_ERRORS = {kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "code")}


class WorkerFailure(errors.WorkerError):
    """A failure that is not the user's, with the last lines that the worker wrote to its standard error."""

    def __init__(self, message: str, hint: str, code: str, lines: str) -> None:
        super().__init__(message, hint)
        self.code = code
        self.lines = lines


class Client:
    """Starts workers.

    Args:
        python: The engine's Python.
        environment: The environment of workers, as made by `worker_environment`.
        silence_s: A worker that says nothing for so long, not even that it lives, is given up.
    """

    def __init__(self, python: str, environment: Mapping[str, str], silence_s: float = 180.0) -> None:
        self._python = python
        self._environment = dict(environment)
        self._silence_s = silence_s

    def run(self, request: Mapping[str, Any], listener: Listener) -> dict[str, Any]:
        """Run a task to its end.

        Args:
            request: `{"task": NAME, "options": {...}}`, as `tasks.as_request` makes it.
            listener: Hears of progress; asked ten times a second whether to stop.

        Returns:
            The task's result.

        Raises:
            CancelledError: The listener asked to stop; the worker is gone and nothing stands under the final name.
            BuildingSegmenterError: What the task could not do.
            WorkerFailure: The worker failed unexpectedly, was killed, fell silent, or is of another version.
            EngineNotFoundError: The Python cannot be started.
        """
        token = secrets.token_hex(16)
        full = {"v": PROTOCOL, **request, "scratch_token": token, "package": str(PACKAGE)}
        with tempfile.TemporaryDirectory(prefix="building-segmenter-") as folder:
            file = Path(folder) / "request.json"
            file.write_text(json.dumps(full), encoding="utf-8")
            try:
                return self._converse(worker_command(self._python, str(file)), listener)
            except BaseException:
                remove_scratch(outputs_of(request), token)
                raise

    def _converse(self, command: Sequence[str], listener: Listener) -> dict[str, Any]:
        process = self._start(command)
        try:
            return _Conversation(process, listener, self._silence_s).result()
        finally:
            # Also on an error in the listener: a worker never outlives its client's interest.
            kill_tree(process, sys.platform)
            _close(process)

    def _start(self, command: Sequence[str]) -> subprocess.Popen:
        pipe = subprocess.PIPE
        options = popen_options(sys.platform)
        try:
            return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=self._environment, **options)
        except OSError as error:
            raise errors.EngineNotFoundError(
                f"The engine's Python {self._python} cannot be started: {error.strerror or error}.",
                "Run Set up environment, or choose another Python in Settings > Options > Processing.",
            ) from error


class _Conversation:
    """What is heard from one worker, from its hello to its result."""

    def __init__(self, process: subprocess.Popen, listener: Listener, silence_s: float) -> None:
        self._process = process
        self._listener = listener
        self._silence_s = silence_s
        self._tail = Tail(process.stderr)
        self._lines = Lines(process.stdout)
        self._greeted = False

    def result(self) -> dict[str, Any]:
        """Return the task's result, or raise what went wrong."""
        heard, orphaned = time.monotonic(), 0
        while not self._lines.ended and orphaned < 10:
            line = self._lines.next()
            if line is not None:
                heard, orphaned = time.monotonic(), 0
                outcome = self._take(line)
                if outcome is not None:
                    return outcome
            elif self._process.poll() is not None:
                # Its children may hold the pipe open when it has died.
                orphaned += 1
            if self._listener.cancelled():
                return self._cancel()
            if time.monotonic() - heard > self._silence_s:
                raise self._failure(
                    f"The engine has not been heard of for {self._silence_s:.0f} s and was stopped.",
                    "Run again. If it happens again, the computer may be overloaded or short of memory.",
                )
        raise self._died()

    def _take(self, line: str) -> Optional[dict[str, Any]]:
        message = self._parsed(line)
        kind = message.get("type")
        if not self._greeted:
            self._greet(message)
        elif kind == "progress":
            self._listener.progress(message["fraction"], message["stage"], message.get("eta_s"))
        elif kind == "log":
            self._listener.log(message["message"])
        elif kind == "warning":
            self._listener.warning(message["message"])
        elif kind == "error":
            raise self._told(message)
        elif kind == "result":
            return dict(message["result"])
        return None

    def _parsed(self, line: str) -> dict[str, Any]:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict) or message.get("v") != PROTOCOL:
            raise self._failure(
                f"The engine sent what is not of version {PROTOCOL} of the protocol: {line[:200]!r}.",
                "Restart QGIS. If it happens again, run Set up environment.",
            )
        return message

    def _greet(self, message: dict[str, Any]) -> None:
        if message.get("type") != "hello":
            raise self._failure(
                f"The engine began with {message.get('type')!r} where it should say hello.",
                "Check the Python chosen in Settings > Options > Processing, or run Set up environment.",
            )
        if message.get("protocol") != PROTOCOL or message.get("engine") != __version__:
            raise self._failure(
                f"The engine is version {message.get('engine')} with protocol {message.get('protocol')}; this plugin"
                f" is version {__version__} with protocol {PROTOCOL}.",
                "Restart QGIS: the plugin was updated while it was open.",
            )
        self._greeted = True

    def _cancel(self) -> dict[str, Any]:
        """Ask the worker to stop; a result that it had just finished still counts."""
        self._process.stdin.close()
        until = time.monotonic() + _GRACE_S
        while time.monotonic() < until and not self._lines.ended:
            line = self._lines.next()
            if line is not None and '"result"' in line:
                outcome = self._take(line)
                if outcome is not None:
                    return outcome
        raise errors.CancelledError

    def _told(self, message: dict[str, Any]) -> errors.BuildingSegmenterError:
        code, text, hint = message.get("code", "internal"), message.get("message", ""), message.get("hint", "")
        kind = _ERRORS.get(code)
        if kind is None or kind is errors.BuildingSegmenterError:
            return WorkerFailure(text, hint, code, self._tail.text())
        return kind(text, hint)

    def _died(self) -> WorkerFailure:
        try:
            status = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return self._failure("The engine closed its output before it had a result.", "Run again.")
        if status < 0:
            name = signal.Signals(-status).name if -status in set(signal.Signals) else str(-status)
            hint = "Run again."
            if name == "SIGKILL":
                hint = "Unless you ended it, the memory ran out: close other programs, or work on a smaller extent."
            return self._failure(f"The engine was killed by the signal {name}.", hint)
        hint = "Run Check environment: it tells what is wrong." if not self._greeted else "Run again."
        return self._failure(f"The engine ended with status {status} before it had a result.", hint)

    def _failure(self, message: str, hint: str) -> WorkerFailure:
        # A worker that still runs must die before its last lines are read, or that would wait in vain.
        kill_tree(self._process, sys.platform)
        return WorkerFailure(message, hint, errors.WorkerError.code, self._tail.text())


def outputs_of(request: Mapping[str, Any]) -> list[str]:
    """Return the output paths in a request."""
    kind = tasks.TASKS.get(request["task"])
    known = tasks.options_of(kind) if kind else {}
    named = [name for name, option in known.items() if option.kind in tasks.OUTPUT_KINDS]
    return [request["options"][name] for name in named if request["options"].get(name)]


def remove_scratch(outputs: Sequence[str], token: str) -> None:
    """Remove the scratch folders `.NAME.TOKEN.tmp` that a killed worker left beside its outputs."""
    for output in outputs:
        beside = os.path.dirname(os.path.abspath(output))
        for folder in glob(os.path.join(escape(beside), f".*.{token}.tmp")):
            shutil.rmtree(folder, ignore_errors=True)


def _close(process: subprocess.Popen) -> None:
    try:
        process.stdin.close()
    except OSError:  # the worker has gone with bytes unread
        return
