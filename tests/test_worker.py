"""The worker as it really runs: a subprocess started with BOOT, spoken to in JSON lines."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from building_segmenter import __version__, errors
from building_segmenter.plugin.process.launch import popen_options, worker_command

PACKAGE = Path(errors.__file__).parent
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and os.mkfifo are POSIX")


class Worker:
    """A worker whose engine is replaced by `run(task, progress)` of a given source."""

    def __init__(self, folder, engine, task="polygonize", options=None, version=1):
        self.output = folder / "out ü.gpkg"
        options = {"input": "mask.tif", "output": str(self.output)} if options is None else options
        package = _package_with_engine(folder, engine)
        request = {"v": version, "task": task, "options": options, "scratch_token": "c0ffee", "package": str(package)}
        file = folder / "request é.json"
        file.write_text(json.dumps(request), encoding="utf-8")
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            worker_command(sys.executable, str(file)),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            **popen_options(sys.platform),
        )

    def line(self):
        return json.loads(self.process.stdout.readline())

    def wait_for(self, kind):
        while (message := self.line())["type"] != kind:
            pass
        return message

    def end(self):
        """Read to the end; the worker's input stays open, since closing it would cancel."""
        messages = [json.loads(line.decode("ascii")) for line in self.process.stdout]
        stderr = self.process.stderr.read().decode()
        self.process.wait(timeout=10)
        return messages, stderr


def _package_with_engine(folder, engine):
    """A package of links to the real files, with an engine of its own."""
    package = folder / "pläce" / "building_segmenter"
    package.mkdir(parents=True)
    for file in PACKAGE.iterdir():
        if file.name not in ("engine.py", "__pycache__"):
            (package / file.name).symlink_to(file)
    (package / "engine.py").write_text(textwrap.dedent(engine))
    return package


@pytest.fixture
def worker(tmp_path):
    started = []

    def start(engine, **facts):
        started.append(Worker(tmp_path, engine, **facts))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def test_says_hello_progress_and_result_in_ascii_lines(worker):
    messages, _ = worker(
        """
        def run(task, progress):
            progress.update(0.5, "Hälfte")
            progress.log("a fact")
            progress.warn("a doubt")
            return {"output": task.output, "count": 3}
        """
    ).end()
    hello, progress, log, warning, result = messages
    assert (hello["type"], hello["protocol"], hello["engine"]) == ("hello", 1, __version__)
    assert (progress["type"], progress["fraction"], progress["stage"]) == ("progress", 0.5, "Hälfte")
    assert (log["message"], warning["message"]) == ("a fact", "a doubt")
    assert result["result"]["count"] == 3
    assert result["result"]["output"].endswith("out ü.gpkg")
    assert {message["v"] for message in messages} == {1}


def test_progress_within_a_stage_is_throttled_and_a_new_stage_is_not(worker):
    messages, _ = worker(
        """
        def run(task, progress):
            for step in range(5000):
                progress.update(step / 5000, "Counting")
            progress.update(0.999, "Writing")
            return {}
        """
    ).end()
    stages = [message["stage"] for message in messages if message["type"] == "progress"]
    assert stages[-1] == "Writing"
    assert len(stages) < 100


def test_prints_of_libraries_cannot_corrupt_the_protocol(worker):
    messages, stderr = worker(
        """
        import ctypes, os, sys
        def run(task, progress):
            print("from python")
            os.write(1, b"from a descriptor\\n")
            libc = ctypes.CDLL(None)
            libc.puts(b"from C")
            libc.fflush(None)
            os.system("echo from a child")
            return {"read": sys.stdin.read()}
        """
    ).end()
    assert [message["type"] for message in messages] == ["hello", "result"]
    assert messages[-1]["result"] == {"read": ""}
    for source in ("from python", "from a descriptor", "from C", "from a child"):
        assert source in stderr


def test_an_error_carries_code_message_hint_and_its_exit_status(worker):
    started = worker(
        """
        from building_segmenter.errors import MissingCrsError
        def run(task, progress):
            raise MissingCrsError("No CRS.", "Give GSD.")
        """
    )
    messages, _ = started.end()
    assert messages[-1] == {"v": 1, "type": "error", "code": "crs-missing", "message": "No CRS.", "hint": "Give GSD."}
    assert started.process.returncode == 1


