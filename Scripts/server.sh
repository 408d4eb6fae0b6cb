#!/usr/bin/env bash
# Runs one private RabbitMQ or Redis, a cluster of RabbitMQ, or a Redis with a replica and sentinels, whose whole state
# lives in a directory.
#
#   server.sh start|stop|kill|restart|pid|url|tls-url rabbitmq|redis DIRECTORY
#   server.sh control rabbitmq DIRECTORY ARGUMENT…
#   server.sh cluster DIRECTORY
#   server.sh sentinel DIRECTORY
#   server.sh clear DIRECTORY
#
# start    makes the directory if need be, waits until the server answers and prints its URL. A free loopback port is
#          chosen the first time and kept in the directory, so that the next start has the same URL and the same data.
# stop     ends it in good order;  kill  ends it with SIGKILL, as a crash would;  restart  is stop, then start.
# pid, url, tls-url print what is running.
# control  runs rabbitmqctl against that server.
# cluster  starts three nodes that have joined each other, in DIRECTORY/1, DIRECTORY/2 and DIRECTORY/3, and prints
#          their URLs. Each directory then serves the commands above, so that a node can be stopped, killed and started
#          again by itself.
# sentinel starts two Redis servers, DIRECTORY/1 the master and DIRECTORY/2 its replica, and three sentinels,
#          DIRECTORY/3 to DIRECTORY/5, who make the other one master when it has been gone for a second. Prints their
#          URL when all know each other. Each directory then serves the commands above.
# clear    kills every server in the directory and beneath it, and removes the directory.
#
# With CELERIAC_RABBITMQ_TLS, a directory with ca.pem, server.pem and server.key, RabbitMQ also speaks TLS on a port of
# its own. It then asks for client certificates, does without them, and lets their common names in by EXTERNAL.
# With CELERIAC_REDIS_TLS, likewise, Redis also speaks TLS, with or without client certificates.
#
# Both kinds may share one directory. Servers that something else started are never touched.
set -euo pipefail

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}
usage() {
    echo "usage: ${0##*/} start|stop|kill|restart|pid|url|tls-url rabbitmq|redis DIRECTORY," >&2
    echo "       control rabbitmq DIRECTORY ARGUMENT…, cluster DIRECTORY, sentinel DIRECTORY, or clear DIRECTORY" >&2
    exit 64
}

