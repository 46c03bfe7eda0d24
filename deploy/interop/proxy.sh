# HAProxy in front of the nodes: every request goes to the next node, whichever connection it came on.

# A port that the nodes leave free between theirs.
proxy_port() { echo $((BASE_PORT + 5)); }

# With the configuration for users, on this run's ports: the playground's layout is the same from any base port.
start_proxy() {
    local port ports=()
    stop_proxy
    for port in 5000 5002 5005 5010 5012 5020 5022; do
        ports+=(--expression "s/:$port\\b/:$((BASE_PORT + port - 5000))/; s/port $port\\b/port $((BASE_PORT + port - 5000))/")
    done
    sed "${ports[@]}" "$REPOSITORY/deploy/haproxy/haproxy.cfg" >"$WORK/haproxy.cfg"
    # In the foreground, so that its process id is this one's child.
    haproxy -db -f "$WORK/haproxy.cfg" >"$WORK/haproxy.log" 2>&1 &
    echo $! >"$WORK/haproxy.pid"
    eventually 10 0.1 proxy_hands_on || {
        cat "$WORK/haproxy.log"
        return 1
    }
}

# A node answers: that it wants to know who asks is an answer too.
proxy_hands_on() {
    local status
    status="$(curl --silent --output /dev/null --write-out '%{http_code}' "http://localhost:$(proxy_port)/v2/")"
    [ "$status" = 200 ] || [ "$status" = 401 ]
}

stop_proxy() {
    local pid
    pid="$(cat "$WORK/haproxy.pid" 2>/dev/null)" || return 0
    rm "$WORK/haproxy.pid"
    kill "$pid" 2>/dev/null || return 0
    eventually 10 0.1 has_ended_or_is_zombie "$pid" || kill -KILL "$pid"
}

# Prints how many requests of the distribution API node $1 has answered.
requests_of() {
    curl --silent --fail "http://localhost:$(admin_port "$1")/metrics" |
        awk '/^roadstead_http_requests_total\{.*route="\/v2\// { sum += $NF } END { print sum + 0 }'
}

# No node has answered noticeably more than another: a proxy that stayed with one would prove nothing.
requests_were_spread() {
    local node count least=0 most=0
    for node in "${NODES[@]}"; do
        count="$(requests_of "$node")"
        echo "note: node $node: $count requests"
        [ "$least" -ne 0 ] && [ "$least" -le "$count" ] || least="$count"
        [ "$most" -ge "$count" ] || most="$count"
    done
    [ "$least" -gt 100 ] && [ $((most - least)) -le $((most / 50)) ]
}
