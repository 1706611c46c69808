#!/bin/sh
# Make sure that QGIS, a Python with venv, and a font for maps are there: installed from Debian's packages where
# that is possible, otherwise a sentence says what to install. Prints nothing when all is there.
set -eu

have_qgis() { command -v qgis_process.bin >/dev/null 2>&1 || command -v qgis_process >/dev/null 2>&1; }
# Debian splits the standard library: ensurepip, which venv needs, is a package of its own.
have_python() { /usr/bin/python3 -c 'import ensurepip, qgis.core' >/dev/null 2>&1; }
have_font() { [ -n "$(find /usr/share/fonts /usr/local/share/fonts -name '*.ttf' -print -quit 2>/dev/null)" ]; }

if have_qgis && have_python && have_font; then exit 0; fi

packages="qgis qgis-providers python3-qgis python3-venv fonts-dejavu-core"
if [ "$(id -u)" = 0 ]; then as_root=""
elif command -v sudo >/dev/null 2>&1; then as_root="sudo"
else as_root="none"; fi

if ! command -v apt-get >/dev/null 2>&1 || [ "$as_root" = none ]; then
    echo "QGIS 3.22 or newer with its Python and qgis_process, python3 with venv, and a TrueType font are needed." >&2
    echo "Install them with your system's packages (on Debian, as root: apt-get install $packages) and run make again." >&2
    exit 1
fi
echo "Installing QGIS from Debian's packages: $packages"
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
