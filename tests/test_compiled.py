"""Where compiled kernels are cached: never stale, never in the way."""

import os
import subprocess
import sys
from pathlib import Path

from building_segmenter import compiled

REPORT = """
import numba
from building_segmenter import compiled

def doubled(x):
    return 2 * x

cached = compiled._OPTIONS["cache"]
print(numba.config.CACHE_DIR, cached, None if cached else compiled.kernel(doubled)(21), sep="|")
"""


def told(cache_dir):
    """Import the package in a new process; return numba's folder, whether it caches, and a kernel's answer."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache_dir)}
    run = subprocess.run([sys.executable, "-c", REPORT], env=environment, capture_output=True, text=True, check=True)
    return run.stdout.strip().split("|")


def test_a_change_in_any_file_with_kernels_is_another_digest(tmp_path):
    (tmp_path / "a.py").write_text("@kernel\ndef one(): ...\n")
    (tmp_path / "b.py").write_text("@kernel\ndef two(): ...\n")
    stamp = os.stat(tmp_path / "b.py")
    before = compiled.sources_digest(tmp_path)
    (tmp_path / "b.py").write_text("@kernel\ndef six(): ...\n")
    # Unzipping can give a new file the size and time of the old one.
    os.utime(tmp_path / "b.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert compiled.sources_digest(tmp_path) != before
    (tmp_path / "b.py").write_text("@kernel\ndef two(): ...\n")
    assert compiled.sources_digest(tmp_path) == before


def test_the_folder_is_of_this_state_of_the_sources(tmp_path):
    folder, cached, _ = told(tmp_path / "named")
    sources = Path(compiled.__file__).parent
    assert Path(folder) == tmp_path / "named" / compiled.sources_digest(sources)
    assert cached == "True"


def test_without_a_writable_folder_kernels_are_compiled_all_the_same(tmp_path):
    (tmp_path / "file").write_text("")
    assert told(tmp_path / "file")[1:] == ["False", "42"]
