# A cluster in which nobody may do anything that is not granted: clients log in, push, pull and are refused as they should.

story_access() {
    story 'Who may do what'
    step 'the open cluster makes room' stop_playground
    PLAYGROUND="$WORK/closed"
    LEDGER="$WORK/closed.ledger"
    step 'a closed cluster starts, and shows the administrator its password once' start_closed
    step 'users, a robot and a file of users are let in through node 2' let_in
    step 'who has not logged in is told how, and gets nothing' refused_without_login
    step 'docker logs in on node 1, pushes, and pulls through node 3' access_docker
    step 'podman, skopeo, crane, oras, regctl and ctr log in and push, each through another node' access_others
    step 'cosign signs an image and finds its signature' access_cosign
    step 'a user of the file pulls, and may not push' access_htpasswd
    step 'a robot pushes with its key where it may, and nowhere else' access_robot
    step 'a key that is revoked on node 1 is refused on every node within a second' access_revoked
    step 'who decides is explained' access_explained
    step 'the leader dies; the others log in, serve and manage' access_failover
    # Whatever went wrong: the stories that follow are about an open one.
    story_failed=false
    step 'the closed cluster stops' stop_playground
    PLAYGROUND="$WORK/playground"
    LEDGER="$WORK/ledger"
}

ALICE_PASSWORD=correct-horse-battery

start_closed() {
    local shown
    htpasswd -Bbn carol "$ALICE_PASSWORD" >"$WORK/htpasswd"
    ROADSTEAD_ACCESS_HTPASSWD="$WORK/htpasswd" PLAYGROUND_ARGUMENTS=--auth start_playground
    eventually 30 0.2 grep -q '^password, which is not shown again: ' "$WORK/playground.log"
    shown="$(sed -n 's/^password, which is not shown again: //p' "$WORK/playground.log")"
    expect_equal "$shown" "$(cat "$PLAYGROUND/administrator-password")" 'password'
}

# The program as the administrator, with node $1's API.
administer() {
    local node="$1"
    shift
    ROADSTEAD_USER=admin ROADSTEAD_PASSWORD="$(cat "$PLAYGROUND/administrator-password")" \
        "$ROADSTEAD" "$@" --server "http://$(api "$node")"
}

let_in() {
    echo "$ALICE_PASSWORD" | administer 2 user add alice --group team
    echo "$ALICE_PASSWORD" | administer 2 user add bob
    administer 2 robot add ci --scope 'team/ci=pull,push' --expires 90d >"$WORK/ci.key"
    administer 2 grant add group:team maintainer 'team/**'
    administer 2 grant add user:ci developer 'team/**'
    administer 2 grant add user:carol read-only 'team/**'
    administer 2 grant add anonymous read-only 'public/**'
    administer 2 grant list
}

refused_without_login() {
    local node status
    build_image closed 2 64
    docker tag closed "$(api 1)/team/app:0"
    refused docker push "$(api 1)/team/app:0"
    refused docker pull "$(api 2)/team/app:0"
    refused crane digest --insecure "$(api 3)/team/app:0"
    refused skopeo_copy_image "docker-daemon:closed:latest" "docker://$(api 1)/team/app:0"
    refused "$ROADSTEAD" cluster status --server "http://$(api 1)"
    for node in "${NODES[@]}"; do
        status="$(curl --silent --output /dev/null --write-out '%{http_code}' "http://$(api "$node")/v2/team/app/tags/list")"
        expect_equal "$status" 401 "status of node $node"
    done
}

access_docker() {
    local node
    refused docker login --username alice --password wrong-horse "$(api 1)"
    for node in "${NODES[@]}"; do
        docker login --username alice --password "$ALICE_PASSWORD" "$(api "$node")"
    done
    docker_push closed 1 team/app:1
    forget_local_images
    docker_pull 3 team/app:1 "$(ledger_digest team/app:1)"
    build_image closed 1 64
    docker tag closed "$(api 1)/other/app:1"
    refused docker push "$(api 1)/other/app:1"
    docker logout "$(api 3)"
    refused docker pull "$(api 3)/team/app:1"
    docker login --username alice --password "$ALICE_PASSWORD" "$(api 3)"
}

