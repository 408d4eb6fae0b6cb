#!/usr/bin/env bash
# Installs the Debian packages that are missing for one purpose: build, test, bench or docs.
# Prints one line if it has to install something, and nothing otherwise. Never starts a system service.
set -euo pipefail

purpose=${1:-build}

# What the Swift toolchain itself needs on a bare Debian 12, and the C libraries this package binds.
packages=(
    binutils ca-certificates gcc git libc6-dev libcurl4 libedit2 libgcc-12-dev libncurses6 libsqlite3-0
    libstdc++-12-dev libxml2 pkg-config tzdata
    libhiredis-dev libssl-dev zlib1g-dev
)
case $purpose in
    build | docs) ;;
    test) packages+=(openssl python3 python3-venv rabbitmq-server redis-server redis-tools) ;;
    bench) packages+=(librabbitmq-dev python3 python3-venv rabbitmq-server redis-server redis-tools) ;;
    *)
        echo "usage: ${0##*/} [build|test|bench|docs]" >&2
        exit 64
        ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "${0##*/}: no dpkg here; install the equivalents of: ${packages[*]}" >&2
    exit 69
fi

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
    [[ $status == "install ok installed" ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
        echo "${0##*/}: missing ${missing[*]}; run it as root, or install sudo" >&2
        exit 77
    fi
    exec sudo -- "${BASH:-bash}" "$(realpath "$0")" "$purpose"
fi

echo "Installing ${missing[*]}"
exec 9>/run/lock/celeriac-packages
flock 9

log=$(mktemp)
policy=/usr/sbin/policy-rc.d
mark="# celeriac: no service may start while packages are being installed"
restore() {
    rm -f "$log"
    # Only our own file is removed: the mark also finds one that a killed run left behind.
    if grep -qsxF "$mark" "$policy"; then rm -f "$policy"; fi
}
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null >>"$log" 2>&1 9>&-; }

# One unreachable third-party source fails the update although the packages may well be there.
apt update || true
if ! apt install --yes --no-install-recommends "${missing[@]}"; then
    cat "$log" >&2
    echo "${0##*/}: apt-get could not install ${missing[*]}" >&2
    exit 1
fi
