# Through HAProxy, the node that takes a push or serves a pull dies in the middle of it: the client's own retry, or the
# same command once more, ends well.

# Enough that a transfer can be caught in the middle. Random bytes stay as many when a client compresses them.
MIDWAY_KIB=$((192 * 1024))
# How many bytes have gone over the connection when its node is killed: more than any other request has, less than all.
MIDWAY_BYTES_MIN=$((16 * 1024 * 1024))
MIDWAY_BYTES_MAX=$((160 * 1024 * 1024))

story_midway() {
    local client
    story 'A node dies in the middle'
    step 'three nodes are ready' cluster_is_running
    step 'HAProxy starts' start_proxy
    for client in docker podman buildah skopeo ctr crane oras regctl; do
        step "$client pushes, the node that takes its layer is killed" midway_push "$client"
        step 'the node is restarted' restart_killed_node
        step "$client pulls, the node that serves its layer is killed" midway_pull "$client"
        step 'the node is restarted' restart_killed_node
    done
    # What these push is too small to be caught in the middle of.
    step 'keys, an image and a chart are made' midway_prepare_small
    for client in cosign helm; do
        step "the leader is killed, $client pushes at once" midway_leaderless "$client"
        step 'the node is restarted' restart_killed_node
    done
}

midway_push() {
    local client="$1" pid node
    build_image midway 1 "$MIDWAY_KIB"
    docker save --output "$WORK/midway.tar" midway
    count_bytes received >"$WORK/midway.before"
    midway_run "$client" push &
    pid=$!
    kill_midway received "$pid"
    ends_well "$client" push "$pid"
    for node in $(others "$(cat "$WORK/killed")"); do
        midway_reads "$client" "$(api "$node")/midway/$client:1"
    done
    rm "$WORK/midway.tar"
    forget_local_images
}

# Reads all of what $1 pushed from $2. crane would look into the configuration of an artifact, which has none, and unpack
# what ctr calls compressed and is not.
midway_reads() {
    case "$1" in
    oras) oras_pull_midway "$2" ;;
    ctr) skopeo_pull_midway "$2" ;;
    *) crane validate --insecure --remote "$2" ;;
    esac
}

midway_pull() {
    local client="$1" pid
    count_bytes sent >"$WORK/midway.before"
    midway_run "$client" pull &
    pid=$!
    kill_midway sent "$pid"
    ends_well "$client" pull "$pid"
    "$client"_has_it
    rm -rf "$WORK/midway.pulled"
    forget_local_images
}

midway_leaderless() {
    local node
    leader 1 >"$WORK/killed"
    kill_node "$(cat "$WORK/killed")"
    midway_run "$1" push &
    ends_well "$1" push $!
    for node in $(others "$(cat "$WORK/killed")"); do "$1"_is_at "$(api "$node")"; done
}

midway_remote() { echo "localhost:$(proxy_port)/midway/$1:1"; }

# Runs `$1 $2`, of which the output is kept.
midway_run() { "$1_$2_midway" "$(midway_remote "$1")" >"$WORK/midway.log" 2>&1; }

# Waits for `$1 $2`, process $3; a client that gave up is told once more, as its user would.
ends_well() {
    if wait "$3"; then
        echo "note: $1 went on by itself"
        return
    fi
    echo "note: $1 was told again, after: $(tail -n 1 "$WORK/midway.log" | cut -c 1-80)"
    # Not `midway_run ... ||`: bash would ignore `set -e` in there.
    midway_run "$1" "$2" &
    wait $! || {
        cat "$WORK/midway.log"
        return 1
    }
}

# What $1 pulled has digest $2, as a node sees it.
midway_digest_is() {
    local node
    # Not `head`, which would end `others` by a signal when it is faster.
    node="$(others "$(cat "$WORK/killed")" | sed -n 1p)"
    expect_equal "$2" "$(crane digest --insecure "$(api "$node")/midway/$1:1")" "digest of what $1 pulled"
}

# Prints a line `NODE CLIENT-ADDRESS BYTES` for each connection to a node's API, with the bytes that it has $1: received
# or sent.
count_bytes() {
    local node
    for node in "${NODES[@]}"; do
        ss --tcp --info --numeric --no-header --oneline state established "sport = :$(api_port "$node")" |
            awk -v node="$node" -v bytes="bytes_$1:" '{
                for (field = 1; field <= NF; field++)
                    if (index($field, bytes) == 1) print node, $4, substr($field, length(bytes) + 1)
            }'
    done
}

# Waits until a node has $1 the better part of a layer on one connection, and kills it. Fails when client process $2 ends
# before, or more than the part has gone: HAProxy keeps connections, so what they had before does not count.
kill_midway() {
    local node bytes
    until read -r node bytes < <(largest_transfer "$1") && [ "$bytes" -ge "$MIDWAY_BYTES_MIN" ]; do
        if has_ended_or_is_zombie "$2"; then
            echo "it ended before it was caught in the middle"
            cat "$WORK/midway.log"
            return 1
        fi
    done
    echo "$node" >"$WORK/killed"
    kill_node "$node"
    echo "note: node $node is killed after $((bytes / 1048576)) of $((MIDWAY_KIB / 1024)) MiB"
    [ "$bytes" -le "$MIDWAY_BYTES_MAX" ]
}

largest_transfer() {
    count_bytes "$1" | awk '
        FILENAME != "-" { before[$1 $2] = $3; next }
        { bytes = $3 - before[$1 $2]; if (bytes > most) { most = bytes; node = $1 } }
        END { if (most) print node, most }
    ' "$WORK/midway.before" -
}
