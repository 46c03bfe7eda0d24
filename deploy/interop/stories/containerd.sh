# containerd, by `ctr` on the daemon that the Docker engine of this run brings along: pull, push, and pull again.

story_containerd() {
    story 'containerd'
    step 'three nodes are ready' cluster_is_running
    step 'an image is saved as an archive' save_archive
    step 'imports it and pushes it through node 1' ctr_push
    step 'pulls it through node 3, same digest' ctr_pull
}

ctr_here() {
    as_root ctr --address "$WORK/engine/exec/containerd/containerd.sock" --namespace interop "$@"
}

# Prints the digest of image $1 as containerd knows it.
ctr_digest() { ctr_here images list "name==$1" | awk -v image="$1" '$1 == image { print $3 }'; }

ctr_push() {
    local remote
    remote="$(api 1)/containerd/app:1"
    ctr_here images import "$WORK/archive.tar"
    ctr_here images tag "$(ctr_here images list --quiet | head -n 1)" "$remote"
    ctr_digest "$remote" >"$WORK/ctr.digest"
    ctr_here images push --plain-http "$remote"
    # Content that no image names is collected, so that the pull transfers all of it.
    # shellcheck disable=SC2046 # One image a word.
    ctr_here images remove --sync $(ctr_here images list --quiet)
}

ctr_pull() {
    local remote
    remote="$(api 3)/containerd/app:1"
    ctr_here content list --quiet | wc -l | grep -x 0
    ctr_here images pull --plain-http --snapshotter native "$remote"
    expect_equal "$(ctr_digest "$remote")" "$(cat "$WORK/ctr.digest")" 'digest of what was pulled'
    expect_equal "$(crane digest --insecure "$(api 2)/containerd/app:1")" "$(cat "$WORK/ctr.digest")" 'digest in the registry'
}
