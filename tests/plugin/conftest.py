"""Plugin tests run in QGIS's own Python, mostly against a fake worker; elsewhere they are left out, and it is said."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAKE_WORKER = ROOT / "tests" / "fake_worker.py"
HAS_QGIS = importlib.util.find_spec("qgis") is not None

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
if not HAS_QGIS:
    collect_ignore_glob = ["test_*.py"]


def pytest_report_header():
    """Say whether the plugin is tested."""
    return "plugin tests: in QGIS's Python" if HAS_QGIS else "plugin tests: LEFT OUT, this Python has no qgis"


@pytest.fixture(scope="module")
def provider(qgis_app):
    """The plugin's provider, registered while a module's tests run."""
    from qgis.core import QgsApplication

    from building_segmenter.plugin.provider import BuildingSegmenterProvider

    provider = BuildingSegmenterProvider()
    QgsApplication.processingRegistry().addProvider(provider)
    yield provider
    QgsApplication.processingRegistry().removeProvider("building_segmenter")


@pytest.fixture
def fake_worker(monkeypatch, tmp_path):
    """Make the fake worker the engine's Python; call with what it should do. Returns where it keeps its request."""
    kept = tmp_path / "kept request.json"
    monkeypatch.setenv("FAKE_WORKER_REQUEST", str(kept))
    monkeypatch.setenv("FAKE_WORKER_PID", str(tmp_path / "pid"))

    def choose(mode="result"):
        monkeypatch.setenv("BUILDING_SEGMENTER_PYTHON", str(FAKE_WORKER))
        monkeypatch.setenv("FAKE_WORKER", mode)
        return kept

    return choose
