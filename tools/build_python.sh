#!/usr/bin/env bash
# Builds the Python package for build/venv in the release tree: build/release/python is then a folder for PYTHONPATH. Installs
# nothing but nanobind, which compiles it. Only the extension module is added to what tools/build.sh builds.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$PWD/build/venv/bin/python
folder=build/release
"$python" -c 'import nanobind' 2>/dev/null ||
  "$python" -m pip --disable-pip-version-check install --quiet "nanobind>=2.4"
[ -e $folder/build.ninja ] || tools/build.sh cortland
if ! grep -qxF "Python_EXECUTABLE:FILEPATH=$python" $folder/CMakeCache.txt; then
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  cmake $folder -DCORTLAND_PYTHON=ON "-DPython_EXECUTABLE:FILEPATH=$python" \
    "-Dnanobind_DIR=$("$python" -m nanobind --cmake_dir)" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
fi
tools/build.sh cortland_python
