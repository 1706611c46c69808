#!/bin/sh
# Print a Python from 3.11 to 3.13 that can make environments; $1, where given, is the one to use.
set -eu

fits() {
    "$1" -c 'import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

for python in ${1:-python3 python3.13 python3.12 python3.11 /usr/bin/python3}; do
    if command -v "$python" >/dev/null 2>&1 && fits "$python"; then
        command -v "$python"
        exit 0
    fi
done
echo "No Python from 3.11 to 3.13 with venv was found${1:+ at $1}." >&2
echo "Install one (on Debian: apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python" >&2
exit 1
