# Every node dies at once, in the middle of pushes. What was acknowledged is still there.

# How many pushes are acknowledged before the crash; more are under way when it comes.
PUSHES_BEFORE_CRASH=30

story_crash() {
    story 'All nodes die while images are pushed'
    step 'three nodes are ready' cluster_is_running
    step "all are killed after $PUSHES_BEFORE_CRASH acknowledged pushes" crash_during_pushes
    step 'the cluster starts again in its folder' start_playground
    step 'every acknowledged image reads from each node' crashed_cluster_serves_everything
    step 'every earlier image pulls from each node' ledger_pulls_with_docker "${NODES[@]}"
    step 'the cluster takes pushes again' push_after_crash
}

crash_during_pushes() {
    local node
    for node in "${NODES[@]}"; do
        : >"$WORK/crash.$node"
        push_until_told crash "$node" &
    done
    eventually 120 0.05 enough_pushes_are_acknowledged || {
        touch "$WORK/crash.stop"
        wait
        return 1
    }
    # The nodes before the playground: they would stop by themselves, and in good order, once it is gone.
    for node in "${NODES[@]}"; do
        kill_node "$node" &
    done
    touch "$WORK/crash.stop"
    wait
    kill -KILL "$(cat "$PLAYGROUND.pid")" || true
    cat "$WORK"/crash.[0-9] >"$WORK/crash.ledger"
    echo "note: $(wc -l <"$WORK/crash.ledger") pushes acknowledged before the crash"
}

enough_pushes_are_acknowledged() {
    [ "$(cat "$WORK"/crash.[0-9] | wc -l)" -ge "$PUSHES_BEFORE_CRASH" ]
}

crashed_cluster_serves_everything() { ledger_reads_with_crane "$WORK/crash.ledger" "${NODES[@]}"; }

push_after_crash() {
    local node
    for node in "${NODES[@]}"; do
        build_image "after-$node" 2 1024
        docker_push "after-$node" "$node" "team/app:after-$node"
    done
    ledger_pulls_with_docker "${NODES[@]}"
}