access_others() {
    local login=(--username alice --password "$ALICE_PASSWORD") file="$WORK/access.txt"
    echo hello >"$file"
    docker save --output "$WORK/closed.tar" closed

    podman login --tls-verify=false "${login[@]}" "$(api 2)"
    podman load --input "$WORK/closed.tar"
    podman push --tls-verify=false localhost/closed:latest "$(api 2)/team/podman:1"
    podman pull --tls-verify=false "$(api 2)/team/podman:1"
    refused podman push --tls-verify=false localhost/closed:latest "$(api 2)/other/podman:1"

    skopeo login --tls-verify=false "${login[@]}" "$(api 3)"
    skopeo_copy_image "docker-archive:$WORK/closed.tar" "docker://$(api 3)/team/skopeo:1"
    skopeo delete --tls-verify=false "docker://$(api 3)/team/skopeo:1"
    refused skopeo_copy_image "docker-archive:$WORK/closed.tar" "docker://$(api 3)/other/skopeo:1"

    crane auth login "$(api 1)" --username alice --password "$ALICE_PASSWORD"
    crane push --insecure "$WORK/closed.tar" "$(api 1)/team/crane:1"
    expect_equal "$(crane catalog --insecure "$(api 1)" | xargs)" 'team/app team/crane team/podman team/skopeo' catalog
    refused crane push --insecure "$WORK/closed.tar" "$(api 1)/other/crane:1"

    oras login --plain-http "${login[@]}" "$(api 2)"
    (cd "$WORK" && oras push --plain-http "$(api 2)/team/oras:1" access.txt:text/plain)
    (cd "$WORK" && oras pull --plain-http "$(api 2)/team/oras:1")
    (cd "$WORK" && refused oras push --plain-http "$(api 2)/other/oras:1" access.txt:text/plain)

    regctl registry set --tls disabled "$(api 3)"
    regctl registry login --user alice --pass "$ALICE_PASSWORD" "$(api 3)"
    regctl image copy "$(api 3)/team/crane:1" "$(api 3)/team/regctl:1"
    refused regctl image copy "$(api 3)/team/crane:1" "$(api 3)/other/regctl:1"

    local ctr_login=(--plain-http --user "alice:$ALICE_PASSWORD")
    refused ctr_here images pull --plain-http --snapshotter native "$(api 3)/team/crane:1"
    ctr_here images pull "${ctr_login[@]}" --snapshotter native "$(api 1)/team/crane:1"
    ctr_here images push "${ctr_login[@]}" "$(api 2)/team/ctr:1" "$(api 1)/team/crane:1"
    refused ctr_here images push "${ctr_login[@]}" "$(api 2)/other/ctr:1" "$(api 1)/team/crane:1"
}

access_cosign() {
    local image
    cosign_here generate-key-pair --output-key-prefix "$WORK/access"
    crane auth login "$(api 2)" --username alice --password "$ALICE_PASSWORD"
    image="$(api 2)/team/crane@$(crane digest --insecure "$(api 2)/team/crane:1")"
    cosign_here sign --yes --key "$WORK/access.key" --tlog-upload=false --use-signing-config=false \
        --allow-http-registry "$image"
    cosign_here verify --insecure-ignore-tlog=true --allow-http-registry --key "$WORK/access.pub" "$image"
}

access_htpasswd() {
    crane auth login "$(api 2)" --username carol --password "$ALICE_PASSWORD"
    crane validate --insecure --remote "$(api 2)/team/crane:1"
    refused crane push --insecure "$WORK/closed.tar" "$(api 2)/team/crane:2"
}

access_robot() {
    crane auth login "$(api 3)" --username ci --password "$(cat "$WORK/ci.key")"
    crane push --insecure "$WORK/closed.tar" "$(api 3)/team/ci:1"
    refused crane push --insecure "$WORK/closed.tar" "$(api 3)/team/crane:1"
    refused crane delete --insecure "$(api 3)/team/ci:1"
}

# What curl gets from node $1 with the robot's key.
robot_status() {
    curl --silent --output /dev/null --write-out '%{http_code}' --user "ci:$(cat "$WORK/ci.key")" \
        "http://$(api "$1")/v2/team/ci/tags/list"
}

access_revoked() {
    local id node
    for node in "${NODES[@]}"; do
        expect_equal "$(robot_status "$node")" 200 "status of node $node"
    done
    id="$(cut -d _ -f 2 "$WORK/ci.key")"
    administer 1 key revoke ci "$id"
    sleep 1
    for node in "${NODES[@]}"; do
        expect_equal "$(robot_status "$node")" 401 "status of node $node"
    done
    refused crane digest --insecure "$(api 3)/team/ci:1"
}

access_explained() {
    administer 3 access explain alice delete team/app | grep '^yes: .* group:team is maintainer on team/\*\*'
    administer 3 access explain bob pull team/app | grep '^no: '
    administer 3 access explain anonymous pull public/app | grep '^yes: '
}

# The leader, as the administrator sees it.
closed_leader() {
    local peer
    peer="$(administer "$1" cluster status --output json | jq --raw-output '.nodes[] | select(.role == "leader") | .peer_address')"
    [[ $peer =~ :([0-9]+)$ ]] && echo $(((BASH_REMATCH[1] - BASE_PORT) / 10 + 1))
}

access_failover() {
    local dead survivor
    dead="$(closed_leader 1)"
    kill_node "$dead"
    for survivor in $(others "$dead"); do
        docker login --username alice --password "$ALICE_PASSWORD" "$(api "$survivor")"
        eventually 15 0.2 docker pull --quiet "$(api "$survivor")/team/app:1"
    done
    echo "$ALICE_PASSWORD" | administer "$survivor" user password bob
    restart_node "$dead"
}
