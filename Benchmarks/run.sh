#!/usr/bin/env bash
# Compares Celeriac with a bare C client and with Python Celery in one run, on private servers, and prints a table.
# What the figures mean, and the settings: Benchmarks/README.md.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
root=$(dirname "$here")
cd "$root"

export BENCH_COUNT=${BENCH_COUNT:-50000} BENCH_CELERY_COUNT=${BENCH_CELERY_COUNT:-3000}
export BENCH_TRIPS=${BENCH_TRIPS:-1000} BENCH_ROUNDS=${BENCH_ROUNDS:-3}
export BENCH_CONTESTANTS=${BENCH_CONTESTANTS:-bare-c celeriac celery}

if [[ ${1:-} != measure ]]; then
    Scripts/install-packages.sh bench
    build=$root/.build/bench
    mkdir -p "$build"
    read -ra flags <<<"$(pkg-config --cflags --libs librabbitmq hiredis)"
    gcc -std=c11 -O2 -Wall -Wextra -o "$build/bare" Benchmarks/bare/bare.c "${flags[@]}"
    BENCH_BARE=$build/bare
    if [[ " $BENCH_CONTESTANTS " == *" celery "* ]]; then BENCH_PYTHON=$(Scripts/python-environment.sh); fi
    if [[ " $BENCH_CONTESTANTS " == *" celeriac "* ]]; then
        swift=${SWIFT:-swift}
        "$swift" build -c release --product celeriac-bench >&2
        BENCH_CELERIAC=$("$swift" build -c release --show-bin-path)/celeriac-bench
        if [[ ! -x $BENCH_CELERIAC ]]; then
            echo "${0##*/}: the build left no program celeriac-bench" >&2
            exit 1
        fi
    fi
    export BENCH_BARE BENCH_PYTHON="${BENCH_PYTHON:-}" BENCH_CELERIAC="${BENCH_CELERIAC:-}"
    # With one scheduler RabbitMQ would be the same for everybody, but not what a machine runs.
    CELERIAC_RABBITMQ_SCHEDULERS=${CELERIAC_RABBITMQ_SCHEDULERS:-$(nproc)}
    export CELERIAC_RABBITMQ_SCHEDULERS
    exec Scripts/with-servers.sh "$here/run.sh" measure
fi

samples=$CELERIAC_SERVERS_DIR/samples
read -ra contestants <<<"$BENCH_CONTESTANTS"

run() { # CONTESTANT MEASURE
    local count=$BENCH_COUNT command
    case $1 in
        bare-c) command=("$BENCH_BARE") ;;
        celeriac) command=("$BENCH_CELERIAC") ;;
        celery)
            count=$BENCH_CELERY_COUNT
            command=("$BENCH_PYTHON" "$here/peers/celery_bench.py")
            ;;
        *)
            echo "${0##*/}: no contestant $1" >&2
            exit 64
            ;;
    esac
    [[ $2 != roundtrip ]] || count=$BENCH_TRIPS
    # A contestant that hangs fails the run; a hole in the table would say nothing.
    if ! timeout 120 "${command[@]}" "$2" --count "$count" >>"$samples"; then
        echo "${0##*/}: $1 failed at $2" >&2
        exit 1
    fi
}

for ((round = 1; round <= BENCH_ROUNDS; round++)); do
    for measure in publish drain drain-results roundtrip; do
        for contestant in "${contestants[@]}"; do
            [[ ! -t 2 ]] || printf '\rround %d of %d: %-13s %-8s ' "$round" "$BENCH_ROUNDS" "$measure" "$contestant" >&2
            run "$contestant" "$measure"
        done
    done
done
[[ ! -t 2 ]] || printf '\r%-50s\r' '' >&2
[[ -z ${BENCH_SAMPLES:-} ]] || cp "$samples" "$BENCH_SAMPLES"

echo "$(nproc) cores; RabbitMQ classic queues and Redis on the same machine; median of $BENCH_ROUNDS rounds"
python3 "$here/table.py" "${contestants[@]}" <"$samples"
