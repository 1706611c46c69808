"""How processes are started on each platform."""

import subprocess
import sys
from pathlib import Path

import pytest

from building_segmenter.plugin.process.launch import kill_tree, own_folders, popen_options, worker_environment


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_on_posix_a_worker_leads_its_own_session(platform):
    assert popen_options(platform) == {"start_new_session": True, "close_fds": True}


def test_on_windows_no_console_opens_and_the_group_is_new():
    assert popen_options("win32") == {"creationflags": 0x08000000 | 0x00000200}


def test_the_worker_sees_nothing_of_qgis_python_gdal_proj_and_qt():
    dropped = ["PYTHONHOME", "PYTHONPATH", "PYTHONUTF8", "VIRTUAL_ENV", "GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_LIB"]
    dropped += ["PROJ_DATA", "QT_PLUGIN_PATH", "QT_QPA_PLATFORM", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "Proj_Lib"]
    kept = {
        "HTTPS_PROXY": "p",
        "SSL_CERT_FILE": "c",
        "GDAL_HTTP_USERPWD": "u",
        "PIP_INDEX_URL": "i",
        "UV_CACHE_DIR": "d",
    }
    kept["PATH"] = "/usr/bin:/bin"
    environ = {**dict.fromkeys(dropped, "x"), **kept}
    assert worker_environment(environ, "linux", []) == kept


def test_qgis_folders_leave_the_path_on_windows():
    folders = own_folders("C:/OSGeo4W/apps/qgis", {"OSGEO4W_ROOT": r"C:\OSGeo4W"}, "win32")
    path = r"C:\osgeo4w\bin;C:\Windows\System32;C:\OSGeo4W\apps\qgis\bin;C:\OSGeo4Win;D:\tools"
    environ = worker_environment({"Path": path}, "win32", folders)
    assert environ == {"Path": r"C:\Windows\System32;C:\OSGeo4Win;D:\tools"}


def test_the_bundle_of_qgis_leaves_the_path_on_macos():
    folders = own_folders("/Applications/QGIS.app/Contents/MacOS", {}, "darwin")
    path = "/Applications/QGIS.app/Contents/MacOS/bin:/opt/homebrew/bin:/usr/bin"
    assert worker_environment({"PATH": path}, "darwin", folders) == {"PATH": "/opt/homebrew/bin:/usr/bin"}


def test_folders_shared_with_the_system_stay_on_the_path_on_linux():
    assert own_folders("/usr", {}, "linux") == []


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="a shell's children, told by /proc")
def test_kill_tree_kills_children_too():
    process = subprocess.Popen(
        ["sh", "-c", "sleep 61.25 & echo $!; wait"], stdout=subprocess.PIPE, text=True, **popen_options(sys.platform)
    )
    child = process.stdout.readline().strip()
    kill_tree(process, sys.platform)
    assert process.returncode == -9
    status = Path(f"/proc/{child}/status")
    assert not status.exists() or "zombie" in status.read_text()
    process.stdout.close()
