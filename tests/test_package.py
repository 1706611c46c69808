import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from building_segmenter import __version__

ROOT = Path(__file__).resolve().parent.parent
SKIPPED = "tools/package.py reads models/, and this checkout has no model there"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    if not list((ROOT / "models").glob("*.keras")):
        pytest.skip(SKIPPED)
    folder = tmp_path_factory.mktemp("dist")
    made = subprocess.run(
        [sys.executable, ROOT / "tools/package.py", folder], capture_output=True, text=True, check=True
    )
    return Path(made.stdout.strip())


def test_the_zip_is_a_whole_plugin(package):
    with zipfile.ZipFile(package) as archive:
        names = set(archive.namelist())
        metadata = archive.read("building_segmenter/metadata.txt").decode()
        links = [info.filename for info in archive.infolist() if (info.external_attr >> 16) & 0o170000 == 0o120000]
    assert links == []
    assert {name.split("/")[0] for name in names} == {"building_segmenter"}
    for name in ("__init__.py", "worker.py", "plugin/main.py", "requirements/predict.txt", "LICENSE"):
        assert f"building_segmenter/{name}" in names
    assert any(name.endswith(".keras") for name in names)
    assert not any("__pycache__" in name for name in names)
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(metadata)
    assert parsed["general"]["version"] == __version__
    assert f"building_segmenter/{parsed['general']['icon']}" in names
    assert package.stat().st_size < 25 * 1024 * 1024


def test_an_installed_plugin_finds_its_model(package, tmp_path):
    subprocess.run([sys.executable, ROOT / "tools/install.py", package.parent, tmp_path / "profile"], check=True)
    plugins = tmp_path / "profile/python/plugins"
    code = "from building_segmenter.networks.shipped import default_model_path; print(default_model_path())"
    found = subprocess.run(
        [sys.executable, "-P", "-c", code], env={"PYTHONPATH": str(plugins)}, capture_output=True, text=True
    )
    assert Path(found.stdout.strip()).parent == plugins / "building_segmenter/models", found.stderr
