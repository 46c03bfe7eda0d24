# A cluster over TLS with a private CA, in which nobody may do anything that is not granted: clients log in, push, pull and are
# refused as they should, with everything that one can log in with, through every node. In the end a second cluster takes the
# first one's tokens, as it would take those of a token server that a company has already.

story_access() {
    local client kind
    story 'Who may do what'
    step 'the open cluster makes room' stop_playground
    PLAYGROUND="$WORK/closed"
    LEDGER="$WORK/closed.ledger"
    step 'an image is saved as an archive' save_closed
    step 'a CA and a certificate are made' make_certificates
    step 'HAProxy passes TLS on' start_passthrough "$BRANCH_PORT"
    step 'a closed cluster starts, and shows the administrator its password once' start_closed
    step 'users, a robot and a file of users are let in through node 2' let_in
    step 'who has not logged in is told how, and gets nothing' refused_without_login
    step 'a wrong secret opens no account' refused_with_wrong_secret
    for client in "${ACCESS_CLIENTS[@]}"; do
        for kind in password key robot htpasswd; do
            step "$client with $(called "$kind")" client_works_with "$client" "$kind"
        done
    done
    step 'the catalog shows what one may see' access_catalog
    step 'a key that is revoked on node 1 is refused on every node within a second' access_revoked
    step 'who decides is explained' access_explained
    step 'the leader dies; the others log in, serve and manage' access_failover
    step 'all nodes die and one returns: who logs in there pulls by digest' access_without_majority
    step 'everything is in the audit logs, and no secret' access_audited
    step "a second cluster starts, which takes the first one's tokens" start_branch
    for client in "${ACCESS_CLIENTS[@]}"; do
        step "$client with a token of the other cluster" client_works_at_branch "$client"
    done
    step 'the second cluster stops' stop_branch
    # Whatever went wrong: the stories that follow are about an open one.
    story_failed=false
    step 'the closed cluster stops' stop_closed
    PLAYGROUND="$WORK/playground"
    LEDGER="$WORK/ledger"
}

ALICE_PASSWORD=correct-horse-battery

called() {
    case "$1" in
    password) echo 'a password' ;;
    key) echo 'an access key of a user' ;;
    robot) echo "a robot's key" ;;
    htpasswd) echo 'a password of the htpasswd file' ;;
    esac
}

# Runs the function $1 for the second cluster.
at_branch() { BASE_PORT="$BRANCH_PORT" PLAYGROUND="$WORK/branch" "$@"; }

save_closed() {
    build_image closed 2 64
    docker save --output "$WORK/closed.tar" closed
    podman_here load --input "$WORK/closed.tar"
    echo hello >"$WORK/access.txt"
    cosign_here generate-key-pair --output-key-prefix "$WORK/access"
}

start_closed() {
    local shown
    htpasswd -Bbn carol "$ALICE_PASSWORD" >"$WORK/htpasswd"
    trust_with_docker
    ROADSTEAD_ACCESS_HTPASSWD="$WORK/htpasswd" start_with_tls --auth
    eventually 30 0.2 grep -q '^password, which is not shown again: ' "$WORK/playground.log"
    shown="$(sed -n 's/^password, which is not shown again: //p' "$WORK/playground.log")"
    expect_equal "$shown" "$(cat "$PLAYGROUND/administrator-password")" 'password'
}

# A playground with the certificate of this run, an audit log, and the arguments `$@`.
start_with_tls() {
    ROADSTEAD_TLS_CERTIFICATE="$WORK/tls/cert.pem" ROADSTEAD_TLS_KEY="$WORK/tls/key.pem" \
        ROADSTEAD_AUDIT_FOLDER="$PLAYGROUND.audit" PLAYGROUND_ARGUMENTS="$*" start_playground
}

# The program as the administrator, with node $1's API.
administer() {
    local node="$1"
    shift
    ROADSTEAD_USER=admin ROADSTEAD_PASSWORD="$(cat "$WORK/closed/administrator-password")" ROADSTEAD_CA="$WORK/tls/ca.pem" \
        "$ROADSTEAD" "$@" --server "https://$(secure_api "$node")"
}

let_in() {
    local user
    echo "$ALICE_PASSWORD" | administer 2 user add alice --group team
    # bob, and one account for each client, to try wrong secrets for.
    for user in bob "${ACCESS_CLIENTS[@]}"; do
        echo "$ALICE_PASSWORD" | administer 2 user add "$user"
    done
    administer 2 key create alice --description laptop >"$WORK/alice.key"
    administer 2 robot add ci --scope 'team/**=pull,push' --expires 90d >"$WORK/ci.key"
    administer 2 grant add group:team maintainer 'team/**'
    administer 2 grant add user:ci developer 'team/**'
    administer 2 grant add user:carol developer 'team/**'
    administer 2 grant add anonymous read-only 'public/**'
    administer 2 grant list
    push_as_administrator
}

# What others are to find, or not.
push_as_administrator() {
    as_stranger "$WORK/logins/administrator"
    crane_secure auth login "$(secure_api 1)" --username admin --password "$(cat "$WORK/closed/administrator-password")"
    crane_secure push "$WORK/closed.tar" "$(secure_api 1)/team/app:1"
    crane_secure push "$WORK/closed.tar" "$(secure_api 1)/other/app:1"
}