case ${1:-} in
    start | stop | kill | restart | pid | url | tls-url)
        (($# == 3)) || usage
        action=$1 kind=$2
        case $kind in rabbitmq | redis) ;; *) usage ;; esac
        state=$(realpath -m -- "$3")/$kind
        ;;
    control)
        if (($# < 4)) || [[ $2 != rabbitmq ]]; then usage; fi
        action=$1 kind=$2 state=$(realpath -m -- "$3")/$2
        arguments=("${@:4}")
        ;;
    clear | cluster)
        (($# == 2)) || usage
        action=$1 kind=rabbitmq directory=$(realpath -m -- "$2")
        ;;
    sentinel)
        (($# == 2)) || usage
        action=$1 kind=redis directory=$(realpath -m -- "$2")
        ;;
    *) usage ;;
esac

# A process is remembered as "pid start-time": a pid that the kernel has given to somebody else since is not ours.
start_time() {
    local stat fields
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    read -ra fields <<<"${stat##*) }"
    [[ ${fields[0]} != [ZX] ]] && echo "${fields[19]}"
}

running() { # FILE: prints the pid if that process still lives
    local pid began
    [[ -s $1 ]] && read -r pid began <"$1" && [[ $(start_time "$pid") == "$began" ]] && echo "$pid"
}

gone_within() { # SECONDS FILE
    local deadline=$((SECONDS + $1))
    while running "$2" >/dev/null; do
        ((SECONDS <= deadline)) || return 1
        sleep 0.05
    done
}

end() { # SIGNAL FILE
    local pid
    pid=$(running "$2") || return 0
    kill -s "$1" "$pid" 2>/dev/null || true
    if ! gone_within 30 "$2"; then
        kill -s KILL "$pid" 2>/dev/null || true
        gone_within 10 "$2" || fail "process $pid does not end"
    fi
}

launch() { # FILE LOG COMMAND…: in a session of its own, holding nothing of the caller's open
    local file=$1 log=$2
    shift 2
    (
        for fd in "/proc/$BASHPID/fd/"*; do
            fd=${fd##*/}
            if ((fd > 2)); then eval "exec $fd>&-"; fi
        done
        self=$BASHPID
        echo "$self $(start_time "$self")" >"$file"
        # A caller that blocks signals, as threads of Foundation's do, would hand that down: the server would never hear
        # that it is to stop.
        exec setsid env --default-signal "$@" </dev/null >>"$log" 2>&1
    ) </dev/null >/dev/null 2>&1 &
    disown
}

free_port() {
    local port lowest
    # Below the range the kernel hands to outgoing connections, or a client could sit on the port before a restart.
    read -r lowest _ </proc/sys/net/ipv4/ip_local_port_range
    ((lowest > 16000)) || lowest=32768
    for _ in {1..50}; do
        port=$((15000 + SRANDOM % (lowest - 15000)))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    fail "no free port"
}

port_for() { # NAME [DIRECTORY]: the port under that name in the directory, chosen the first time
    local file=${2:-$state}/$1
    [[ -s $file ]] || free_port >"$file"
    cat "$file"
}

answers() { # PORT: cheap probe, no client program needed
    local reply=
    case $kind in
        redis) { printf 'PING\r\n' >&3 && read -r -t 2 reply <&3 && [[ $reply == +PONG* ]]; } ;;
        # A frame of type 1 on opening: connection.start.
        rabbitmq) { printf 'AMQP\0\0\11\1' >&3 && LC_ALL=C read -r -N 1 -t 5 reply <&3 && [[ $reply == $'\1' ]]; } ;;
    esac 3<>"/dev/tcp/127.0.0.1/$1"
} 2>/dev/null

url() {
    case $kind in
        redis) echo "redis://127.0.0.1:$(<"$state/port")/0" ;;
        rabbitmq) echo "amqp://guest:guest@127.0.0.1:$(<"$state/port")/%2F" ;;
    esac
}

tls_url() {
    [[ -s $state/tls-port ]] || fail "$kind in $state speaks no TLS"
    case $kind in
        redis) echo "rediss://127.0.0.1:$(<"$state/tls-port")/0" ;;
        rabbitmq) echo "amqps://guest:guest@127.0.0.1:$(<"$state/tls-port")/%2F" ;;
    esac
}

launch_redis() { # PORT
    local tls=() replication=()
    if [[ -s $state/sentinel.conf ]]; then
        launch "$state/pid" "$state/log" env -i PATH="$PATH" redis-server "$state/sentinel.conf" --sentinel
        return
    fi
    if [[ -s $state/replicaof ]]; then replication=(--replicaof 127.0.0.1 "$(<"$state/replicaof")"); fi
    if [[ -s $state/settings ]]; then mapfile -t -O "${#replication[@]}" replication <"$state/settings"; fi
    if [[ ${CELERIAC_REDIS_TLS:-} ]]; then
        tls=(--tls-port "$(port_for tls-port)" --tls-ca-cert-file "$CELERIAC_REDIS_TLS/ca.pem"
            --tls-cert-file "$CELERIAC_REDIS_TLS/server.pem" --tls-key-file "$CELERIAC_REDIS_TLS/server.key"
            --tls-auth-clients optional)
    fi
    launch "$state/pid" "$state/log" env -i PATH="$PATH" redis-server \
        --port "$1" --bind 127.0.0.1 --dir "$state" --daemonize no \
        --save '' --appendonly yes --appendfsync everysec "${tls[@]}" "${replication[@]}"
}

scripts=/usr/lib/rabbitmq/bin

# Where the name server and the cookie are: with the server itself, or with the cluster that it is a node of.
shared() {
    if [[ -s $state/cluster ]]; then cat "$state/cluster"; else echo "$state"; fi
}

