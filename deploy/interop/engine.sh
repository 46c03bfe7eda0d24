# A Docker engine of this run's own: its folders, socket and process. It touches neither an engine that the machine
# already runs nor the machine's packet filter.
#
# The vfs storage driver and no packet filter keep it working inside containers and small VMs. Containers of one network
# reach each other through its bridge, the host reaches published ports through docker-proxy: neither needs iptables or
# forwarding. The default bridge has a name of its own, because an engine that is told to have none removes `docker0`,
# whosever it is.

# At most 15 characters, as interfaces are named.
BRIDGE="roadstead$((BASHPID % 100000))"
# Of the range for benchmarks (RFC 2544), which no network of the machine should have.
BRIDGE_ADDRESS=198.18.253.1/24

# From here on every docker command of this run means this engine.
export DOCKER_HOST="unix://$WORK/engine/docker.sock"
export DOCKER_CONFIG="$WORK/engine/client"
unset DOCKER_CONTEXT

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo --non-interactive "$@"; fi
}

# The engine leaves the packet filter alone, so a filter that drops what crosses bridges would stop compose late and
# without a word.
bridges_are_open() {
    [ "$(cat /proc/sys/net/bridge/bridge-nf-call-iptables 2>/dev/null)" = 1 ] || return 0
    as_root iptables --list-rules FORWARD 2>/dev/null | grep -qx -e '-P FORWARD DROP' || return 0
    echo 'iptables drops what crosses bridges: run `sysctl net.bridge.bridge-nf-call-iptables=0`, or stop the other engine'
    return 1
}

start_engine() {
    mkdir -p "$WORK/engine/client"
    echo '{}' >"$WORK/engine/daemon.json"
    as_root ip link add "$BRIDGE" type bridge
    as_root ip address add "$BRIDGE_ADDRESS" dev "$BRIDGE"
    as_root dockerd \
        --config-file "$WORK/engine/daemon.json" \
        --host "$DOCKER_HOST" \
        --group "$(id -gn)" \
        --data-root "$WORK/engine/data" \
        --exec-root "$WORK/engine/exec" \
        --pidfile "$WORK/engine/docker.pid" \
        --storage-driver vfs \
        --bridge "$BRIDGE" \
        --iptables=false --ip6tables=false --ip-forward=false \
        >"$WORK/engine/log" 2>&1 &
    eventually 60 0.2 docker version >/dev/null 2>&1 || {
        tail -n 20 "$WORK/engine/log"
        return 1
    }
}

# Ends the engine with everything in it: containers, networks, mounts, its containerd.
stop_engine() {
    local pid containers
    pid="$(cat "$WORK/engine/docker.pid" 2>/dev/null)" || {
        remove_bridge
        return 0
    }
    containers="$(docker ps --all --quiet)"
    # shellcheck disable=SC2086 # One id a word.
    [ -z "$containers" ] || docker rm --force --volumes $containers
    docker network prune --force
    as_root kill "$pid"
    eventually 30 0.2 has_ended "$pid" || as_root kill -KILL "$pid"
    unmount_engine
    remove_bridge
}

remove_bridge() { as_root ip link delete "$BRIDGE" 2>/dev/null || true; }

# dockerd leaves some of its mounts behind, such as the network namespace of containers on the host's network.
unmount_engine() {
    local mount
    awk -v under="$WORK/engine/" 'index($5, under) == 1 { print $5 }' /proc/self/mountinfo | tac |
        while read -r mount; do as_root umount "$mount"; done
}

has_ended() { [ ! -e "/proc/$1" ]; }
