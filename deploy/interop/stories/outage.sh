# The object store is away for half a minute while images are pushed and pulled through every node. Only with S3: a
# folder that is away is another story.

OUTAGE_SECONDS=30
# How many pushes of each node are acknowledged before the outage, and again after it.
OUTAGE_PUSHES=3
# How long work may take to go on by itself once the store is back.
OUTAGE_RECOVERY_SECONDS=30
# The layer that is pulled all the time: some seconds' worth of reading from the store for three nodes.
OUTAGE_KIB=$((32 * 1024))

story_outage() {
    story 'The object store is away'
    step 'three nodes are ready' cluster_is_running
    step 'there is a layer to pull' push_outage_layer
    step "the store is killed for $OUTAGE_SECONDS s while images are pushed and pulled" work_through_outage
    step 'every pull was whole, or 503, or broke off' pulls_were_right
    step 'every acknowledged image reads from each node' outage_ledger_reads
}

push_outage_layer() {
    mkdir "$WORK/outage-layer"
    head -c "$((OUTAGE_KIB * 1024))" /dev/urandom >"$WORK/outage-layer/random"
    tar --create --file "$WORK/outage-layer.tar" --directory "$WORK/outage-layer" random
    put_blob "http://$(api 1)" outage/app "$WORK/outage-layer.tar" "$(digest_of "$WORK/outage-layer.tar")"
}

work_through_outage() {
    local node result=0
    for node in "${NODES[@]}"; do
        : >"$WORK/outage.$node"
        push_until_told outage "$node" &
        pull_until_told "$node" &
    done
    # Not `outage_comes_and_goes ||`: bash would ignore `set -e` in there.
    outage_comes_and_goes &
    wait $! || result=1
    touch "$WORK/outage.stop"
    wait
    cat "$WORK"/outage.[0-9] >"$WORK/outage.ledger"
    echo "note: $(wc -l <"$WORK/outage.ledger") pushes acknowledged;" \
        "pulls: $(cut -d ' ' -f 2- "$WORK"/outage.pulls.* | sort | uniq -c | tr -s ' \n' ' ')"
    return "$result"
}

outage_comes_and_goes() {
    local port back_at
    eventually 60 0.1 outage_pushes_are "$OUTAGE_PUSHES" 0 0 0
    port="$(store_port)"
    kill_store
    sleep "$OUTAGE_SECONDS"
    # shellcheck disable=SC2046 # One count a word.
    set -- $(outage_pushes)
    start_store "$port"
    back_at="$(now_ms)"
    eventually "$OUTAGE_RECOVERY_SECONDS" 0.1 outage_pushes_are "$OUTAGE_PUSHES" "$@"
    eventually "$OUTAGE_RECOVERY_SECONDS" 0.1 pulls_are_whole_since "$back_at"
    echo "note: every node pushes and pulls again$(seconds $(($(now_ms) - back_at))) s after the store is back"
}

# Prints how many pushes each node has acknowledged.
outage_pushes() {
    local node
    for node in "${NODES[@]}"; do wc -l <"$WORK/outage.$node"; done
}

# Whether each node has acknowledged $1 more pushes than it had: $2 for the first one, and so on.
outage_pushes_are() {
    local more="$1" now
    shift
    for now in $(outage_pushes); do
        [ "$now" -ge $(($1 + more)) ] || return 1
        shift
    done
}

# Pulls the layer from node $1, again and again, and writes down when and what came: `200 whole`, `503`, or how it broke
# off.
pull_until_told() {
    local digest began status pulled="$WORK/outage.pulled.$1"
    digest="$(digest_of "$WORK/outage-layer.tar")"
    while [ ! -e "$WORK/outage.stop" ]; do
        began="$(now_ms)"
        if status="$(curl --silent --max-time 60 --output "$pulled" --write-out '%{http_code}' \
            "http://$(api "$1")/v2/outage/app/blobs/$digest")"; then
            [ "$status" != 200 ] || status="200 $([ "$(digest_of "$pulled")" = "$digest" ] && echo whole || echo WRONG)"
        else
            status="$status broken"
        fi
        echo "$began $status" >>"$WORK/outage.pulls.$1"
    done
}

# Whether each node has served a whole layer to a pull that began after $1.
pulls_are_whole_since() {
    local node
    for node in "${NODES[@]}"; do
        awk -v since="$1" '$1 >= since && $3 == "whole" { found = 1 } END { exit !found }' "$WORK/outage.pulls.$node" ||
            return 1
    done
}

# A run in which no pull ever failed has not had its outage.
pulls_were_right() {
    local others
    others="$(cat "$WORK"/outage.pulls.* | cut -d ' ' -f 2- | grep -vxE '200 whole|503|(200|000) broken' || true)"
    expect_equal "other answers: $others" 'other answers: ' pulls
    grep -qE ' (503|200 broken)$' "$WORK"/outage.pulls.*
}

outage_ledger_reads() { ledger_reads_with_crane "$WORK/outage.ledger" "${NODES[@]}"; }
