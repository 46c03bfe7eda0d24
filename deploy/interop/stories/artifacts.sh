# Artifacts that refer to an image, with oras and regctl, and charts with helm.

story_artifacts() {
    story 'oras and regctl'
    step 'three nodes are ready' cluster_is_running
    step 'oras pushes an artifact through node 1' oras_push
    step 'oras pulls it through node 3, same bytes' oras_pull
    step 'oras attaches another to it through node 2' oras_attach
    step 'every node tells oras of it, and regctl too' referrers_are_found
    step 'regctl copies it with its referrers to node 3' regctl_copy

    story 'helm'
    step 'three nodes are ready' cluster_is_running
    step 'pushes a chart through node 1' helm_push
    step 'shows and pulls it through node 3, same bytes' helm_pull
}

oras_push() {
    mkdir "$WORK/oras"
    cd "$WORK/oras"
    head -c 3000000 /dev/urandom >content
    oras push --plain-http "$(api 1)/oras/app:1" --artifact-type application/vnd.example.thing content
}

oras_pull() {
    oras pull --plain-http --output "$WORK/oras-pulled" "$(api 3)/oras/app:1"
    cmp "$WORK/oras/content" "$WORK/oras-pulled/content"
}

oras_attach() {
    cd "$WORK/oras"
    echo '{"bill":"of materials"}' >bill.json
    oras attach --plain-http --artifact-type application/vnd.example.bill "$(api 2)/oras/app:1" bill.json
}

referrers_are_found() {
    local node
    for node in "${NODES[@]}"; do
        oras discover --plain-http --format json "$(api "$node")/oras/app:1" |
            grep -F application/vnd.example.bill
        regctl --host "reg=$(api "$node"),tls=disabled" artifact list "$(api "$node")/oras/app:1" |
            grep -F application/vnd.example.bill
    done
}

regctl_copy() {
    regctl --host "reg=$(api 1),tls=disabled" --host "reg=$(api 3),tls=disabled" \
        image copy --referrers "$(api 1)/oras/app:1" "$(api 3)/regctl/app:1"
    expect_equal "$(crane digest --insecure "$(api 2)/regctl/app:1")" "$(crane digest --insecure "$(api 2)/oras/app:1")" \
        'digest of the copy'
    oras discover --plain-http --format json "$(api 2)/regctl/app:1" | grep -F application/vnd.example.bill
}

helm_push() {
    cd "$WORK"
    helm create chart
    helm package chart --version 1.2.3
    helm push --plain-http chart-1.2.3.tgz "oci://$(api 1)/charts"
}

helm_pull() {
    helm show chart --plain-http "oci://$(api 3)/charts/chart" --version 1.2.3 | grep -x 'version: 1.2.3'
    mkdir "$WORK/charts-pulled"
    helm pull --plain-http "oci://$(api 3)/charts/chart" --version 1.2.3 --destination "$WORK/charts-pulled"
    cmp "$WORK/chart-1.2.3.tgz" "$WORK/charts-pulled/chart-1.2.3.tgz"
}
