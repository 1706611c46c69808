"""Nothing heavy is ever imported in QGIS: every plugin module imports with the standard library and qgis alone."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

IMPORT_ALL = """
import importlib, importlib.abc, pkgutil, sys

# org: copy asks for Jython's.
ALLOWED = set(sys.stdlib_module_names) | {"__main__", "building_segmenter", "qgis", "PyQt5", "PyQt6", "sip", "org"}


class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED:
            raise AssertionError(f"{name} was imported in QGIS")


# From 3.40 on QGIS imports numpy itself; what it has loaded is forgotten, so that an import of ours is still seen.
import qgis.core, qgis.gui, qgis.utils

for name in [name for name in sys.modules if name.partition(".")[0] not in ALLOWED]:
    del sys.modules[name]
sys.meta_path.insert(0, Guard())
sys.path.insert(0, sys.argv[1])
for canary in ("numpy", "click"):
    try:
        importlib.import_module(canary)
    except AssertionError:
        continue
    raise SystemExit(f"the guard let {canary} through")
import building_segmenter.plugin

found = pkgutil.walk_packages(building_segmenter.plugin.__path__, "building_segmenter.plugin.")
modules = [module.name for module in found]
for module in modules:
    importlib.import_module(module)
ours = sorted(name for name in sys.modules if name.startswith("building_segmenter."))
print(len(modules), *(name for name in ours if not name.startswith("building_segmenter.plugin")))
"""


def test_every_plugin_module_imports_with_the_standard_library_and_qgis_alone():
    told = subprocess.run([sys.executable, "-c", IMPORT_ALL, str(ROOT)], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    count, *shared = told.stdout.split()
    assert int(count) > 20
    assert {name.split(".")[1] for name in shared} == {"errors", "options", "tasks"}
