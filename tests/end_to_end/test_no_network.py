"""No connection is opened: not by Python, and none is needed by the native libraries."""

import json
import shutil
import subprocess
import sys
from importlib.metadata import version

import geopandas
import pytest
from end_to_end_runs import ENVIRONMENT

# An audit hook cannot be taken off again, and sees sockets however they are reached from Python.
FORBID = """
import json, socket, sys
def forbid(event, arguments):
    if event == "socket.__new__" and arguments[1] in (socket.AF_INET, socket.AF_INET6):
        seen.append(event)
        raise PermissionError("a socket was asked for")
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"):
        seen.append(event)
        raise PermissionError(f"{event} {arguments}")
seen = []
sys.addaudithook(forbid)
"""
RUN = """
from building_segmenter.cli import main
try:
    main(sys.argv[1:])
finally:
    modules = sorted(name for name in sys.modules if name.startswith("openvino_telemetry"))
    facts = {"seen": seen, "telemetry": [name for name in modules if sys.modules[name] is not None]}
    facts |= {name: name in sys.modules for name in ("openvino", "tensorflow", "requests")}
    print(json.dumps(facts), file=sys.stderr)
"""


def extract(image, output, model, before=(), script=FORBID + RUN):
    command = [*before, sys.executable, "-c", script, "extract", image, str(output), "--model", model]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)


TRY = """
import urllib.request
for ask in (lambda: urllib.request.urlopen("http://127.0.0.1:9"), socket.socket, lambda: socket.getaddrinfo("a", 1)):
    try:
        ask()
    except PermissionError:
        continue
    sys.exit("not forbidden")
print(*seen)
"""


def test_the_hook_forbids_sockets():
    """Without this the next test could pass because of a mistake in the hook."""
    done = subprocess.run([sys.executable, "-c", FORBID + TRY], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["urllib.Request", "socket.__new__", "socket.getaddrinfo"], done.stderr


def test_extract_asks_for_no_socket_and_sends_no_telemetry(tmp_path, write_image, flat_scene, bright_model):
    assert version("openvino-telemetry"), "without the package this test would show nothing"
    done = extract(write_image(flat_scene.image), tmp_path / "out.gpkg", bright_model)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stderr.splitlines()[-1])
    expected = {"openvino": True, "tensorflow": False, "requests": False}
    assert facts == {"seen": [], "telemetry": []} | expected
    assert len(geopandas.read_file(tmp_path / "out.gpkg")) == 3


def test_extract_needs_no_network(tmp_path, write_image, flat_scene, bright_model):
    """In a namespace without any network device, not even the loopback one is up."""
    unshare = ["unshare", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("a process without network needs Linux' unshare and the right to use it")
    done = extract(write_image(flat_scene.image), tmp_path / "out.gpkg", bright_model, before=unshare)
    assert done.returncode == 0, done.stderr
    assert len(geopandas.read_file(tmp_path / "out.gpkg")) == 3