def test_a_wrong_parameter_is_told_before_the_engine_runs(worker):
    started = worker("raise SystemExit", options={"input": "mask.tif", "output": "o.gpkg", "threshold": 7})
    messages, _ = started.end()
    assert messages[-1]["code"] == "invalid-parameter"
    assert "THRESHOLD" in messages[-1]["message"]
    assert started.process.returncode == 2


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        ("ValueError('Unerwartet: ß')", "internal", "ValueError: Unerwartet: ß"),
        ("SystemExit('a library gave up')", "internal", "a library gave up"),
        ("MemoryError('Unable to allocate 9 TiB')", "out-of-memory", "Unable to allocate 9 TiB"),
        ("ModuleNotFoundError('no', name='tensorflow')", "engine-not-found", "tensorflow"),
    ],
)
def test_unexpected_exceptions_become_errors_with_a_hint(worker, raised, code, said):
    messages, stderr = worker(f"def run(task, progress):\n    raise {raised}\n").end()
    assert messages[-1]["code"] == code
    assert said in messages[-1]["message"]
    assert messages[-1]["hint"]
    assert ("Traceback" in stderr) == (code != "engine-not-found")


def test_a_request_of_another_version_is_refused(worker):
    started = worker("def run(task, progress): return {}", version=2)
    messages, _ = started.end()
    assert (messages[-1]["code"], started.process.returncode) == ("worker-failed", 1)


def test_cancel_stops_the_task_in_order(worker):
    started = worker(
        """
        import time
        from building_segmenter import scratch
        def run(task, progress):
            with scratch.new_output(task.output) as path:
                path.write_text("half")
                while True:
                    progress.update(0.5, "Working")
                    time.sleep(0.01)
        """
    )
    started.wait_for("progress")
    assert [path.name for path in started.output.parent.glob(".*.tmp")] == [".out ü.gpkg.c0ffee.tmp"]
    began = time.monotonic()
    started.process.stdin.close()
    assert started.wait_for("error")["code"] == "cancelled"
    assert started.process.wait(timeout=2) == 130
    assert time.monotonic() - began < 1.0
    assert not list(started.output.parent.glob(".*.tmp"))
    assert not started.output.exists()


@POSIX
def test_cancel_cuts_off_a_main_thread_that_is_stuck_in_a_c_call(worker):
    started = worker(
        """
        import ctypes
        from building_segmenter import scratch
        def run(task, progress):
            with scratch.new_output(task.output) as path:
                path.write_text("half")
                progress.update(0.5, "Stuck")
                ctypes.CDLL(None).sleep(60)
        """
    )
    started.wait_for("progress")
    began = time.monotonic()
    started.process.stdin.close()
    assert started.process.wait(timeout=5) == 130
    assert time.monotonic() - began < 2.0
    assert not list(started.output.parent.glob(".*.tmp"))


@POSIX
def test_the_worker_ends_when_its_client_is_killed(worker, tmp_path):
    inner = tmp_path / "client.py"
    started = worker("def run(task, progress): return {}")
    started.end()
    engine = tmp_path / "pläce" / "building_segmenter" / "engine.py"
    engine.write_text("import time\ndef run(task, progress):\n    time.sleep(60)\n")
    command = worker_command(sys.executable, str(tmp_path / "request é.json"))
    inner.write_text(
        "import subprocess, sys, time\n"
        f"worker = subprocess.Popen({command!r}, stdin=subprocess.PIPE, start_new_session=True)\n"
        "time.sleep(60)\n"
    )
    client = subprocess.Popen([sys.executable, str(inner)], stdout=subprocess.PIPE)
    pid = json.loads(client.stdout.readline())["pid"]
    client.send_signal(signal.SIGKILL)
    client.wait()
    until = time.monotonic() + 2.0
    while _alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _alive(pid)


def test_the_environment_check_names_versions_and_what_does_not_import(worker):
    messages, _ = worker(
        "", task="environment-check", options={"modules": ["numpy", "shapely", "no_such_module"]}
    ).end()
    result = messages[-1]["result"]
    assert set(result["versions"]) == {"numpy", "shapely"}
    assert all(version[0].isdigit() for version in result["versions"].values())
    assert list(result["problems"]) == ["no_such_module"]


def test_preparing_compiles_into_the_cache(worker):
    messages, _ = worker("", task="environment-prepare", options={}).end()
    assert messages[-1]["type"] == "result"
    stages = {message["stage"] for message in messages if message["type"] == "progress"}
    assert "Compiling regularization" in stages


def test_nothing_is_put_on_the_search_path_and_telemetry_is_blocked(worker):
    messages, _ = worker(
        """
        import sys
        def run(task, progress):
            return {"path": sys.path, "telemetry": sys.modules.get("openvino_telemetry", "importable")}
        """
    ).end()
    result = messages[-1]["result"]
    assert not [entry for entry in result["path"] if "pläce" in entry or entry in ("", ".")]
    assert result["telemetry"] is None


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
