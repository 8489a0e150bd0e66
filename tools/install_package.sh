#!/usr/bin/env bash
# usage: install_package.sh [python]   Builds the Python package in build/python and installs it for that interpreter, by default
# that of build/venv. Later calls compile only what has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${1:-build/venv/bin/python}
pip=("$python" -m pip --disable-pip-version-check install --quiet)
"$python" -c 'import nanobind, scikit_build_core' 2>/dev/null || "${pip[@]}" "nanobind>=2.4" "scikit-build-core>=0.10"
# Compiler and flags as in tools/build.sh, so that ccache has most of it.
export CXX=${CXX:-c++}
command -v ccache >/dev/null && export CMAKE_CXX_COMPILER_LAUNCHER=ccache
"${pip[@]}" --no-build-isolation --no-deps -Cbuild-dir=build/python -Ccmake.define.CORTLAND_WERROR=ON .
