#!/usr/bin/env bash
# Installs what the build needs: Debian packages and the ExecuTorch wheel (its headers and shared libraries; no torch).
# Touches only what is missing, and takes a fraction of a second when nothing is.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(g++ cmake ninja-build ccache make pkg-config python3 python3-venv python3-pip libfmt-dev zlib1g-dev libsimdjson-dev
  libprotobuf-dev protobuf-compiler libflatbuffers-dev flatbuffers-compiler libdnnl-dev libcli11-dev libgtest-dev
  libgmock-dev nlohmann-json3-dev valgrind)
version=1.5.1
executorch=build/executorch-$version

install_packages() {
  local missing=() package
  local installed
  installed=" $(dpkg-query -W -f='${db:Status-Status}=${Package} ' "${packages[@]}" 2>/dev/null || true)"
  for package in "${packages[@]}"; do
    [[ $installed == *" installed=$package "* ]] || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "setup: sudo is missing; as root: apt-get install ${missing[*]}" >&2; exit 1; }
    root=(sudo)
  fi
  echo "setup: installing ${missing[*]}"
  "${root[@]}" apt-get update -q
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# The wheel is downloaded and unpacked, not installed: Debian's pip refuses to install outside a virtual environment, and
# the Python version of the machine does not matter for headers and C++ libraries.
install_executorch() {
  [ -e "$executorch/executorch" ] && return
  local python=/usr/bin/python3
  [ -x $python ] || python=python3
  echo "setup: downloading executorch $version"
  mkdir -p build
  temporary=$(mktemp -d build/executorch.XXXXXX)
  trap 'rm -rf "$temporary"' EXIT  # not local: the trap runs after this function
  $python -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 \
    --dest "$temporary" "executorch==$version"
  $python -m zipfile -e "$temporary"/executorch-*.whl "$temporary/unpacked"
  rm -rf "$executorch"
  chmod 755 "$temporary/unpacked"
  mv "$temporary/unpacked" "$executorch"
}

if command -v dpkg-query >/dev/null; then
  install_packages
else
  echo "setup: not a Debian machine; these packages must be there: ${packages[*]}" >&2
fi
install_executorch
