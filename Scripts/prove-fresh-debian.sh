#!/usr/bin/env bash
# Proves that a make target works on a Debian 12 that has nothing but make, git and a Swift toolchain.
#
#   prove-fresh-debian.sh [TARGET…]        default: demo
#
# Clones what is committed into a fresh Debian root, binds the toolchain of `command -v swift` read-only, runs
# `make TARGET…` there with no standard input, and reports exit status and duration. Needs root and debootstrap.
set -euo pipefail

root=$(dirname "$(dirname "$(realpath "$0")")")
cache=${CELERIAC_CACHE:-$root/.cache}
# The mirror this machine uses itself.
mirror=${DEBIAN_MIRROR:-$(apt-cache policy | awk '/ bookworm\/main / && !found { print $2; found = 1 }')}
(($#)) || set -- demo

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}
((EUID == 0)) || fail "only root can make a Debian root"
command -v debootstrap >/dev/null || fail "debootstrap is missing"
[[ $mirror ]] || fail "no Debian mirror is known: set DEBIAN_MIRROR"
toolchain=$(dirname "$(dirname "$(realpath "$(command -v swift)")")")
[[ -x $toolchain/bin/swift-frontend ]] || fail "no Swift toolchain in $toolchain"

guest=$(mktemp -d "${TMPDIR:-/tmp}/celeriac-debian.XXXXXX")
# shellcheck disable=SC2317 # the traps call it
clean_up() {
    local status=$? process mounts
    trap '' INT TERM HUP
    # What a failed target left running has this root as its own.
    for process in /proc/[0-9]*; do
        if [[ $(readlink "$process/root" 2>/dev/null) == "$guest" ]]; then kill -s KILL "${process#/proc/}" || true; fi
    done
    # Innermost first; a removal must never reach through a mount.
    mapfile -t mounts < <(awk -v root="$guest/" 'index($2, root) == 1 { print $2 }' /proc/mounts | sort -r)
    if ((${#mounts[@]} == 0)) || umount -l "${mounts[@]}"; then rm -rf --one-file-system "$guest"; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

mkdir -p "$cache"
base=$cache/debian-bookworm-$(dpkg --print-architecture).tar
if [[ ! -s $base ]]; then
    echo "Making a Debian root (once)"
    if ! debootstrap --variant=minbase --include=make,git,ca-certificates bookworm "$guest" "$mirror" \
        >"$guest.log" 2>&1 </dev/null; then
        tail -n 20 "$guest.log" >&2
        rm -f "$guest.log"
        fail "debootstrap failed"
    fi
    rm -f "$guest.log"
    tar --one-file-system -cf "$base.partial" -C "$guest" .
    mv "$base.partial" "$base"
else
    tar -xf "$base" -C "$guest"
fi

# How this machine reaches the package archives.
cp -L /etc/resolv.conf "$guest/etc/resolv.conf"
printf '127.0.0.1 localhost\n' >"$guest/etc/hosts"
for file in /etc/apt/apt.conf.d/*; do
    if grep -qiE 'proxy|verify|cainfo' "$file" 2>/dev/null; then cp "$file" "$guest/etc/apt/apt.conf.d/"; fi
done
[[ ! -s /etc/ssl/certs/ca-certificates.crt ]] || cp -L /etc/ssl/certs/ca-certificates.crt "$guest/etc/ssl/certs/"
[[ ! -d /usr/local/share/ca-certificates ]] ||
    cp -rL /usr/local/share/ca-certificates "$guest/usr/local/share/"
passed=()
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL PIP_CERT SSL_CERT_FILE \
    TEST_WIDTH SWIFT_TEST_FLAGS; do
    [[ ! -v $name ]] || passed+=("$name=${!name}")
done
[[ ! -f /etc/pip.conf ]] || cp -L /etc/pip.conf "$guest/etc/pip.conf"

mkdir -p "$guest/opt/swift/usr" "$guest/root/.config"
mount --bind "$toolchain" "$guest/opt/swift/usr"
mount -o remount,bind,ro "$guest/opt/swift/usr"
mount -t proc proc "$guest/proc"
mount --rbind /dev "$guest/dev"
mount --make-rslave "$guest/dev"
git clone --quiet --no-hardlinks "$root" "$guest/root/celeriac"

started=$SECONDS status=0
env -i PATH=/opt/swift/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "${passed[@]}" \
    chroot "$guest" make -C /root/celeriac "$@" </dev/null || status=$?
echo "make $* on a fresh Debian 12: exit status $status after $((SECONDS - started)) s"
exit "$status"
