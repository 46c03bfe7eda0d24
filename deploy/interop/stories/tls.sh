# The same cluster over TLS with a private CA. On loopback docker verifies nothing and crane speaks in the clear, so clients
# come to the bridge's address, from which HAProxy passes what they say on as it is.

story_tls() {
    story 'TLS with a private CA'
    step 'an image is saved as an archive' save_archive
    step 'a CA and a certificate are made' make_certificates
    step 'three nodes serve with it' start_secure_playground
    step 'HAProxy passes TLS on' start_passthrough
    step 'clients that do not know the CA refuse the nodes' tls_is_verified
    step 'docker pushes through node 1 and pulls through node 3' tls_docker
    step 'podman pushes through node 2 and pulls through node 1' tls_podman
    step 'skopeo copies from node 1 to node 3' tls_skopeo
    step 'crane reads all of it through every node' tls_crane
    step 'curl speaks both versions of TLS and of HTTP' tls_curl
    step 'who speaks in the clear is told so' tls_in_the_clear
    step 'roadstead asks for the status' tls_status
    step 'the certificate is renewed while crane pulls' tls_renewal
    step 'the cluster goes on in the clear' stop_secure_playground
}

bridge_host() { echo "${BRIDGE_ADDRESS%/*}"; }
secure_api() { echo "$(bridge_host):$(api_port "$1")"; }

make_certificates() {
    [ ! -e "$WORK/tls" ] || return 0
    "$ROADSTEAD" tls self-signed --host localhost --host "$(bridge_host)" --out "$WORK/tls"
    refused "$ROADSTEAD" tls self-signed --host localhost --out "$WORK/tls"
    mkdir "$WORK/tls/certs"
    cp "$WORK/tls/ca.pem" "$WORK/tls/certs/ca.crt"
}

start_secure_playground() {
    stop_playground
    export ROADSTEAD_TLS_CERTIFICATE="$WORK/tls/cert.pem" ROADSTEAD_TLS_KEY="$WORK/tls/key.pem"
    start_playground
}

# In front of this cluster, and of those with the base ports `$@`.
start_passthrough() {
    local base
    {
        printf 'defaults\n    mode tcp\n    timeout connect 2s\n    timeout client 1m\n    timeout server 1m\n'
        for base in "$BASE_PORT" "$@"; do
            BASE_PORT="$base" passthroughs
        done
    } >"$WORK/passthrough.cfg"
    haproxy -db -f "$WORK/passthrough.cfg" >"$WORK/passthrough.log" 2>&1 &
    echo $! >"$WORK/passthrough.pid"
    eventually 10 0.1 passes_on || {
        cat "$WORK/passthrough.log"
        return 1
    }
}

passthroughs() {
    local node
    for node in "${NODES[@]}"; do
        printf 'listen node-%s\n    bind %s\n    server node 127.0.0.1:%s\n' \
            "$(api_port "$node")" "$(secure_api "$node")" "$(api_port "$node")"
    done
}

passes_on() { (: <"/dev/tcp/$(bridge_host)/$(api_port 1)") 2>/dev/null; }

stop_passthrough() {
    local pid
    pid="$(cat "$WORK/passthrough.pid" 2>/dev/null)" || return 0
    rm "$WORK/passthrough.pid"
    kill "$pid" 2>/dev/null || return 0
    eventually 10 0.1 has_ended_or_is_zombie "$pid" || kill -KILL "$pid"
}

# Asks node $1 with curl, which takes the other arguments.
tls_get() {
    local node="$1"
    shift
    curl --silent --fail --max-time 5 --cacert "$WORK/tls/ca.pem" "$@" "https://$(secure_api "$node")/v2/"
}

crane_secure() { SSL_CERT_FILE="$WORK/tls/ca.pem" crane "$@"; }

# Docker looks nowhere else. The folders are named after an address and ports of this run.
docker_certs() { echo "/etc/docker/certs.d/$(secure_api "$1")"; }

trust_with_docker() {
    local node
    for node in "${NODES[@]}"; do
        as_root mkdir -p "$(docker_certs "$node")"
        as_root cp "$WORK/tls/ca.pem" "$(docker_certs "$node")/ca.crt"
    done
}

forget_docker_trust() {
    local node
    for node in "${NODES[@]}"; do
        as_root rm -rf --one-file-system "$(docker_certs "$node")"
    done
}