node_name() { # DIRECTORY
    echo "celeriac-$(<"$1/port")@localhost"
}

# The name server of Erlang nodes: one of our own, for the system's would outlive us.
launch_epmd() { # DIRECTORY
    running "$1/epmd.pid" >/dev/null && return
    launch "$1/epmd.pid" "$1/epmd.log" env -i PATH="$PATH" epmd -address 127.0.0.1 -port "$(<"$1/epmd-port")"
}

configuration() { # PORT SHARED
    local node number=0
    printf '%s\n' "listeners.tcp.1 = 127.0.0.1:$1" 'log.file.level = warning'
    [[ -s $2/nodes ]] || return 0
    # Whoever comes first finds nobody and stands alone; the others, kept waiting by a lock meanwhile, join it.
    printf '%s\n' 'cluster_formation.peer_discovery_backend = classic_config' \
        'cluster_formation.discovery_retry_limit = 1' 'cluster_formation.discovery_retry_interval = 250' \
        'raft.wal_max_size_bytes = 16777216'
    while read -r node; do
        echo "cluster_formation.classic_config.nodes.$((++number)) = $node"
    done <"$2/nodes"
}

tls_configuration() { # PORT CERTIFICATES
    printf '%s\n' "listeners.ssl.1 = 127.0.0.1:$1" "ssl_options.cacertfile = $2/ca.pem" \
        "ssl_options.certfile = $2/server.pem" "ssl_options.keyfile = $2/server.key" \
        'ssl_options.verify = verify_peer' 'ssl_options.fail_if_no_peer_cert = false' \
        'ssl_options.versions.1 = tlsv1.3' 'ssl_options.versions.2 = tlsv1.2' 'ssl_cert_login_from = common_name' \
        'auth_mechanisms.1 = PLAIN' 'auth_mechanisms.2 = AMQPLAIN' 'auth_mechanisms.3 = EXTERNAL' \
        'auth_mechanisms.4 = RABBIT-CR-DEMO'
}

launch_rabbitmq() { # PORT
    local shared dist_port
    [[ -x $scripts/rabbitmq-server ]] || fail "no RabbitMQ in $scripts"
    shared=$(shared)
    port_for epmd-port "$shared" >/dev/null
    dist_port=$(port_for dist-port)
    mkdir -p "$shared/home" "$state/mnesia" "$state/logs"
    echo '[].' >"$state/enabled_plugins"
    : >"$state/environment.conf"
    echo '[].' >"$state/advanced.config"
    configuration "$1" "$shared" >"$state/rabbitmq.conf"
    if [[ ${CELERIAC_RABBITMQ_TLS:-} ]]; then
        echo '[rabbitmq_auth_mechanism_ssl].' >"$state/enabled_plugins"
        tls_configuration "$(port_for tls-port)" "$CELERIAC_RABBITMQ_TLS" >>"$state/rabbitmq.conf"
    fi
    launch_epmd "$shared"

    # A huge limit makes Erlang allocate a huge table.
    local limit
    limit=$(ulimit -Hn)
    if [[ $limit == unlimited ]] || ((limit > 65536)); then limit=65536; fi
    ulimit -Sn "$limit"

    # Debian's wrapper insists on being root or rabbitmq, so not through it. "Under systemd" is the script's way of
    # saying: replace the shell by Erlang, so that the pid is the server's and SIGTERM its orderly shutdown.
    launch "$state/pid" "$state/log" env -i PATH="$PATH" LANG=C.UTF-8 \
        HOME="$shared/home" \
        RUNNING_UNDER_SYSTEMD=true \
        ERL_EPMD_PORT="$(<"$shared/epmd-port")" ERL_EPMD_ADDRESS=127.0.0.1 ERL_CRASH_DUMP="$state/logs/erl_crash.dump" \
        RABBITMQ_NODENAME="$(node_name "$state")" \
        RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="$1" RABBITMQ_DIST_PORT="$dist_port" \
        RABBITMQ_CONF_ENV_FILE="$state/environment.conf" RABBITMQ_CONFIG_FILE="$state/rabbitmq.conf" \
        RABBITMQ_ADVANCED_CONFIG_FILE="$state/advanced.config" RABBITMQ_ENABLED_PLUGINS_FILE="$state/enabled_plugins" \
        RABBITMQ_MNESIA_BASE="$state/mnesia" RABBITMQ_LOG_BASE="$state/logs" RABBITMQ_PID_FILE="$state/erlang.pid" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S ${CELERIAC_RABBITMQ_SCHEDULERS:-1} +SDio 2 \
            -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}" \
        "$scripts/rabbitmq-server"
}