refused_without_login() {
    local node
    refused "$ROADSTEAD" cluster status --server "https://$(secure_api 1)" --ca "$WORK/tls/ca.pem"
    for node in "${NODES[@]}"; do
        expect_equal "$(tls_status_of "$node" /v2/team/app/tags/list)" 401 "status of node $node"
        expect_equal "$(tls_status_of "$node" /v2/none/app/tags/list)" 401 "status of node $node"
    done
}

refused_with_wrong_secret() {
    local node account
    for node in "${NODES[@]}"; do
        for account in alice ci carol; do
            expect_equal "$(tls_status_of "$node" /v2/team/app/tags/list --user "$account:wrong-secret")" 401 "status of $account"
        done
    done
}

# The status with which node $1 answers a request of $2, which curl makes with the other arguments.
tls_status_of() {
    local node="$1" path="$2"
    shift 2
    curl --silent --output /dev/null --write-out '%{http_code}' --cacert "$WORK/tls/ca.pem" "$@" \
        "https://$(secure_api "$node")$path"
}

client_works_with() {
    case "$2" in
    password) client_works "$1" alice "$ALICE_PASSWORD" "$2" ;;
    key) client_works "$1" alice "$(cat "$WORK/alice.key")" "$2" ;;
    robot) client_works "$1" ci "$(cat "$WORK/ci.key")" "$2" ;;
    htpasswd) client_works "$1" carol "$ALICE_PASSWORD" "$2" ;;
    esac
}

access_catalog() {
    as_stranger "$WORK/logins/catalog"
    via_crane login 3 alice "$ALICE_PASSWORD"
    crane_secure catalog "$(secure_api 3)" >"$WORK/catalog.txt"
    grep -x team/app "$WORK/catalog.txt"
    refused grep -v '^team/' "$WORK/catalog.txt"
}

# What curl gets from node $1 with the robot's key.
robot_status() { tls_status_of "$1" /v2/team/app/tags/list --user "ci:$(cat "$WORK/ci.key")"; }

access_revoked() {
    local id node
    administer 3 key list ci
    for node in "${NODES[@]}"; do
        expect_equal "$(robot_status "$node")" 200 "status of node $node"
    done
    id="$(cut -d _ -f 2 "$WORK/ci.key")"
    administer 1 key revoke ci "$id"
    sleep 1
    for node in "${NODES[@]}"; do
        expect_equal "$(robot_status "$node")" 401 "status of node $node"
    done
    as_stranger "$WORK/logins/crane-robot"
    denied via_crane pull 3 team/app:1
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
    as_stranger "$WORK/logins/failover"
    for survivor in $(others "$dead"); do
        via_docker login "$survivor" alice "$ALICE_PASSWORD"
        eventually 15 0.2 via_docker pull "$survivor" team/app:1
    done
    echo "$ALICE_PASSWORD" | administer "$survivor" user password bob
    restart_node "$dead"
}

access_without_majority() {
    local digest
    as_stranger "$WORK/logins/alone"
    via_crane login 1 alice "$ALICE_PASSWORD"
    digest="$(crane_secure digest "$(at 1 team/app:1)")"
    without_majority log_in_and_pull_by_digest "$digest"
}

log_in_and_pull_by_digest() {
    local client
    eventually 30 0.2 via_crane pull 1 "team/app@$1"
    for client in docker podman; do
        "via_$client" login 1 alice "$ALICE_PASSWORD"
        "via_$client" pull 1 "team/app@$1"
    done
    expect_equal "$(tls_status_of 1 /v2/team/app/manifests/1 --user "alice:$ALICE_PASSWORD")" 503 'status of the tag'
}

# All nodes of a playground write into one folder.
access_audited() {
    local records="$WORK/audit.json" secret
    cat "$PLAYGROUND".audit/roadstead-audit.*.json >"$records"
    jq --exit-status --slurp 'all(.timestamp and .message)' "$records"
    grep '"message":"login failed"' "$records" | grep alice
    grep '"message":"logged in"' "$records" | grep '"account":"carol"'
    grep '"message":"denied"' "$records" | grep '"need":"pull in other/'
    grep '"message":"changed"' "$records" | grep '"change":"revoke key '
    for secret in "$ALICE_PASSWORD" "$(cat "$WORK/ci.key")" "$(cat "$WORK/alice.key")" \
        "$(cat "$WORK/closed/administrator-password")"; do
        refused grep -F -- "$secret" "$records"
    done
}

start_branch() {
    local cluster
    cluster="$(administer 1 cluster status --output json | jq --raw-output .cluster)"
    tls_get_path 2 /roadstead/v1/token/keys >"$WORK/issuer.json"
    ROADSTEAD_ACCESS_ISSUER="roadstead:$cluster" ROADSTEAD_ACCESS_ISSUER_KEYS="$WORK/issuer.json" \
        ROADSTEAD_ACCESS_TOKEN_URL="https://$(secure_api 2)/roadstead/v1/token" at_branch start_branch_here
}

start_branch_here() {
    trust_with_docker
    start_with_tls --auth
    push_as_administrator
}

tls_get_path() { curl --silent --fail --max-time 5 --cacert "$WORK/tls/ca.pem" "https://$(secure_api "$1")$2"; }

client_works_at_branch() {
    at_branch client_works "$1" alice "$ALICE_PASSWORD" token
}

stop_branch() {
    at_branch forget_docker_trust
    at_branch stop_playground
}

stop_closed() {
    at_branch stop_playground
    at_branch forget_docker_trust
    forget_docker_trust
    stop_passthrough
    stop_playground
}
