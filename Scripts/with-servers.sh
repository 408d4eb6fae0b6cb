#!/usr/bin/env bash
# Runs a command beside a private RabbitMQ and a private Redis, and removes both afterwards, whatever happens.
#
#   with-servers.sh COMMAND [ARGUMENT…]
#
# The command finds in its environment
#   RABBITMQ_URL, REDIS_URL    the two servers
#   CELERIAC_SERVERS           server.sh, to stop and restart them or to start more
#   CELERIAC_SERVERS_DIR       the directory to give it; directories beneath it may hold further servers, which are
#                              ended as well should their test not do it
# and its exit status is passed on.
set -euo pipefail

if (($# == 0)); then
    echo "usage: ${0##*/} COMMAND [ARGUMENT…]" >&2
    exit 64
fi

here=$(dirname "$(realpath "$0")")
server=$here/server.sh
directory=$(mktemp -d "${TMPDIR:-/tmp}/celeriac-servers.XXXXXX")
command_pid=
starting=()

# Job control gives each child a process group of its own: a signal to us then does not reach a server half started,
# and the command can be ended together with its own children.
set -m

# shellcheck disable=SC2317 # the traps call it
descendants() { # PID: what it has started, and what those have
    local stat line parent
    for stat in /proc/[0-9]*/stat; do
        line=$(cat "$stat" 2>/dev/null) || continue
        read -r _ parent _ <<<"${line##*) }"
        ((parent == $1)) || continue
        echo "${line%% *}"
        descendants "${line%% *}"
    done
}

# shellcheck disable=SC2317 # the traps call it
clean_up() {
    local status=$? family=()
    trap '' INT TERM HUP
    # Disowned, or the shell would report how each ended.
    disown -a
    # `swift test` gives its tests a group of their own, and leaves them behind when it is ended.
    [[ ! $command_pid ]] || mapfile -t family < <(descendants "$command_pid")
    if [[ $command_pid ]] && kill -s TERM -- "-$command_pid" 2>/dev/null; then
        for _ in {1..100}; do
            kill -s 0 -- "-$command_pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -s KILL -- "-$command_pid" "${family[@]}" 2>/dev/null || true
    fi
    "$server" clear "$directory" || true
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Should this process be killed outright, the far end of the pipe closes and the watcher does what is left to do.
# shellcheck disable=SC2016 # the inner shell expands it
exec 8> >(exec setsid "${BASH:-bash}" -c 'cat; exec "$0" clear "$1"' "$server" "$directory" >/dev/null 2>&1)

"$server" start redis "$directory" >"$directory/redis-url" 8>&- &
starting+=($!)
"$server" start rabbitmq "$directory" >"$directory/rabbitmq-url" 8>&- &
starting+=($!)
for pid in "${starting[@]}"; do wait "$pid"; done

REDIS_URL=$(<"$directory/redis-url")
RABBITMQ_URL=$(<"$directory/rabbitmq-url")
export REDIS_URL RABBITMQ_URL CELERIAC_SERVERS="$server" CELERIAC_SERVERS_DIR="$directory"

"$@" <&0 8>&- &
command_pid=$!
status=0
wait "$command_pid" 2>/dev/null || status=$?
exit "$status"
