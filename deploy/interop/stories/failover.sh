# docker pushes through one node and pulls through another; the leader dies in between.

# How long writes may stand still when the leader dies.
FAILOVER_MS_MAX=3000

story_failover() {
    story 'The leader dies'
    step 'a cluster of three nodes starts' start_playground
    step 'docker builds an image of four layers' build_image app 4 2048
    step 'docker pushes it through node 1' docker_push app 1 team/app:1
    step 'docker pulls it through node 3, same digest' pull_from_another_node
    step 'the leader is killed; pushes through both survivors within 3 s' kill_leader_and_measure
    step 'docker pushes through each survivor' docker_pushes_through_survivors
    step 'every image so far pulls from each survivor' survivors_serve_everything
    step 'the killed node is restarted and catches up' restart_killed_node
    step 'it serves what was pushed meanwhile' restarted_node_serves_everything
    step 'an image pushed through it pulls from the others' restarted_node_takes_pushes
}

pull_from_another_node() {
    forget_local_images
    docker_pull 3 team/app:1 "$(ledger_digest team/app:1)"
}

kill_leader_and_measure() {
    local killed killed_at survivor probe probes=() result=0
    killed="$(leader 1)"
    echo "$killed" >"$WORK/killed"
    killed_at="$(now_ms)"
    kill_node "$killed"
    for survivor in $(others "$killed"); do
        measure_first_push "$survivor" "$killed_at" &
        probes+=($!)
    done
    for probe in "${probes[@]}"; do
        wait "$probe" || result=1
    done
    return "$result"
}

# Tries to push through node $1 until it works, and fails unless that was soon enough after the time $2.
measure_first_push() {
    local digest took deadline=$(($2 + 30000))
    until digest="$(push_with_curl "$1" team/failover "through-$1")"; do
        [ "$(now_ms)" -lt "$deadline" ] || return 1
        sleep 0.05
    done
    took=$(($(now_ms) - $2))
    acknowledged "team/failover:through-$1" "$digest"
    echo "note: node $1 took a push$(seconds "$took") s after the leader's death"
    [ "$took" -le "$FAILOVER_MS_MAX" ]
}

docker_pushes_through_survivors() {
    local survivor
    for survivor in $(others "$(cat "$WORK/killed")"); do
        build_image "app-$survivor" 2 1024
        docker_push "app-$survivor" "$survivor" "team/app:through-$survivor"
    done
}

survivors_serve_everything() {
    # shellcheck disable=SC2046 # One node a word.
    ledger_pulls_with_docker $(others "$(cat "$WORK/killed")")
}

restart_killed_node() { restart_node "$(cat "$WORK/killed")"; }

restarted_node_serves_everything() { ledger_pulls_with_docker "$(cat "$WORK/killed")"; }

restarted_node_takes_pushes() {
    local node
    node="$(cat "$WORK/killed")"
    build_image back 2 1024
    docker_push back "$node" team/app:back
    # shellcheck disable=SC2046 # One node a word.
    ledger_pulls_with_docker $(others "$node")
}
