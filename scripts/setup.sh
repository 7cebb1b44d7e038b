#!/bin/sh
# Make the environment of the book: setup.sh FOLDER
# Python 3.11 or newer is the one thing that must be there; the rest comes from the package index,
# and libngspice, which pip cannot bring, from the system's packages where that is allowed.
set -eu
venv=$1

python=
for name in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
  [ -n "$name" ] && command -v "$name" >/dev/null 2>&1 || continue
  if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$name; break; fi
done
[ -n "$python" ] || { echo "The book needs Python 3.11 or newer (tried python3.11 to python3.13 and python3)." >&2; exit 1; }

# Run a system package command as root, through sudo only where sudo asks for no password.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null 2>&1; then sudo -n "$@"; else return 1; fi
}
apt() {
  command -v apt-get >/dev/null 2>&1 || return 1
  as_root apt-get update -qq >/dev/null 2>&1 || true
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1
}

if [ ! -x "$venv/bin/pip" ]; then
  echo "Making $venv with $("$python" --version)"
  "$python" -c 'import ensurepip' 2>/dev/null || apt python3-venv || true
  "$python" -m venv "$venv" || { rm -rf "$venv"
    echo "$python cannot make virtual environments. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
fi

echo "Installing the pinned packages (a few minutes the first time)"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
pip install -c constraints.txt hatchling editables
pip install -c constraints.txt --no-build-isolation -e '.[test]'

if ! "$venv/bin/python" scripts/find_ngspice.py; then
  apt libngspice0 || { command -v brew >/dev/null 2>&1 && brew install --quiet libngspice >/dev/null 2>&1; } || true
  "$venv/bin/python" scripts/find_ngspice.py ||
    echo "libngspice is missing: the circuit pages will show stored results (Debian: sudo apt-get install libngspice0; macOS: brew install libngspice)."
fi
