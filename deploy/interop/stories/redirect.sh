# Clients that are known to follow get layers from the store itself, and others from the cache of their node. Only with S3,
# and alone: the cluster is another one.

story_redirect() {
    story 'Layers from the store itself, and from a cache'
    step 'a cluster that redirects and caches starts' start_with_redirects
    step 'docker pushes an image through node 1, and pulls it through node 3' redirect_docker
    step 'node 3 has sent it to the store' redirects_were_given
    step 'a redirect is not kept by caches, and leads to the bytes' redirect_leads_to_bytes
    step 'who does not follow gets the bytes from the node' bytes_without_redirect
    step 'and again from its cache while the store is away' bytes_without_store
}

start_with_redirects() {
    ROADSTEAD_STORAGE_REDIRECT=auto ROADSTEAD_STORAGE_CACHE_BYTES=$((256 * 1024 * 1024)) start_playground
}

redirect_docker() {
    build_image redirected 1 2048
    docker_push redirected 1 redirect/app:1
    forget_local_images
    docker_pull 3 redirect/app:1 "$(ledger_digest redirect/app:1)"
}

redirects_were_given() {
    curl --silent --fail "http://localhost:$(admin_port 3)/metrics" |
        grep -E '^roadstead_http_requests_total\{.*method="GET",status="307"\} [1-9]'
}

# The URL of the image's layer at node $1, and its digest.
redirect_layer() {
    crane manifest --insecure "$(api 1)/redirect/app:1" | jq --raw-output '.layers[0].digest' >"$WORK/redirect.digest"
    echo "http://$(api "$1")/v2/redirect/app/blobs/$(cat "$WORK/redirect.digest")"
}

redirect_leads_to_bytes() {
    local layer
    layer="$(redirect_layer 2)"
    curl --silent --fail --user-agent docker/29.1.3 --dump-header "$WORK/redirect.head" --output /dev/null "$layer"
    grep -i '^HTTP/1.1 307' "$WORK/redirect.head"
    grep -i '^cache-control: no-store' "$WORK/redirect.head"
    grep -i "^location: http://127.0.0.1:$(store_port)/" "$WORK/redirect.head"
    curl --silent --fail --location --user-agent docker/29.1.3 --output "$WORK/redirect.layer" "$layer"
    expect_equal "$(digest_of "$WORK/redirect.layer")" "$(cat "$WORK/redirect.digest")" 'digest of the layer'
}

bytes_without_redirect() {
    expect_equal "$(curl --silent --output "$WORK/redirect.layer" --write-out '%{http_code}' "$(redirect_layer 2)")" 200 status
    expect_equal "$(digest_of "$WORK/redirect.layer")" "$(cat "$WORK/redirect.digest")" 'digest of the layer'
}

bytes_without_store() {
    kill_store
    bytes_without_redirect
    curl --silent --fail "http://localhost:$(admin_port 2)/metrics" | grep -E '^roadstead_cache_hits_total [1-9]'
}