tls_is_verified() {
    local remote
    remote="$(secure_api 1)/tls/nothing:1"
    distrusts docker pull "$remote"
    distrusts podman_here pull "$remote"
    distrusts skopeo inspect "docker://$remote"
    distrusts crane digest "$remote"
}

# Succeeds when the command fails because of the CA, and for no other reason.
distrusts() {
    refused "$@" >"$WORK/distrust.log" 2>&1
    grep 'certificate signed by unknown authority' "$WORK/distrust.log"
}

tls_docker() {
    local digest
    trust_with_docker
    build_image secured 2 1024
    docker tag secured "$(secure_api 1)/tls/docker:1"
    docker push "$(secure_api 1)/tls/docker:1" | tee "$WORK/push.log"
    digest="$(sed -n 's/.*digest: \(sha256:[0-9a-f]*\).*/\1/p' "$WORK/push.log")"
    forget_local_images
    docker pull "$(secure_api 3)/tls/docker:1" | tee "$WORK/pull.log"
    expect_equal "$(sed -n 's/^Digest: //p' "$WORK/pull.log")" "$digest" 'digest of what was pulled'
}

tls_podman() {
    local image
    image="$(podman_here load --input "$WORK/archive.tar" | sed -n 's/^Loaded image[^:]*: *//p')"
    podman_here push --cert-dir "$WORK/tls/certs" --digestfile "$WORK/podman.digest" "$image" \
        "docker://$(secure_api 2)/tls/podman:1"
    podman_here rmi --force "$image"
    podman_here pull --cert-dir "$WORK/tls/certs" "$(secure_api 1)/tls/podman:1"
    expect_equal "$(podman_here image inspect --format '{{.Digest}}' "$(secure_api 1)/tls/podman:1")" \
        "$(cat "$WORK/podman.digest")" 'digest of what was pulled'
    podman_here rmi --all --force
}

tls_skopeo() {
    skopeo --insecure-policy copy --src-cert-dir "$WORK/tls/certs" --dest-cert-dir "$WORK/tls/certs" \
        "docker://$(secure_api 1)/tls/docker:1" "docker://$(secure_api 3)/tls/skopeo:1"
}

tls_crane() {
    local node image
    for node in "${NODES[@]}"; do
        for image in docker podman skopeo; do
            crane_secure validate --remote "$(secure_api "$node")/tls/$image:1"
        done
    done
}

tls_curl() {
    local tls http
    for tls in 1.2 1.3; do
        for http in 1.1 2; do
            expect_equal "$(tls_get 2 "--tlsv$tls" --tls-max "$tls" "--http$http" --output /dev/null \
                --write-out '%{http_version}')" "$http" "HTTP over TLS $tls"
        done
    done
    refused tls_get 2 --tls-max 1.1
}

tls_in_the_clear() {
    expect_equal "$(curl --silent --output "$WORK/clear.json" --write-out '%{http_code}' "http://$(secure_api 1)/v2/")" \
        400 status
    grep 'this port speaks TLS' "$WORK/clear.json"
}

tls_status() {
    "$ROADSTEAD" cluster status --server "https://$(secure_api 3)" --ca "$WORK/tls/ca.pem"
    refused "$ROADSTEAD" cluster status --server "https://$(secure_api 3)"
}

tls_renewal() {
    local before result=0
    before="$(shown_certificate)"
    crane_until_told &
    "$ROADSTEAD" tls self-signed --host localhost --host "$(bridge_host)" --ca "$WORK/tls" --out "$WORK/tls-next"
    mv "$WORK/tls-next/key.pem" "$WORK/tls-next/cert.pem" "$WORK/tls"
    eventually 30 0.2 certificate_is_another_than "$before" || result=1
    touch "$WORK/renewal.stop"
    wait "$!" || result=1
    return "$result"
}

shown_certificate() {
    openssl s_client -connect "$(secure_api 1)" </dev/null 2>/dev/null | openssl x509 -noout -serial
}

certificate_is_another_than() { [ "$(shown_certificate)" != "$1" ]; }

# One failure is one too many.
crane_until_told() {
    while [ ! -e "$WORK/renewal.stop" ]; do
        crane_secure validate --remote "$(secure_api 1)/tls/docker:1" || return 1
    done
}

stop_secure_playground() {
    forget_docker_trust
    stop_passthrough
    stop_playground
}
