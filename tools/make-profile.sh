#!/bin/sh
# Make a QGIS profile with the plugin linked and enabled, and the engine's Python set.
# usage: make-profile.sh PROFILE_FOLDER ENGINE_PYTHON
# Use it with QGIS_CUSTOM_CONFIG_PATH=PROFILE_FOLDER.
set -eu

profile=$1
python=$2
root=$(cd "$(dirname "$0")/.." && pwd)
plugins=$profile/profiles/default/python/plugins

mkdir -p "$plugins" "$profile/profiles/default/QGIS"
ln -sfn "$root/building_segmenter" "$plugins/building_segmenter"
cat > "$profile/profiles/default/QGIS/QGIS3.ini" <<INI
[Processing]
Configuration\\BUILDING_SEGMENTER_PYTHON=$python
INI
# Debian 12's wrapper passes an option that qgis_process does not know, so the program itself is called.
qgis_process=$(command -v qgis_process.bin || command -v qgis_process)
QGIS_CUSTOM_CONFIG_PATH=$profile QT_QPA_PLATFORM=offscreen "$qgis_process" plugins enable building_segmenter >/dev/null
