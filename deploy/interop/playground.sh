# The cluster under test: `roadstead playground` in a folder of this run, on ports of this run.

PLAYGROUND="$WORK/playground"
NODES=(1 2 3)

# The layout that the playground documents: ten ports a node, of which it uses three.
api_port() { echo $((BASE_PORT + 10 * ($1 - 1))); }
admin_port() { echo $(($(api_port "$1") + 2)); }
api() { echo "localhost:$(api_port "$1")"; }

# Prints a port from which on all ports are free that two playgrounds use, the second one 40 above the first.
free_base_port() {
    local base port
    for ((base = 20000 + RANDOM % 100 * 100; base < 32000; base += 100)); do
        for ((port = base; port < base + 63; port++)); do
            if (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then continue 2; fi
        done
        echo "$base"
        return
    done
    echo 'no free ports between 20000 and 32000' >&2
    return 1
}

start_playground() {
    # shellcheck disable=SC2086 # Several arguments, or none.
    "$ROADSTEAD" playground --nodes "${#NODES[@]}" --dir "$PLAYGROUND" --port "$BASE_PORT" ${PLAYGROUND_ARGUMENTS:-} \
        >>"$WORK/playground.log" 2>&1 &
    echo $! >"$PLAYGROUND.pid"
    eventually 60 0.2 all_are_ready_or_playground_has_ended || true
    all_are_ready || {
        tail -n 40 "$WORK/playground.log"
        return 1
    }
}

# Waiting for a playground that has given up would only hide why.
all_are_ready_or_playground_has_ended() {
    all_are_ready || has_ended_or_is_zombie "$(cat "$PLAYGROUND.pid")"
}

# Asks the playground to stop as Ctrl-C would, and makes sure that nothing of it is left.
stop_playground() {
    local pid node
    pid="$(cat "$PLAYGROUND.pid" 2>/dev/null)" || return 0
    if kill -INT "$pid" 2>/dev/null; then
        eventually 30 0.1 has_ended "$pid" || kill -KILL "$pid"
    fi
    for node in "${NODES[@]}"; do
        kill_node "$node" || true
    done
}

is_ready() { curl --silent --fail --max-time 2 --output /dev/null "http://localhost:$(admin_port "$1")/readyz"; }

all_are_ready() {
    local node
    for node in "${NODES[@]}"; do
        is_ready "$node" || return 1
    done
}

# Prints the number of the node that leads, as node $1 sees it.
leader() {
    local peer
    peer="$("$ROADSTEAD" cluster status --server "http://$(api "$1")" --output json |
        jq --raw-output '.nodes[] | select(.role == "leader") | .peer_address')"
    [[ $peer =~ :([0-9]+)$ ]] || {
        echo "no leader in the status: $peer" >&2
        return 1
    }
    echo $(((BASH_REMATCH[1] - BASE_PORT) / 10 + 1))
}

# Prints the nodes other than $1.
others() {
    local node
    for node in "${NODES[@]}"; do
        [ "$node" = "$1" ] || echo "$node"
    done
}

# Ends node $1 as a power cut would. Succeeds once it is gone.
kill_node() {
    local pid
    pid="$(cat "$PLAYGROUND/node-$1/pid")" || return 1
    # A stale pid file must not hit a stranger.
    [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" = "$(readlink -f "$ROADSTEAD")" ] || return 0
    kill -KILL "$pid"
    eventually 10 0.02 has_ended_or_is_zombie "$pid"
}

has_ended_or_is_zombie() { ! grep -qs '^State:[[:space:]]*[^Z]' "/proc/$1/status"; }

restart_node() {
    "$ROADSTEAD" playground restart "$1" --dir "$PLAYGROUND"
    eventually 60 0.1 is_ready "$1"
}

# Runs `$@` while node 1 starts again after all nodes have died, and the others have yet to.
without_majority() {
    local node returning
    for node in "${NODES[@]}"; do kill_node "$node"; done
    # It ends when the node is ready, which that is only with another one.
    "$ROADSTEAD" playground restart 1 --dir "$PLAYGROUND" >"$WORK/restart.log" 2>&1 &
    returning=$!
    "$@"
    refused is_ready 1
    restart_node 2
    restart_node 3
    wait "$returning"
}
