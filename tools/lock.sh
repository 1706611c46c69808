#!/bin/sh
# Renew the locked and hashed requirements: one universal solution for Linux, Windows, macOS and Python 3.11 to
# 3.13, of which the profiles `predict` and `train` and the developers' set are parts.
set -eu
cd "$(dirname "$0")/.."
folder=building_segmenter/requirements
constraints=$(mktemp)
trap 'rm -f "$constraints"' EXIT

compile() {
    .venv/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate \
        --no-header --no-emit-index-url --quiet "$@"
}

compile --extra train --extra dev -o $folder/dev.txt
sed -e '/^ *--hash/d' -e 's/ *\\$//' $folder/dev.txt > "$constraints"
compile --extra train -c "$constraints" -o $folder/train.txt
compile -c "$constraints" -o $folder/predict.txt
