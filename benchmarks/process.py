"""A task in a process of its own, with the seconds and the memory that it took.

usage: python -m benchmarks.process REQUEST     (the run that is watched; REQUEST is JSON, as `tasks.as_request` gives)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from building_segmenter import engine, tasks
from building_segmenter.progress import Progress, SilentSink


@dataclass(frozen=True)
class Taken:
    """What a task took.

    Args:
        seconds: From the task's start, which is after Python's, to its finished outputs.
        working: Of these, the seconds after the log line that names the runtime, which a prediction writes when its
            model is ready; all of them where a task writes none.
        megabytes: The most memory that its process held, with all libraries.
        result: What the task returned.
    """

    seconds: float
    working: float
    megabytes: float
    result: dict[str, Any]


def in_process(task: tasks.Task, threads: int) -> Taken:
    """Run a task in a process of its own.

    Args:
        task: The task.
        threads: Of libraries that ask the environment how many they may use.

    Raises:
        subprocess.CalledProcessError: It failed; what it had to say has been printed.
    """
    words = [sys.executable, "-m", "benchmarks.process", json.dumps(tasks.as_request(task))]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    root = Path(__file__).resolve().parent.parent
    run = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env=environment, cwd=root)
    return Taken(**json.loads(run.stdout.splitlines()[-1]))


def highest_mb() -> float:
    """Return the most memory that this process has held, in MB; Linux only.

    Not by `getrusage`, which begins with what the parent held when this process was started.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


class _Clock(SilentSink):
    """Notes when the model was ready."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.ready = time.perf_counter(), 0.0

    def log(self, message: str) -> None:
        """Keep the line, and when the one came that names the runtime."""
        super().log(message)
        if "OpenVINO" in message:
            self.ready = time.perf_counter()

    def warning(self, message: str) -> None:
        """Tell it on the way."""
        print(f"Warning: {message}", file=sys.stderr)


def main(request: str) -> None:
    """Run the task of a request and print what it took as JSON."""
    asked = json.loads(request)
    task = tasks.build_task(asked["task"], asked["options"])
    clock = _Clock()
    result = engine.run(task, Progress(clock))
    ended = time.perf_counter()
    told = {"seconds": ended - clock.began, "working": ended - (clock.ready or clock.began), "megabytes": highest_mb()}
    print(json.dumps(told | {"result": result}))


if __name__ == "__main__":
    main(sys.argv[1])
