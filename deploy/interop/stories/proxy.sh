# The cluster behind HAProxy, as users are told to set it up: each request of a client goes to another node.

story_proxy() {
    story 'Through HAProxy'
    step 'three nodes are ready' cluster_is_running
    step 'HAProxy starts' start_proxy
    step 'images that share layers are pushed at once' push_concurrently
    step 'each of them reads from every node, byte by byte' concurrent_images_read
    step 'docker pushes and pulls in round robin' docker_through_proxy
    step 'all nodes die and one returns: the image still pulls by its digest' pull_without_majority
}

# Five images of the same three layers, of which each has one more of its own.
push_concurrently() {
    local count pushes=() push result=0
    build_image shared 3 2048
    for count in 1 2 3 4 5; do
        mkdir "$WORK/shared-$count"
        head -c 1048576 /dev/urandom >"$WORK/shared-$count/own"
        printf 'FROM shared\nCOPY own /\n' >"$WORK/shared-$count/Dockerfile"
        DOCKER_BUILDKIT=0 docker build --quiet --tag "shared-$count" "$WORK/shared-$count"
        docker save --output "$WORK/shared-$count.tar" "shared-$count"
    done
    for count in 1 2 3 4 5; do
        crane push --insecure "$WORK/shared-$count.tar" "localhost:$(proxy_port)/shared/app:$count" &
        pushes+=($!)
    done
    for push in "${pushes[@]}"; do wait "$push" || result=1; done
    return "$result"
}

concurrent_images_read() {
    local node count
    for node in "${NODES[@]}"; do
        for count in 1 2 3 4 5; do crane validate --insecure --remote "$(api "$node")/shared/app:$count"; done
    done
}

docker_through_proxy() {
    local remote digest
    remote="localhost:$(proxy_port)/proxied/app:1"
    build_image proxied 3 1024
    docker tag proxied "$remote"
    docker push "$remote"
    forget_local_images
    docker pull "$remote" | tee "$WORK/pull.log"
    digest="$(sed -n 's/^Digest: //p' "$WORK/pull.log")"
    expect_equal "$(crane digest --insecure "$(api 2)/proxied/app:1")" "$digest" 'digest in the registry'
    echo "$digest" >"$WORK/proxied.digest"
}

pull_without_majority() { without_majority eventually 30 0.2 pulls_by_digest; }

pulls_by_digest() {
    crane validate --insecure --remote "localhost:$(proxy_port)/proxied/app@$(cat "$WORK/proxied.digest")"
}
