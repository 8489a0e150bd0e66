#!/usr/bin/env bash
# Makes build/venv, the virtual environment of the Python suite: torch and everything that tests/python/requirements.txt names.
# A no-op when it is there and the requirements have not changed. Exits with 1 and says why when it cannot be made.
# A machine without a GPU saves some gigabytes with pip pointed at PyTorch's index of CPU wheels (PIP_EXTRA_INDEX_URL).
set -euo pipefail
cd "$(dirname "$0")/.."

venv=build/venv
stamp=$(cat tests/python/*.txt | sha256sum)
[ -e $venv/stamp ] && [ "$(cat $venv/stamp)" = "$stamp" ] && exit 0

# torch 2.13 has wheels for these.
python=
for candidate in ${PYTHON:-} /usr/bin/python3.11 python3.11 python3.12 python3.13 python3.10 python3; do
  if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || { echo "no Python 3.10 to 3.13 with venv" >&2; exit 1; }

echo "venv: installing torch and the other test requirements into $venv ($("$python" --version))"
rm -rf $venv
"$python" -m venv $venv
pip=("$venv/bin/python" -m pip --disable-pip-version-check install --quiet --constraint tests/python/constraints.txt)
"${pip[@]}" torch  # first: the others must find this version and no other
"${pip[@]}" --requirement tests/python/requirements.txt
"${pip[@]}" --no-deps --requirement tests/python/requirements-no-deps.txt
echo "$stamp" >$venv/stamp
