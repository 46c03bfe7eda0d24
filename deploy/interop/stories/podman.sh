# podman and buildah, each with a storage of this run: push through one node, pull through another.

story_podman() {
    story 'podman'
    step 'three nodes are ready' cluster_is_running
    step 'an image is saved as an archive' save_archive
    step 'pushes it through node 1' podman_push
    step 'pulls it through node 3, same digest' podman_pull

    story 'buildah'
    step 'three nodes are ready' cluster_is_running
    step 'builds an image and pushes it through node 2' buildah_push
    step 'pulls it through node 1, same digest' buildah_pull
    step 'pushes an index of two architectures through node 3' buildah_push_index
    step 'its index and each of its images read through node 1' buildah_index_reads
}

# Without docker's folder, whose configuration they would want to be there.
podman_here() {
    env --unset DOCKER_CONFIG podman --root "$WORK/podman/root" --runroot "$WORK/podman/run" --storage-driver vfs \
        --cgroup-manager cgroupfs --events-backend file --tmpdir "$WORK/podman/tmp" "$@"
}

podman_push() {
    local image
    image="$(podman_here load --input "$WORK/archive.tar" | sed -n 's/^Loaded image[^:]*: *//p')"
    podman_here push --tls-verify=false --digestfile "$WORK/podman.digest" "$image" "docker://$(api 1)/podman/app:1"
    podman_here rmi --force "$image"
}

podman_pull() {
    podman_here pull --tls-verify=false "$(api 3)/podman/app:1"
    expect_equal "$(podman_here image inspect --format '{{.Digest}}' "$(api 3)/podman/app:1")" \
        "$(cat "$WORK/podman.digest")" 'digest of what was pulled'
    podman_here rmi --all --force
}

buildah_here() {
    env --unset DOCKER_CONFIG buildah --root "$WORK/buildah/root" --runroot "$WORK/buildah/run" --storage-driver vfs "$@"
}

# An image of architecture $1 that is called $2, without a base image.
buildah_image() {
    local container
    container="$(buildah_here from scratch)"
    buildah_here config --arch "$1" "$container"
    head -c 1048576 /dev/urandom >"$WORK/buildah.content"
    buildah_here copy "$container" "$WORK/buildah.content" /
    buildah_here commit --rm "$container" "$2"
}

buildah_push() {
    buildah_image amd64 built
    buildah_here push --tls-verify=false --digestfile "$WORK/buildah.digest" built "docker://$(api 2)/buildah/app:1"
    buildah_here rmi --all --force
}

buildah_pull() {
    buildah_here pull --tls-verify=false "$(api 1)/buildah/app:1"
    expect_equal "$(buildah_here inspect --type image "$(api 1)/buildah/app:1" | jq --raw-output .FromImageDigest)" \
        "$(cat "$WORK/buildah.digest")" 'digest of what was pulled'
}

buildah_push_index() {
    local architecture
    buildah_here manifest create many
    for architecture in amd64 arm64; do
        buildah_image "$architecture" "for-$architecture"
        buildah_here manifest add --arch "$architecture" many "containers-storage:localhost/for-$architecture"
    done
    buildah_here manifest push --all --tls-verify=false many "docker://$(api 3)/buildah/many:1"
}

buildah_index_reads() {
    crane validate --insecure --remote "$(api 1)/buildah/many:1"
    expect_equal "$(crane manifest --insecure "$(api 1)/buildah/many:1" |
        jq --compact-output '[.manifests[].platform.architecture] | sort')" '["amd64","arm64"]' architectures
}
