"""Install the plugin's zip into a QGIS profile.

usage: install.py ZIP_FOLDER [PROFILE_FOLDER]      (any Python from 3.9, standard library only)
"""

import os
import shutil
import sys
import zipfile
from pathlib import Path


def default_profile():
    """Return the folder of the user's default QGIS 3 profile on this system."""
    if os.environ.get("QGIS_CUSTOM_CONFIG_PATH"):
        return Path(os.environ["QGIS_CUSTOM_CONFIG_PATH"]) / "profiles" / "default"
    home = Path.home()
    places = {
        "win32": Path(os.environ.get("APPDATA", home)) / "QGIS" / "QGIS3",
        "darwin": home / "Library" / "Application Support" / "QGIS" / "QGIS3",
    }
    linux = Path(os.environ.get("XDG_DATA_HOME", home / ".local" / "share")) / "QGIS" / "QGIS3"
    return places.get(sys.platform, linux) / "profiles" / "default"


def main(folder, profile=None):
    """Put the newest zip of a folder in place of an earlier installation."""
    newest = max(Path(folder).glob("building_segmenter-*.zip"), key=lambda path: path.stat().st_mtime)
    plugins = (Path(profile) if profile else default_profile()) / "python" / "plugins"
    target = plugins / "building_segmenter"
    plugins.mkdir(parents=True, exist_ok=True)
    if target.is_symlink():
        target.unlink()
    elif target.exists():
        shutil.rmtree(target)
    with zipfile.ZipFile(newest) as archive:
        archive.extractall(plugins)
    print(f"Installed {newest.name} to {target}.")
    print("In QGIS: Plugins > Manage and Install Plugins > Installed: tick Building Segmenter.")
    print("Then run 'Set up environment' from the Processing Toolbox once.")


if __name__ == "__main__":
    main(*sys.argv[1:])
