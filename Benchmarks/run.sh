#!/usr/bin/env bash
# Compares Celeriac with a bare C client and with Python Celery in one run, on private servers, and prints a table for
# the AMQP library alone, one for the whole framework, and one for results in Redis.
# What the figures mean, and the settings: Benchmarks/README.md.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
root=$(dirname "$here")
cd "$root"

export BENCH_COUNT=${BENCH_COUNT:-50000} BENCH_CELERY_COUNT=${BENCH_CELERY_COUNT:-3000}
export BENCH_TRIPS=${BENCH_TRIPS:-1000} BENCH_ROUNDS=${BENCH_ROUNDS:-3}
export BENCH_AMQP_COUNT=${BENCH_AMQP_COUNT:-50000} BENCH_AMQP_ROUNDS=${BENCH_AMQP_ROUNDS:-9}
export BENCH_AMQP_CASES=${BENCH_AMQP_CASES:-.}
export BENCH_MEMORY_COUNT=${BENCH_MEMORY_COUNT:-200000}
export BENCH_REDIS_COUNT=${BENCH_REDIS_COUNT:-200000} BENCH_WAITERS=${BENCH_WAITERS:-10000}
export BENCH_SECTIONS=${BENCH_SECTIONS:-amqp framework redis}
export BENCH_CONTESTANTS=${BENCH_CONTESTANTS:-bare-c celeriac celery}

if [[ ${1:-} != measure ]]; then
    Scripts/install-packages.sh bench
    build=$root/.build/bench
    mkdir -p "$build"
    read -ra flags <<<"$(pkg-config --cflags --libs librabbitmq hiredis)"
    gcc -std=c11 -O2 -Wall -Wextra -o "$build/bare" Benchmarks/bare/bare.c "${flags[@]}"
    BENCH_BARE=$build/bare
    # Builds a program and leaves its path in $built.
    build_swift() { # PRODUCT
        local swift=${SWIFT:-swift}
        "$swift" build -c release --product "$1" >&2
        built=$("$swift" build -c release --show-bin-path)/$1
        if [[ ! -x $built ]]; then
            echo "${0##*/}: the build left no program $1" >&2
            exit 1
        fi
    }
    BENCH_PYTHON='' BENCH_CELERIAC='' BENCH_AMQP='' BENCH_REDIS=''
    if [[ " $BENCH_SECTIONS " == *" amqp "* ]]; then
        build_swift amqp-bench
        BENCH_AMQP=$built
    fi
    if [[ " $BENCH_SECTIONS " == *" framework "* ]]; then
        if [[ " $BENCH_CONTESTANTS " == *" celeriac "* ]]; then
            build_swift celeriac-bench
            BENCH_CELERIAC=$built
        fi
    fi
    if [[ " $BENCH_SECTIONS " == *" redis "* ]]; then
        build_swift redis-bench
        BENCH_REDIS=$built
    fi
    if [[ $BENCH_SECTIONS != amqp && " $BENCH_CONTESTANTS " == *" celery "* ]]; then
        BENCH_PYTHON=$(Scripts/python-environment.sh)
    fi
    export BENCH_BARE BENCH_PYTHON BENCH_CELERIAC BENCH_AMQP BENCH_REDIS
    # With one scheduler RabbitMQ would be the same for everybody, but not what a machine runs.
    CELERIAC_RABBITMQ_SCHEDULERS=${CELERIAC_RABBITMQ_SCHEDULERS:-$(nproc)}
    export CELERIAC_RABBITMQ_SCHEDULERS
    # The servers' files are kept in memory where there is room: a disk's moods would be all that large bodies measure.
    if [[ -z ${TMPDIR:-} && -d /dev/shm && $(df --output=avail -B1 /dev/shm | tail -1) -gt 6000000000 ]]; then
        export TMPDIR=/dev/shm
    fi
    exec Scripts/with-servers.sh "$here/run.sh" measure
fi