start() {
    local port deadline patience=$((SECONDS + 20)) chosen=
    if running "$state/pid" >/dev/null; then
        url
        return
    fi
    mkdir -p "$state"
    echo "$$ $(start_time "$$")" >"$state/starter.pid"
    # A cluster knows its nodes by their ports.
    [[ -s $state/port || -s $state/cluster ]] || chosen=yes
    for ((attempt = 1; attempt <= 3 || SECONDS < patience; attempt++)); do
        port=$(port_for port)
        rm -f "$state/pid"
        "launch_$kind" "$port"
        deadline=$((SECONDS + 60))
        until [[ -s $state/pid ]]; do sleep 0.01; done
        while running "$state/pid" >/dev/null; do
            if answers "$port"; then
                rm -f "$state/starter.pid"
                url
                return
            fi
            if ((SECONDS > deadline)); then
                end KILL "$state/pid"
                break
            fi
            sleep 0.05
        done
        # Somebody else may have taken a port between our choosing and its binding, or while the server was down; one that
        # a test relies on must stay, so it is waited for.
        if [[ ! $chosen ]]; then
            grep -qs 'Address already in use\|eaddrinuse' "$state/log" || break
            sleep 0.2
            continue
        fi
        ((attempt < 3)) || break
        rm -f "$state"/{port,tls-port,epmd-port,dist-port}
        end KILL "$state/epmd.pid"
    done
    cat "$state/log" >&2
    fail "$kind did not start in $state"
}

halt() { # SIGNAL
    end "$1" "$state/pid"
    # The other nodes of a cluster need the name server still.
    [[ -s $state/cluster ]] || end "$1" "$state/epmd.pid"
}

control() {
    local errors status deadline=$((SECONDS + 30))
    errors=$(mktemp)
    while true; do
        status=0
        run_rabbitmqctl 2>"$errors" || status=$?
        # A server answers its clients a moment before it counts as running.
        if ((status == 0 || SECONDS > deadline)) || ! grep -q "app to be running" "$errors"; then break; fi
    done
    cat "$errors" >&2
    rm -f "$errors"
    return "$status"
}

run_rabbitmqctl() {
    local shared limits
    shared=$(shared)
    # It is an Erlang node, too, and listens; on loopback only.
    limits='+S 1 +SDio 1 -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}'
    env -i PATH="$PATH" LANG=C.UTF-8 HOME="$shared/home" \
        ERL_EPMD_PORT="$(<"$shared/epmd-port")" ERL_EPMD_ADDRESS=127.0.0.1 \
        RABBITMQ_CONF_ENV_FILE="$state/environment.conf" RABBITMQ_NODENAME="$(node_name "$state")" \
        RABBITMQ_CTL_DIST_PORT_MIN=15000 RABBITMQ_CTL_DIST_PORT_MAX=32000 \
        RABBITMQ_CTL_ERL_ARGS="$limits" \
        "$scripts/rabbitmqctl" "${arguments[@]}"
}

