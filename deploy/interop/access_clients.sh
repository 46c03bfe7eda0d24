# Clients that log in to a closed cluster over TLS, push, pull and are refused, all in the same words:
#
#   via_CLIENT login NODE USER SECRET    fails when the registry does not know them by it
#   via_CLIENT push NODE IMAGE
#   via_CLIENT pull NODE IMAGE
#
# An image is REPOSITORY:TAG. Each client trusts the CA of this run, in the way that docs/tls.md says, and remembers who has
# logged in at a place of its own.

ACCESS_CLIENTS=(docker podman skopeo crane oras regctl ctr cosign)

# Has the clients of this step remember logins in the folder $1, where nobody has logged in yet.
as_stranger() {
    mkdir -p "$1"
    [ -e "$1/auth.json" ] || echo '{}' >"$1/auth.json"
    export DOCKER_CONFIG="$1" REGISTRY_AUTH_FILE="$1/auth.json" REGCTL_CONFIG="$1/regctl.json" CTR_USER_FILE="$1/ctr"
}

# Everything that client $1 can do as $2 with the secret $3, which is of the kind $4, through all nodes.
client_works() {
    local client="via_$1" user="$2" secret="$3" image="team/$1-$4:1" node
    as_stranger "$WORK/logins/$1-$4"
    denied "$client" pull 1 team/app:1
    # For an account that only this client tries: of one address, a node checks few passwords for one account, and each client
    # sends a wrong one several times.
    denied "$client" login 2 "$1" "wrong-$secret"
    for node in "${NODES[@]}"; do
        "$client" login "$node" "$user" "$secret"
    done
    "$client" push 1 "$image"
    "$client" pull 3 "$image"
    "$client" push 2 "$image"
    denied "$client" push 3 "other/$1:1"
    denied "$client" pull 2 other/app:1
}

# Succeeds when the command fails because the registry refuses it, and for no other reason.
denied() {
    refused "$@" >"$WORK/denied.log" 2>&1
    grep -iwE '401|403|unauthorized|forbidden|denied|authentication required' "$WORK/denied.log" ||
        grep -iE '(username|name).*password' "$WORK/denied.log" || {
        echo "not for want of rights: $*"
        cat "$WORK/denied.log"
        return 1
    }
}

# Where image $2 is at node $1.
at() { echo "$(secure_api "$1")/$2"; }

via_docker() {
    case "$1" in
    login) docker login --username "$3" --password "$4" "$(secure_api "$2")" ;;
    push) docker tag closed "$(at "$2" "$3")" && docker push "$(at "$2" "$3")" ;;
    pull)
        docker rmi --force "$(at "$2" "$3")"
        docker pull "$(at "$2" "$3")"
        ;;
    esac
}

via_podman() {
    case "$1" in
    login) podman_here login --cert-dir "$WORK/tls/certs" --username "$3" --password "$4" "$(secure_api "$2")" ;;
    push) podman_here push --cert-dir "$WORK/tls/certs" localhost/closed:latest "docker://$(at "$2" "$3")" ;;
    pull)
        podman_here pull --cert-dir "$WORK/tls/certs" "$(at "$2" "$3")" && podman_here rmi --force "$(at "$2" "$3")"
        ;;
    esac
}

via_skopeo() {
    local archive="docker-archive:$WORK/closed.tar"
    case "$1" in
    login) skopeo login --cert-dir "$WORK/tls/certs" --username "$3" --password "$4" "$(secure_api "$2")" ;;
    push) skopeo --insecure-policy copy --dest-cert-dir "$WORK/tls/certs" "$archive" "docker://$(at "$2" "$3")" ;;
    pull)
        rm -rf "$WORK/skopeo-pulled"
        skopeo --insecure-policy copy --src-cert-dir "$WORK/tls/certs" "docker://$(at "$2" "$3")" "dir:$WORK/skopeo-pulled"
        ;;
    esac
}

# It believes any password until it needs it, and so do cosign and ctr.
via_crane() {
    case "$1" in
    login)
        crane_secure auth login "$(secure_api "$2")" --username "$3" --password "$4" &&
            crane_secure digest "$(at "$2" team/app:1)"
        ;;
    push) crane_secure push "$WORK/closed.tar" "$(at "$2" "$3")" ;;
    pull) crane_secure validate --remote "$(at "$2" "$3")" ;;
    esac
}

via_oras() {
    case "$1" in
    login) oras login --ca-file "$WORK/tls/ca.pem" --username "$3" --password "$4" "$(secure_api "$2")" ;;
    push) (cd "$WORK" && oras push --ca-file "$WORK/tls/ca.pem" "$(at "$2" "$3")" access.txt:text/plain) ;;
    pull) (cd "$WORK" && oras pull --ca-file "$WORK/tls/ca.pem" --output oras-pulled "$(at "$2" "$3")") ;;
    esac
}

via_regctl() {
    regctl registry set "$(secure_api "$2")" --cacert "$(cat "$WORK/tls/ca.pem")" --skip-check
    case "$1" in
    login) regctl registry login --user "$3" --pass "$4" "$(secure_api "$2")" ;;
    push) regctl image import "$(at "$2" "$3")" "$WORK/closed.tar" ;;
    pull) regctl image export "$(at "$2" "$3")" "$WORK/regctl-pulled.tar" ;;
    esac
}

via_ctr() {
    local by=(--tlscacert "$WORK/tls/ca.pem")
    [ ! -e "$CTR_USER_FILE" ] || by+=(--user "$(cat "$CTR_USER_FILE")")
    case "$1" in
    login)
        echo "$3:$4" >"$CTR_USER_FILE"
        via_ctr pull "$2" team/app:1 || {
            rm "$CTR_USER_FILE"
            return 1
        }
        ;;
    push)
        ctr_here images import --all-platforms "$WORK/closed.tar" &&
            ctr_here images tag --force "$(ctr_here images list --quiet | grep -x '.*/closed:latest')" "$(at "$2" "$3")" &&
            ctr_pushes "${by[@]}" "$(at "$2" "$3")"
        ;;
    pull) ctr_here images pull "${by[@]}" --snapshotter native "$(at "$2" "$3")" ;;
    esac
}

# Between ctr and containerd's content store a stream breaks off now and then (containerd's issue 5734): that, and nothing
# that a registry could have said, is tried again.
ctr_pushes() {
    local attempt log="$WORK/ctr-push.log"
    for attempt in 1 2 3; do
        ctr_here images push "$@" >"$log" 2>&1 && return
        cat "$log"
        grep 'rpc error: code = Internal desc = unexpected EOF' "$log" || return 1
        echo "note: ctr's own stream broke off, attempt $attempt"
    done
    return 1
}

# What it pushes and pulls are signatures.
via_cosign() {
    local image
    image="$(at "$2" "${3:-}")"
    case "$1" in
    login) cosign_secure login "$(secure_api "$2")" --username "$3" --password "$4" && via_cosign look "$2" team/app:1 ;;
    look) cosign_secure tree "$image" ;;
    push)
        crane_secure push "$WORK/closed.tar" "$image" &&
            cosign_secure sign --yes --key "$WORK/access.key" --tlog-upload=false --use-signing-config=false \
                "${image%:*}@$(crane_secure digest "$image")"
        ;;
    pull) cosign_secure verify --insecure-ignore-tlog=true --key "$WORK/access.pub" "$image" ;;
    esac
}

cosign_secure() { SSL_CERT_FILE="$WORK/tls/ca.pem" cosign_here "$@"; }
