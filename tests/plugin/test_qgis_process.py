"""The real `qgis_process` with the fake worker: exit statuses, and that no worker survives it."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Debian 12's wrapper `qgis_process` passes an option that the program does not know.
PROGRAM = shutil.which("qgis_process.bin") or shutil.which("qgis_process")

pytestmark = pytest.mark.skipif(PROGRAM is None or os.name != "posix", reason="qgis_process is not installed")


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """A profile of QGIS with the plugin linked and enabled."""
    from qgis.PyQt.QtCore import QSettings

    folder = tmp_path_factory.mktemp("profile")
    default = folder / "profiles" / "default"
    (default / "python" / "plugins").mkdir(parents=True)
    (default / "python" / "plugins" / "building_segmenter").symlink_to(ROOT / "building_segmenter")
    settings = QSettings(str(default / "QGIS" / "QGIS3.ini"), QSettings.Format.IniFormat)
    settings.setValue("PythonPlugins/building_segmenter", True)
    settings.setValue("Processing/Configuration/BUILDING_SEGMENTER_PYTHON", str(ROOT / "tests" / "fake_worker.py"))
    settings.sync()
    return folder


@pytest.fixture
def start(profile, tmp_path):
    started = []

    def run(mode, *parameters, algorithm="polygonizemask"):
        environ = {**os.environ, "QGIS_CUSTOM_CONFIG_PATH": str(profile), "FAKE_WORKER": mode}
        environ.update(FAKE_WORKER_PID=str(tmp_path / "pid"), QT_QPA_PLATFORM="offscreen")
        environ.pop("BUILDING_SEGMENTER_PYTHON", None)
        command = [PROGRAM, "run", f"building_segmenter:{algorithm}", "--", *parameters]
        started.append(
            subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def image(tmp_path):
    from qgis.core import Qgis, QgsCoordinateReferenceSystem, QgsRasterFileWriter, QgsRectangle

    folder = tmp_path / "Größe 3"
    folder.mkdir()
    path = folder / "mäsk 1.tif"
    crs = QgsCoordinateReferenceSystem("EPSG:32633")
    extent = QgsRectangle(500000, 4500000, 500040, 4500030)
    provider = QgsRasterFileWriter(str(path)).createOneBandRaster(Qgis.DataType.Byte, 40, 30, extent, crs)
    provider.setEditable(False)
    return path


def output_of(image):
    return image.parent / "öut.gpkg"


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_run_that_succeeds_ends_with_zero(start, image):
    process = start("result", f"INPUT={image}", f"OUTPUT={output_of(image)}")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert f"OUTPUT:\t{output_of(image)}" in said


@pytest.mark.parametrize("mode", ["error", "killed", "crash"])
def test_a_run_that_fails_ends_with_its_error(start, image, mode):
    process = start(mode, f"INPUT={image}", f"OUTPUT={output_of(image)}")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert ("[crs-missing]" if mode == "error" else "[worker-failed]") in said
    assert [path for path in image.parent.iterdir() if "öut" in path.name] == []


@pytest.mark.parametrize(
    ("mode", "number"),
    [("hang", signal.SIGINT), ("obedient", signal.SIGINT), ("obedient", signal.SIGTERM), ("obedient", signal.SIGKILL)],
)
def test_no_worker_survives_the_end_of_qgis_process(start, image, tmp_path, mode, number):
    process = start(mode, f"INPUT={image}", f"OUTPUT={output_of(image)}")
    pid_file, until = tmp_path / "pid", time.monotonic() + 120
    while not (pid_file.exists() and pid_file.read_text()) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    worker = int(pid_file.read_text())
    time.sleep(0.5)
    began = time.monotonic()
    process.send_signal(number)
    while alive(worker) and time.monotonic() - began < 10:
        time.sleep(0.02)
    gone = time.monotonic() - began
    said, _ = process.communicate(timeout=30)
    assert gone < 2.5, f"the worker lived on for {gone:.1f} s"
    assert process.returncode == (1 if number == signal.SIGINT else -number), said
    assert not output_of(image).exists()
    if number == signal.SIGINT:
        assert "[cancelled]" in said
        assert not list(image.parent.glob(".*.tmp"))
