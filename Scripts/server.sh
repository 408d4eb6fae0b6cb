#!/usr/bin/env bash
# Runs one private RabbitMQ or Redis whose whole state lives in a directory.
#
#   server.sh start|stop|kill|restart|pid|url|tls-url rabbitmq|redis DIRECTORY
#   server.sh clear DIRECTORY
#
# start    makes the directory if need be, waits until the server answers and prints its URL. A free loopback port is
#          chosen the first time and kept in the directory, so that the next start has the same URL and the same data.
# stop     ends it in good order;  kill  ends it with SIGKILL, as a crash would;  restart  is stop, then start.
# pid, url, tls-url print what is running.
#
# With CELERIAC_RABBITMQ_TLS, a directory with ca.pem, server.pem and server.key, RabbitMQ also speaks TLS on a port of
# its own. It then asks for client certificates, does without them, and lets their common names in by EXTERNAL.
# With CELERIAC_REDIS_TLS, likewise, Redis also speaks TLS, with or without client certificates.
#
# clear    kills every server in the directory and beneath it, and removes the directory.
#
# Both kinds may share one directory. Servers that something else started are never touched.
set -euo pipefail

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}
usage() {
    echo "usage: ${0##*/} start|stop|kill|restart|pid|url|tls-url rabbitmq|redis DIRECTORY, or clear DIRECTORY" >&2
    exit 64
}

case ${1:-} in
    start | stop | kill | restart | pid | url | tls-url)
        (($# == 3)) || usage
        action=$1 kind=$2
        case $kind in rabbitmq | redis) ;; *) usage ;; esac
        state=$(realpath -m -- "$3")/$kind
        ;;
    clear)
        (($# == 2)) || usage
        action=$1 directory=$2
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
        exec setsid "$@" </dev/null >>"$log" 2>&1
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

port_for() { # NAME: the port under that name in the directory, chosen the first time
    [[ -s $state/$1 ]] || free_port >"$state/$1"
    cat "$state/$1"
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
    local tls=()
    if [[ ${CELERIAC_REDIS_TLS:-} ]]; then
        tls=(--tls-port "$(port_for tls-port)" --tls-ca-cert-file "$CELERIAC_REDIS_TLS/ca.pem"
            --tls-cert-file "$CELERIAC_REDIS_TLS/server.pem" --tls-key-file "$CELERIAC_REDIS_TLS/server.key"
            --tls-auth-clients optional)
    fi
    launch "$state/pid" "$state/log" env -i PATH="$PATH" redis-server \
        --port "$1" --bind 127.0.0.1 --dir "$state" --daemonize no \
        --save '' --appendonly yes --appendfsync everysec "${tls[@]}"
}

launch_rabbitmq() { # PORT
    local scripts=/usr/lib/rabbitmq/bin epmd_port dist_port
    [[ -x $scripts/rabbitmq-server ]] || fail "no RabbitMQ in $scripts"
    epmd_port=$(port_for epmd-port)
    dist_port=$(port_for dist-port)
    mkdir -p "$state/home" "$state/mnesia" "$state/logs"
    echo '[].' >"$state/enabled_plugins"
    : >"$state/environment.conf"
    echo '[].' >"$state/advanced.config"
    printf '%s\n' "listeners.tcp.1 = 127.0.0.1:$1" 'log.file.level = warning' >"$state/rabbitmq.conf"

    if [[ ${CELERIAC_RABBITMQ_TLS:-} ]]; then
        echo '[rabbitmq_auth_mechanism_ssl].' >"$state/enabled_plugins"
        printf '%s\n' "listeners.ssl.1 = 127.0.0.1:$(port_for tls-port)" \
            "ssl_options.cacertfile = $CELERIAC_RABBITMQ_TLS/ca.pem" \
            "ssl_options.certfile = $CELERIAC_RABBITMQ_TLS/server.pem" \
            "ssl_options.keyfile = $CELERIAC_RABBITMQ_TLS/server.key" \
            'ssl_options.verify = verify_peer' 'ssl_options.fail_if_no_peer_cert = false' \
            'ssl_options.versions.1 = tlsv1.3' 'ssl_options.versions.2 = tlsv1.2' \
            'ssl_cert_login_from = common_name' \
            'auth_mechanisms.1 = PLAIN' 'auth_mechanisms.2 = AMQPLAIN' 'auth_mechanisms.3 = EXTERNAL' \
            'auth_mechanisms.4 = RABBIT-CR-DEMO' >>"$state/rabbitmq.conf"
    fi

    # The name server of Erlang nodes: one of our own, for the system's would outlive us.
    if ! running "$state/epmd.pid" >/dev/null; then
        launch "$state/epmd.pid" "$state/epmd.log" \
            env -i PATH="$PATH" epmd -address 127.0.0.1 -port "$epmd_port"
    fi

    # A huge limit makes Erlang allocate a huge table.
    local limit
    limit=$(ulimit -Hn)
    if [[ $limit == unlimited ]] || ((limit > 65536)); then limit=65536; fi
    ulimit -Sn "$limit"

    # Debian's wrapper insists on being root or rabbitmq, so not through it. "Under systemd" is the script's way of
    # saying: replace the shell by Erlang, so that the pid is the server's and SIGTERM its orderly shutdown.
    launch "$state/pid" "$state/log" env -i PATH="$PATH" LANG=C.UTF-8 \
        HOME="$state/home" \
        RUNNING_UNDER_SYSTEMD=true \
        ERL_EPMD_PORT="$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1 ERL_CRASH_DUMP="$state/logs/erl_crash.dump" \
        RABBITMQ_NODENAME="celeriac-$1@localhost" \
        RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="$1" RABBITMQ_DIST_PORT="$dist_port" \
        RABBITMQ_CONF_ENV_FILE="$state/environment.conf" RABBITMQ_CONFIG_FILE="$state/rabbitmq.conf" \
        RABBITMQ_ADVANCED_CONFIG_FILE="$state/advanced.config" RABBITMQ_ENABLED_PLUGINS_FILE="$state/enabled_plugins" \
        RABBITMQ_MNESIA_BASE="$state/mnesia" RABBITMQ_LOG_BASE="$state/logs" RABBITMQ_PID_FILE="$state/erlang.pid" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S ${CELERIAC_RABBITMQ_SCHEDULERS:-1} +SDio 2 \
            -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}" \
        "$scripts/rabbitmq-server"
}

start() {
    local port deadline chosen=
    if running "$state/pid" >/dev/null; then
        url
        return
    fi
    mkdir -p "$state"
    echo "$$ $(start_time "$$")" >"$state/starter.pid"
    [[ -s $state/port ]] || chosen=yes
    for _ in 1 2 3; do
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
        # Somebody else may have taken a port between our choosing and its binding; one that a test relies on must stay.
        [[ $chosen ]] || break
        rm -f "$state"/{port,tls-port,epmd-port,dist-port}
        end KILL "$state/epmd.pid"
    done
    cat "$state/log" >&2
    fail "$kind did not start in $state"
}

halt() { # SIGNAL
    end "$1" "$state/pid"
    end "$1" "$state/epmd.pid"
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
    clear) clear ;;
esac
