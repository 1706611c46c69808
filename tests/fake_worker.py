#!/usr/bin/env python3
"""A worker without an engine, for tests of the client: started like Python, it does what FAKE_WORKER says.

Named as the engine's Python, it is called `fake_worker.py -I -X utf8 -c BOOT REQUEST.json`.
"""

import json
import os
import sys
import time
from pathlib import Path

REQUEST = json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8"))
VERSION = (
    (Path(REQUEST["package"]) / "__init__.py").read_text(encoding="utf-8").split('__version__ = "')[1].split('"')[0]
)


def send(kind, **facts):
    """Send a message of the protocol."""
    print(json.dumps({"v": 1, "type": kind, **facts}), flush=True)


def hello(**facts):
    """Say hello as a worker of this version does, unless told otherwise."""
    send("hello", **{"protocol": 1, "engine": VERSION, "python": "3.12.0", "pid": os.getpid(), **facts})


def make_scratch():
    """Leave half an output, as a worker at work has it."""
    output = Path(REQUEST["options"]["output"])
    folder = output.parent / f".{output.name}.{REQUEST['scratch_token']}.tmp"
    folder.mkdir()
    (folder / output.name).write_text("half")
    if "FAKE_WORKER_PID" in os.environ:
        Path(os.environ["FAKE_WORKER_PID"]).write_text(str(os.getpid()))


def result():
    """Write the output and succeed; the request is kept where FAKE_WORKER_REQUEST says."""
    hello()
    send("progress", fraction=0.25, stage="Reading", eta_s=None)
    send("progress", fraction=0.5, stage="Predicting", eta_s=75.0)
    send("log", message="a fact")
    send("warning", message="a doubt")
    if "FAKE_WORKER_REQUEST" in os.environ:
        Path(os.environ["FAKE_WORKER_REQUEST"]).write_text(json.dumps(REQUEST))
    send("result", result={"output": REQUEST["options"].get("output"), "count": 7})


def error():
    """Fail as a task does."""
    hello()
    send("error", code="crs-missing", message="The image has no CRS.", hint="Give GSD.")
    sys.exit(1)


def internal():
    """Fail unexpectedly."""
    hello()
    print("\n".join(f"line {number}" for number in range(300)), file=sys.stderr, flush=True)
    send("error", code="internal", message="ValueError: odd", hint="Please report it.")
    sys.exit(1)


def hang():
    """Work for ever, and do not heed the end of the input."""
    hello()
    make_scratch()
    send("progress", fraction=0.5, stage="Working", eta_s=None)
    while True:
        time.sleep(0.05)
        send("heartbeat")


def obedient():
    """Work until the input ends."""
    hello()
    make_scratch()
    send("progress", fraction=0.5, stage="Working", eta_s=None)
    sys.stdin.read()
    send("error", code="cancelled", message="Cancelled.", hint="")
    sys.exit(130)


def late():
    """Finish just when asked to stop."""
    hello()
    send("progress", fraction=1.0, stage="Working", eta_s=None)
    sys.stdin.read()
    send("result", result={"output": REQUEST["options"]["output"], "count": 1})


def silent():
    """Say hello and nothing more."""
    hello()
    make_scratch()
    time.sleep(60)


def killed():
    """Die as if for want of memory."""
    hello()
    make_scratch()
    print("about to die", file=sys.stderr, flush=True)
    os.kill(os.getpid(), 9)


def crash():
    """End without a word."""
    print("Fatal: no such library", file=sys.stderr, flush=True)
    sys.exit(3)


def old():
    """Be another version."""
    hello(engine="0.0.1")
    time.sleep(60)


def protocol():
    """Speak another protocol."""
    print(json.dumps({"v": 2, "type": "hello", "protocol": 2}), flush=True)
    time.sleep(60)


def garbage():
    """Print what is no protocol."""
    print("Python 2.7 says hello", flush=True)
    time.sleep(60)


if __name__ == "__main__":
    globals()[os.environ.get("FAKE_WORKER", "result")]()
