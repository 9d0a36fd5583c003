#!/bin/sh
# Says plainly what this machine lacks for `make setup`, and the command that installs it.
# usage: preflight.sh [PYTHON]
set -u
python=${1:-python3}
missing=''   # what, one line each
packages=''  # the apt packages that provide it

lacks() {
    missing="$missing  - $1
"
    packages="$packages $2"
}

has() { command -v "$1" >/dev/null 2>&1; }

newer_than() { # newer_than FOUND WANTED: whether FOUND >= WANTED
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

system="$(uname -s) $(uname -m)"
if [ "$system" != 'Linux x86_64' ]; then
    echo "error: this is $system, but the ROS 2 wheels exist for Linux x86_64 only." >&2
    echo 'Without ROS, `pip install .` gives the cerfevpr command on any machine;' >&2
    echo 'with an installed ROS 2, build with colcon: see README.md.' >&2
    exit 1
fi

if ! has "$python"; then
    lacks "$python (Python 3.10 or newer)" 'python3 python3-venv python3-dev'
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    echo "error: $python is $("$python" -V 2>&1), but Python 3.10 or newer is needed." >&2
    echo 'Name another one: make setup PYTHON=python3.12' >&2
    exit 1
else
    # Debian ships Python without ensurepip, so that `python3 -m venv` fails half-way.
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        lacks "venv and ensurepip of $python" python3-venv
    "$python" -c '
import pathlib, sys, sysconfig
sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' ||
        lacks "the headers of $python (Python.h)" python3-dev
fi
has g++ || lacks 'a C++ compiler (g++)' g++
has make || lacks 'make' make
if ! has cmake; then
    lacks 'CMake 3.21 or newer (cmake)' cmake
elif ! newer_than "$(cmake --version | sed -n '1s/.* //p')" 3.21; then
    lacks "CMake 3.21 or newer (found $(cmake --version | sed -n '1s/.* //p'))" cmake
fi

if [ -n "$missing" ]; then
    printf 'error: this machine lacks\n%sInstall it, then run make again:\n' "$missing" >&2
    echo "  sudo apt-get update && sudo apt-get install -y$packages" >&2
    exit 1
fi

free_gb=$(($(df -Pk . | awk 'NR == 2 {print $4}') / 1048576))
if [ ! -d .venv ] && [ "$free_gb" -lt 8 ]; then
    echo "warning: about 7 GB go into .venv, and only $free_gb GB are free here." >&2
fi
if [ -n "${ROS_DISTRO:-}" ]; then
    echo "note: ROS 2 $ROS_DISTRO is sourced here, but make does not use it: nodes run on the ROS 2"
    echo '      Kilted wheels in .venv. To build for your distribution use colcon: see README.md.'
fi
exit 0
