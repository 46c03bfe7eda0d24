# Signatures with a key of this run and no transparency log: as referrers, and as tags beside the image.

story_cosign() {
    story 'cosign'
    step 'three nodes are ready' cluster_is_running
    step 'keys are made and two images pushed through node 1' cosign_prepare
    step 'signs one through node 2, with a referrer' cosign_sign_with_referrer
    step 'verifies it through node 3, and refuses another key' cosign_verify referrer
    step 'signs the other through node 2, with a tag' cosign_sign_with_tag
    step 'verifies it through node 3, and refuses another key' cosign_verify tag
}

cosign_here() { env COSIGN_PASSWORD=password cosign "$@"; }

cosign_prepare() {
    local name
    for name in ours theirs; do cosign_here generate-key-pair --output-key-prefix "$WORK/$name"; done
    for name in referrer tag; do
        build_image "cosign-$name" 1 64
        docker_push "cosign-$name" 1 "cosign/$name:1"
    done
}

cosign_sign() {
    local image="$1"
    shift
    cosign_here sign --yes --key "$WORK/ours.key" --tlog-upload=false --use-signing-config=false --allow-http-registry "$@" \
        "$(api 2)/cosign/$image@$(ledger_digest "cosign/$image:1")"
}

cosign_sign_with_referrer() {
    cosign_sign referrer --new-bundle-format=true
    expect_equal "$(crane ls --insecure "$(api 1)/cosign/referrer")" 1 'tags beside the image'
    oras discover --plain-http --format json "$(api 1)/cosign/referrer:1" | grep -F sigstore.bundle
}

cosign_sign_with_tag() {
    cosign_sign tag --new-bundle-format=false
    crane ls --insecure "$(api 1)/cosign/tag" | grep -x 'sha256-[0-9a-f]*\.sig'
}

cosign_verify() {
    local verify=(cosign_here verify --insecure-ignore-tlog=true --allow-http-registry)
    [ "$1" = referrer ] && verify+=(--new-bundle-format=true) || verify+=(--new-bundle-format=false)
    "${verify[@]}" --key "$WORK/ours.pub" "$(api 3)/cosign/$1:1"
    refused "${verify[@]}" --key "$WORK/theirs.pub" "$(api 3)/cosign/$1:1"
}
