# What other clients do all day: skopeo and crane push, pull, list, copy and delete, each through several nodes.

story_clients() {
    story 'skopeo'
    step 'three nodes are ready' cluster_is_running
    step 'an image is saved as an archive' save_archive
    step 'pushes an archive through node 1' skopeo_push
    step 'pushes it as an OCI image through node 2' skopeo_push_oci
    step 'reads the same digest through every node' skopeo_inspect
    step 'pulls it through node 3 and finds the same layers' skopeo_pull
    step 'copies from node 1 to another repository on node 2' skopeo_copy
    step 'lists the tags through node 3' skopeo_list
    step 'deletes through node 2; the others know it at once' skopeo_delete

    story 'crane'
    step 'three nodes are ready' cluster_is_running
    step 'pushes an archive through node 2' crane_push
    step 'reads the same digest through every node' crane_digest
    step 'pulls it through node 3 and finds every byte right' crane_pull
    step 'tags through node 1' crane_tag
    step 'copies from node 1 to another repository on node 2' crane_copy
    step 'lists the tags through node 3' crane_list
    step 'lists the repositories through node 1' crane_catalog
    step 'deletes through node 3; the others know it at once' crane_delete
}

cluster_is_running() {
    all_are_ready && return
    stop_playground
    start_playground
}

save_archive() {
    build_image archive 3 1024
    docker save --output "$WORK/archive.tar" archive
}

skopeo_copy_image() {
    skopeo --insecure-policy copy --src-tls-verify=false --dest-tls-verify=false "$@"
}

skopeo_digest() { skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$(api "$1")/$2"; }

skopeo_push() { skopeo_copy_image "docker-archive:$WORK/archive.tar" "docker://$(api 1)/skopeo/app:1"; }

skopeo_push_oci() {
    skopeo_copy_image --format oci "docker-archive:$WORK/archive.tar" "docker://$(api 2)/skopeo/app:oci"
}

skopeo_inspect() {
    local node tag
    for tag in 1 oci; do
        for node in "${NODES[@]}"; do
            expect_equal "$(skopeo_digest "$node" "skopeo/app:$tag")" "$(skopeo_digest 1 "skopeo/app:$tag")" \
                "node $node, digest of $tag"
        done
    done
}

# skopeo itself checks the digest of all that it reads.
skopeo_pull() {
    skopeo_copy_image "docker://$(api 3)/skopeo/app:1" "dir:$WORK/skopeo-pulled"
    expect_equal "$(digest_of "$WORK/skopeo-pulled/manifest.json")" "$(skopeo_digest 1 skopeo/app:1)" 'pulled manifest'
}

skopeo_copy() {
    skopeo_copy_image "docker://$(api 1)/skopeo/app:1" "docker://$(api 2)/skopeo/copy:1"
    expect_equal "$(skopeo_digest 3 skopeo/copy:1)" "$(skopeo_digest 3 skopeo/app:1)" 'digest of the copy'
}

skopeo_list() {
    expect_equal "$(skopeo list-tags --tls-verify=false "docker://$(api 3)/skopeo/app" | jq --compact-output .Tags)" \
        '["1","oci"]' tags
}

skopeo_delete() {
    local node
    skopeo delete --tls-verify=false "docker://$(api 2)/skopeo/app:1"
    for node in "${NODES[@]}"; do
        refused skopeo_digest "$node" skopeo/app:1
        skopeo_digest "$node" skopeo/app:oci
    done
}

crane_push() { crane push --insecure "$WORK/archive.tar" "$(api 2)/crane/app:1"; }

crane_digest() {
    local node
    for node in "${NODES[@]}"; do
        expect_equal "$(crane digest --insecure "$(api "$node")/crane/app:1")" \
            "$(crane digest --insecure "$(api 1)/crane/app:1")" "node $node, digest"
    done
}

crane_pull() {
    crane pull --insecure "$(api 3)/crane/app:1" "$WORK/crane-pulled.tar"
    crane validate --tarball "$WORK/crane-pulled.tar"
    crane validate --insecure --remote "$(api 3)/crane/app:1"
}

crane_tag() {
    crane tag --insecure "$(api 1)/crane/app:1" stable
    expect_equal "$(crane digest --insecure "$(api 2)/crane/app:stable")" \
        "$(crane digest --insecure "$(api 3)/crane/app:1")" 'digest of the new tag'
}

crane_copy() {
    crane copy --insecure "$(api 1)/crane/app:1" "$(api 2)/crane/copy:1"
    crane validate --insecure --remote "$(api 3)/crane/copy:1"
}

crane_list() { expect_equal "$(crane ls --insecure "$(api 3)/crane/app" | xargs)" '1 stable' tags; }

crane_catalog() {
    local catalog
    catalog="$(crane catalog --insecure "$(api 1)")"
    grep -qx crane/app <<<"$catalog"
    grep -qx crane/copy <<<"$catalog"
    grep -qx skopeo/app <<<"$catalog"
}

# By digest: a registry may not offer to delete by tag, and both tags of this manifest must go with it.
crane_delete() {
    local node digest
    digest="$(crane digest --insecure "$(api 3)/crane/app:1")"
    crane delete --insecure "$(api 3)/crane/app@$digest"
    for node in "${NODES[@]}"; do
        refused crane digest --insecure "$(api "$node")/crane/app:1"
        refused crane digest --insecure "$(api "$node")/crane/app:stable"
        crane digest --insecure "$(api "$node")/crane/copy:1"
    done
}
