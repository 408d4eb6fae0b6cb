#!/usr/bin/env bash
# Prints the path of a Python that has the pinned packages of a requirements file, making the environment if need be.
#
#   python-environment.sh [REQUIREMENTS]        default: Tests/Interop/requirements.txt
#
# Environments are kept in ${CELERIAC_CACHE:-.cache}, one for each set of pins and version of Python.
# PYTHON chooses the interpreter.
set -euo pipefail

root=$(dirname "$(dirname "$(realpath "$0")")")
requirements=$(realpath -- "${1:-$root/Tests/Interop/requirements.txt}")
python=${PYTHON:-python3}
cache=${CELERIAC_CACHE:-$root/.cache}

mkdir -p "$cache"
cache=$(realpath -- "$cache")
key=$({ "$python" -c 'import sys; print(sys.version, sys.prefix)' && cat "$requirements"; } | sha256sum | cut -c1-16)
environment=$cache/python-$key

exec 9>"$environment.lock"
flock 9
if [[ ! -e $environment/complete ]]; then
    echo "Preparing Python packages of ${requirements#"$root/"}" >&2
    rm -rf "$environment"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    if ! { "$python" -m venv "$environment" &&
        "$environment/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
            --requirement "$requirements"; } </dev/null >"$log" 2>&1 9>&-; then
        cat "$log" >&2
        echo "${0##*/}: cannot install $requirements" >&2
        exit 1
    fi
    touch "$environment/complete"
fi
echo "$environment/bin/python"
