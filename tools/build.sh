#!/usr/bin/env bash
# usage: build.sh [target...]   Builds the release preset; without a target everything, tests too.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/release
executorch=$PWD/build/executorch-1.5.1/executorch
wants="CORTLAND_EXECUTORCH:PATH=$executorch"
# Ninja itself configures again when a CMake file changes.
if ! [ -e $folder/build.ninja ] || ! grep -qxF "$wants" $folder/CMakeCache.txt; then
  options=(-DCORTLAND_EXECUTORCH="$executorch")
  command -v ccache >/dev/null && options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  cmake --preset release "${options[@]}" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
fi
# On a terminal ninja shows its progress in one line; in a log it would fill hundreds.
quiet=()
[ -t 1 ] || quiet=(--quiet)
ninja -C $folder "${quiet[@]}" "$@"