samples=$CELERIAC_SERVERS_DIR/samples
read -ra contestants <<<"$BENCH_CONTESTANTS"

progress() { # TEXT
    [[ ! -t 2 ]] || printf '\r%-60s\r%s ' '' "$1" >&2
}

measure() { # COMMAND…: a contestant that hangs fails the run; a hole in the table would say nothing
    if ! timeout "${BENCH_TIMEOUT:-120}" "$@" >>"$samples"; then
        echo "${0##*/}: failed: $*" >&2
        exit 1
    fi
}

# MARK: The AMQP library alone

amqp_cases=()
add_case() { # NAME ARGUMENT…: the first argument is the measure
    [[ ! $1 =~ $BENCH_AMQP_CASES ]] || amqp_cases+=("$*")
}
large=$((BENCH_AMQP_COUNT / 10))
for type in classic quorum; do
    add_case "$type-publish" publish --queue-type "$type" --count "$BENCH_AMQP_COUNT"
    add_case "$type-publish-batches" publish-batches --queue-type "$type" --count "$BENCH_AMQP_COUNT"
    add_case "$type-publish-tasks" publish-tasks --queue-type "$type" --count "$BENCH_AMQP_COUNT"
    add_case "$type-drain" drain --prefetch 1000 --queue-type "$type" --count "$BENCH_AMQP_COUNT"
    add_case "$type-publish-64KiB" publish --size 65536 --queue-type "$type" --count "$large"
    add_case "$type-publish-tasks-64KiB" publish-tasks --size 65536 --queue-type "$type" --count "$large"
    add_case "$type-drain-64KiB" drain --prefetch 1000 --size 65536 --queue-type "$type" --count "$large"
done

# Begins a new file of the log that all quorum queues share. When one is full, at 512 MB, what is in it moves to other
# files, from which messages are read at half the speed: whom that hits must not be a matter of luck.
new_quorum_log() {
    "$CELERIAC_SERVERS" control rabbitmq "$CELERIAC_SERVERS_DIR" eval 'ra_log_wal:force_roll_over(ra_log_wal).' >/dev/null
}

# Waits until RabbitMQ has done what the last contestant left it to do, such as emptying its files.
calm() {
    local pid calm_times=0 tries fields before=-1 now
    pid=$("$CELERIAC_SERVERS" pid rabbitmq "$CELERIAC_SERVERS_DIR")
    for ((tries = 0; tries < 200 && calm_times < 2; tries++)); do
        fields=$(<"/proc/$pid/stat")
        read -ra fields <<<"${fields##*) }"
        now=$((fields[11] + fields[12]))
        # Hundredths of a second of processor time, in a twentieth of a second.
        if ((before >= 0 && now - before <= 1)); then calm_times=$((calm_times + 1)); else calm_times=0; fi
        before=$now
        sleep 0.05
    done
}

amqp_section() {
    local round name arguments turn turns bare
    for ((round = 1; round <= BENCH_AMQP_ROUNDS; round++)); do
        for case in "${amqp_cases[@]}"; do
            read -r name arguments <<<"$case"
            read -ra arguments <<<"$arguments"
            progress "AMQP round $round of $BENCH_AMQP_ROUNDS: $name"
            # The C program knows no difference between the ways to publish: it has one window, which slides.
            bare=("$BENCH_BARE" "${arguments[0]/#publish-*/publish}" "${arguments[@]:1}")
            turns=(bare amqp control)
            [[ $name != *-publish* ]] || turns+=(library)
            # By lot: what one leaves in the broker must not always meet the same next.
            mapfile -t turns < <(shuf -e "${turns[@]}")
            for turn in "${turns[@]}"; do
                [[ $name != quorum-* ]] || new_quorum_log
                calm
                case $turn in
                    amqp) measure "$BENCH_AMQP" "${arguments[@]}" --name "$name" ;;
                    bare) measure "${bare[@]}" --name "$name" ;;
                    control) measure "${bare[@]}" --name "$name-control" ;;
                    library) measure "${bare[@]}" --writes library --name "$name-library" ;;
                esac
            done
        done
    done
    progress "AMQP transactions"
    for ((round = 1; round <= BENCH_ROUNDS; round++)); do
        calm
        measure "$BENCH_AMQP" transactions --count "$large" --queue-type classic
    done
    progress "AMQP memory"
    BENCH_TIMEOUT=3000 measure "$BENCH_AMQP" memory --count "$BENCH_MEMORY_COUNT" --queue-type quorum
    progress ''
    echo "The AMQP library alone against a C client on librabbitmq; $BENCH_AMQP_ROUNDS rounds"
    python3 "$here/table.py" amqp "${amqp_cases[@]%% *}" <"$samples"
}