cluster() {
    local shared=$directory/rabbitmq number pids=() node other
    mkdir -p "$shared/home"
    echo "$$ $(start_time "$$")" >"$shared/starter.pid"
    port_for epmd-port "$shared" >/dev/null
    if [[ ! -s $shared/nodes ]]; then
        for number in 1 2 3; do
            state=$directory/$number/rabbitmq
            mkdir -p "$state"
            port_for port >/dev/null
            echo "$shared" >"$state/cluster"
            node_name "$state"
        done >"$shared/nodes"
        (umask 077 && echo "$SRANDOM$SRANDOM$SRANDOM" >"$shared/home/.erlang.cookie")
        chmod 400 "$shared/home/.erlang.cookie"
    fi
    launch_epmd "$shared"
    for number in 1 2 3; do
        "$0" start rabbitmq "$directory/$number" &
        pids+=($!)
    done >/dev/null
    for number in "${pids[@]}"; do wait "$number" || fail "a node of the cluster did not start"; done
    # Each node writes down whom it has joined.
    for number in 1 2 3; do
        state=$directory/$number/rabbitmq
        node=$state/mnesia/$(node_name "$state")/cluster_nodes.config
        while read -r other; do
            grep -qF "$other" "$node" || fail "$(node_name "$state") has not joined $other"
        done <"$shared/nodes"
        url
    done
    rm -f "$shared/starter.pid"
}

ask() { # PORT COMMAND…: what Redis says to a command within a fifth of a second
    local port=$1 line
    shift
    {
        printf '%s\r\n' "$*" >&3
        while read -r -t 0.2 line; do echo "${line%$'\r'}"; done <&3
    } 3<>"/dev/tcp/127.0.0.1/$port"
} 2>/dev/null

sentinel_configuration() { # PORT MASTER-PORT
    printf '%s\n' "port $1" 'bind 127.0.0.1' "dir $state" 'daemonize no' \
        "sentinel monitor celeriac 127.0.0.1 $2 2" 'sentinel down-after-milliseconds celeriac 1000' \
        'sentinel failover-timeout celeriac 4000' 'sentinel parallel-syncs celeriac 1'
}

sentinel() {
    local number master hosts=() port deadline=$((SECONDS + 60))
    for number in 1 2 3 4 5; do
        state=$directory/$number/redis
        mkdir -p "$state"
        port=$(port_for port)
        # A replica asks for the data at once, rather than after waiting for others to share the sending.
        case $number in
            1) master=$port ;;
            2) echo "$master" >"$state/replicaof" ;;
            *)
                [[ -s $state/sentinel.conf ]] || sentinel_configuration "$port" "$master" >"$state/sentinel.conf"
                hosts+=("127.0.0.1:$port")
                ;;
        esac
        if ((number < 3)); then printf '%s\n' --repl-diskless-sync-delay 0 >"$state/settings"; fi
        "$0" start redis "$directory/$number" >/dev/null || fail "server $number does not start"
    done
    until knows_all "${hosts[@]##*:}"; do
        ((SECONDS <= deadline)) || fail "the sentinels in $directory have not found each other"
    done
    (
        IFS=,
        echo "sentinel://${hosts[*]}/0?master=celeriac"
    )
}

knows_all() { # PORT…: whether each sentinel sees the others, and a replica that is up to date
    local port replicas
    for port in "$@"; do
        [[ $(ask "$port" SENTINEL CKQUORUM celeriac) == "+OK 3 usable"* ]] || return 1
        replicas=$(ask "$port" SENTINEL REPLICAS celeriac)
        [[ $replicas == "*1"* && $replicas == *master-link-status*$'\n'ok* ]] || return 1
    done
}

clear() {
    local file name
    [[ -d $directory ]] || return 0
    # Whoever is starting a server first, or it would start another.
    for name in starter.pid pid epmd.pid; do
        while IFS= read -r file; do
            end KILL "$file"
        done < <(find "$directory" \( -path "*/rabbitmq/$name" -o -path "*/redis/$name" \))
    done
    rm -rf "$directory"
}

case $action in
    start) start ;;
    stop) halt TERM ;;
    kill) halt KILL ;;
    restart)
        halt TERM
        start
        ;;
    pid) running "$state/pid" || fail "$kind is not running in $state" ;;
    url) url ;;
    tls-url) tls_url ;;
    control) control ;;
    cluster) cluster ;;
    sentinel) sentinel ;;
    clear) clear ;;
esac
