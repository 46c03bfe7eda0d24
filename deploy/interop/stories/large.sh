# Layers of a gigabyte, with clients that compress them, and with one that does not.

LARGE_BYTES=$((1024 * 1024 * 1024))

story_large() {
    story 'Layers of 1 GiB'
    step 'three nodes are ready' cluster_is_running
    step 'oras pushes a file of 1 GiB through node 1' oras_push_large
    step 'oras pulls it through node 3, same bytes' oras_pull_large
    step 'docker pushes an image with such a layer through node 2' docker_push_large
    step 'docker pulls it through node 3, same digest' docker_pull_large
    step 'skopeo reads it through node 1' skopeo_pull_large
}

oras_push_large() {
    mkdir "$WORK/large"
    cd "$WORK/large"
    head -c "$LARGE_BYTES" /dev/urandom >content
    oras push --plain-http "$(api 1)/large/oras:1" content
}

oras_pull_large() {
    oras pull --plain-http --output "$WORK/large-pulled" "$(api 3)/large/oras:1"
    cmp "$WORK/large/content" "$WORK/large-pulled/content"
    rm -r "$WORK/large-pulled"
}

docker_push_large() {
    tar --create --directory "$WORK/large" content | docker import - large
    rm -r "$WORK/large"
    docker_push large 2 large/docker:1
}

docker_pull_large() {
    forget_local_images
    docker_pull 3 large/docker:1 "$(ledger_digest large/docker:1)"
    forget_local_images
    # It has been pulled: the stories that follow pull all that is in the ledger, from every node.
    sed -i '/^large\/docker:1 /d' "$LEDGER"
}

# skopeo checks the digest of all that it reads.
skopeo_pull_large() {
    skopeo_copy_image "docker://$(api 1)/large/docker:1" "dir:$WORK/large-pulled"
    rm -r "$WORK/large-pulled"
}