# MARK: The framework

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
    measure "${command[@]}" "$2" --count "$count"
}

framework_section() {
    local round what contestant
    for ((round = 1; round <= BENCH_ROUNDS; round++)); do
        for what in publish drain drain-results roundtrip; do
            for contestant in "${contestants[@]}"; do
                progress "round $round of $BENCH_ROUNDS: $what $contestant"
                run "$contestant" "$what"
            done
        done
    done
    progress ''
    echo "The framework, classic queues; median of $BENCH_ROUNDS rounds"
    python3 "$here/table.py" framework "${contestants[@]}" <"$samples"
}

# MARK: Results in Redis

measure_redis() { # COMMAND…: on an empty server, so that no contestant pays for what another has stored
    redis-cli -u "$REDIS_URL" FLUSHALL SYNC >/dev/null
    measure "$@"
}

redis_section() {
    local round script=$CELERIAC_SERVERS_DIR/store.lua way
    "$BENCH_REDIS" script >"$script"
    # A rewrite of the log would hit one of them, and not the others.
    redis-cli -u "$REDIS_URL" CONFIG SET auto-aof-rewrite-percentage 0 >/dev/null
    for ((round = 1; round <= BENCH_ROUNDS; round++)); do
        progress "Redis round $round of $BENCH_ROUNDS"
        for way in fenced lean; do
            measure_redis "$BENCH_BARE" "$way" --count "$BENCH_REDIS_COUNT" --script "$script"
            measure_redis "$BENCH_REDIS" "pipeline-$way" --count "$BENCH_REDIS_COUNT"
            if [[ $way == fenced ]]; then
                measure_redis "$BENCH_REDIS" callers --count "$BENCH_REDIS_COUNT"
                measure_redis "$BENCH_REDIS" store --count "$BENCH_REDIS_COUNT"
            fi
            if [[ $BENCH_PYTHON ]]; then
                measure_redis "$BENCH_PYTHON" "$here/peers/redis_bench.py" "pipeline-$way" --script "$script" \
                    --count "$((BENCH_REDIS_COUNT / 10))"
            fi
        done
        if [[ $BENCH_PYTHON ]]; then
            measure_redis "$BENCH_PYTHON" "$here/peers/redis_bench.py" celery --count "$((BENCH_REDIS_COUNT / 40))"
        fi
        measure_redis "$BENCH_REDIS" waiters --count "$BENCH_WAITERS"
    done
    progress ''
    echo "Results in Redis; median of $BENCH_ROUNDS rounds"
    python3 "$here/table.py" redis <"$samples"
}

echo "$(nproc) cores; RabbitMQ and Redis on the same machine, their files on $(stat -f -c %T "$CELERIAC_SERVERS_DIR")"
for section in $BENCH_SECTIONS; do
    echo
    case $section in
        amqp) amqp_section ;;
        framework) framework_section ;;
        redis) redis_section ;;
        *)
            echo "${0##*/}: no section $section" >&2
            exit 64
            ;;
    esac
    [[ -z ${BENCH_SAMPLES:-} ]] || cat "$samples" >>"$BENCH_SAMPLES"
    : >"$samples"
done
