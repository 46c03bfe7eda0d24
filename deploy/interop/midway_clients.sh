# How each client pushes $WORK/midway.tar to $1, or the image that was loaded from it, how it pulls $1 again, and what it
# then says that it has.

docker_push_midway() {
    docker tag midway "$1"
    docker push "$1"
}
docker_pull_midway() { docker pull "$1"; }
docker_has_it() { midway_digest_is docker "$(sed -n 's/^Digest: //p' "$WORK/midway.log")"; }

podman_push_midway() {
    local image
    image="$(podman_here load --input "$WORK/midway.tar" | sed -n 's/^Loaded image[^:]*: *//p')"
    podman_here push --tls-verify=false "$image" "docker://$1"
    podman_here rmi --all --force
}
podman_pull_midway() { podman_here pull --tls-verify=false "$1"; }
podman_has_it() {
    midway_digest_is podman "$(podman_here image inspect --format '{{.Digest}}' "$(midway_remote podman)")"
    podman_here rmi --all --force
}

skopeo_push_midway() { skopeo copy --dest-tls-verify=false "docker-archive:$WORK/midway.tar" "docker://$1"; }
skopeo_pull_midway() {
    rm -rf "$WORK/midway.pulled"
    skopeo copy --src-tls-verify=false "docker://$1" "dir:$WORK/midway.pulled"
}
skopeo_has_it() { midway_digest_is skopeo "sha256:$(sha256sum "$WORK/midway.pulled/manifest.json" | cut -d ' ' -f 1)"; }

crane_push_midway() { crane push --insecure "$WORK/midway.tar" "$1"; }
crane_pull_midway() {
    rm -rf "$WORK/midway.pulled"
    crane pull --insecure --format oci "$1" "$WORK/midway.pulled"
}
crane_has_it() { midway_digest_is crane "$(jq --raw-output '.manifests[0].digest' "$WORK/midway.pulled/index.json")"; }

buildah_push_midway() {
    local image
    image="$(buildah_here pull "docker-archive:$WORK/midway.tar")"
    buildah_here push --tls-verify=false "$image" "docker://$1"
    buildah_here rmi --all --force
}
buildah_pull_midway() { buildah_here pull --tls-verify=false "$1"; }
buildah_has_it() {
    midway_digest_is buildah \
        "$(buildah_here inspect --type image "$(midway_remote buildah)" | jq --raw-output .FromImageDigest)"
    buildah_here rmi --all --force
}

ctr_push_midway() {
    ctr_here images import "$WORK/midway.tar"
    ctr_here images tag --force docker.io/library/midway:latest "$1"
    ctr_here images push --plain-http "$1"
    ctr_forgets
}
ctr_pull_midway() { ctr_here images pull --plain-http --snapshotter native "$1"; }
ctr_has_it() {
    midway_digest_is ctr "$(ctr_digest "$(midway_remote ctr)")"
    ctr_forgets
}
# shellcheck disable=SC2046 # One image a word.
ctr_forgets() { ctr_here images remove --sync $(ctr_here images list --quiet); }

oras_push_midway() {
    cd "$WORK"
    oras push --plain-http "$1" midway.tar
}
oras_pull_midway() {
    rm -rf "$WORK/midway.pulled"
    oras pull --plain-http --output "$WORK/midway.pulled" "$1"
}
oras_has_it() { midway_digest_is oras "$(sed -n 's/^Digest: //p' "$WORK/midway.log")"; }

regctl_midway() { regctl --host "reg=localhost:$(proxy_port),tls=disabled" image "$@"; }
regctl_push_midway() { regctl_midway import "$1" "$WORK/midway.tar"; }
regctl_pull_midway() { regctl_midway export "$1" "$WORK/midway.pulled"; }
regctl_has_it() {
    midway_digest_is regctl \
        "$(tar --extract --to-stdout --file "$WORK/midway.pulled" index.json | jq --raw-output '.manifests[0].digest')"
}

midway_prepare_small() {
    cosign_here generate-key-pair --output-key-prefix "$WORK/midway"
    build_image midway-signed 1 64
    docker_push midway-signed 1 midway/cosign:1
    cd "$WORK"
    helm create midway-chart
    helm package midway-chart --version 1.2.3
}

cosign_push_midway() {
    cosign_here sign --yes --key "$WORK/midway.key" --tlog-upload=false --use-signing-config=false --allow-http-registry \
        "${1%:*}@$(ledger_digest midway/cosign:1)"
}
cosign_is_at() {
    cosign_here verify --insecure-ignore-tlog=true --allow-http-registry --key "$WORK/midway.pub" "$1/midway/cosign:1"
}

helm_push_midway() { helm push --plain-http "$WORK/midway-chart-1.2.3.tgz" "oci://${1%/*}"; }
helm_is_at() { helm show chart --plain-http "oci://$1/midway/midway-chart" --version 1.2.3 | grep -x 'version: 1.2.3'; }
