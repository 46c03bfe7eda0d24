# Images to push and pull, and the ledger of those that a registry has acknowledged.
#
# The ledger is a file of lines `REPOSITORY:TAG DIGEST`: whatever stands in it must pull, from every node, for ever.

LEDGER="$WORK/ledger"
: >"$LEDGER"

# Builds the image $1 FROM scratch, of $2 layers of random bytes of $3 KiB each. Scratch needs no base image and random
# bytes cannot be compressed or be there already.
build_image() {
    local context layer
    context="$(mktemp -d "$WORK/context.XXXX")"
    echo 'FROM scratch' >"$context/Dockerfile"
    for ((layer = 1; layer <= $2; layer++)); do
        head -c "$(($3 * 1024))" /dev/urandom >"$context/layer-$layer"
        echo "COPY layer-$layer /" >>"$context/Dockerfile"
    done
    DOCKER_BUILDKIT=0 docker build --quiet --tag "$1" "$context"
    rm -rf "$context"
}

# Pushes the local image $1 to node $2 as $3 with docker and enters it in the ledger.
docker_push() {
    local remote digest
    remote="$(api "$2")/$3"
    docker tag "$1" "$remote"
    docker push "$remote" | tee "$WORK/push.log.$2"
    digest="$(sed -n 's/.*digest: \(sha256:[0-9a-f]*\).*/\1/p' "$WORK/push.log.$2")"
    docker rmi "$remote"
    acknowledged "$3" "$digest"
}

# Pulls $2 from node $1 with docker, of which nothing is left on this side before, and compares the digest with $3.
docker_pull() {
    local remote
    remote="$(api "$1")/$2"
    docker pull "$remote" | tee "$WORK/pull.log"
    grep -q "^Digest: $3\$" "$WORK/pull.log" || {
        echo "node $1 serves $2 with another digest than $3"
        return 1
    }
    docker rmi "$remote"
}

# Removes every image of the engine, so that the next pull transfers all of it.
forget_local_images() { docker image prune --all --force >/dev/null; }

acknowledged() { echo "$1 $2" >>"$LEDGER"; }

ledger_digest() { awk -v image="$1" '$1 == image { digest = $2 } END { print digest }' "$LEDGER"; }

# Pulls every image of the ledger from each of the nodes `$@` with docker.
ledger_pulls_with_docker() {
    local node image digest
    forget_local_images
    for node in "$@"; do
        while read -r image digest; do
            docker_pull "$node" "$image" "$digest"
        done <"$LEDGER"
    done
}

# Reads every image of the ledger $1 from each of the other arguments' nodes with crane, which checks the digest of each
# layer's bytes.
ledger_reads_with_crane() {
    local ledger="$1" node image digest
    shift
    for node in "$@"; do
        while read -r image digest; do
            expect_equal "$(crane digest --insecure "$(api "$node")/$image")" "$digest" \
                "node $node, digest of $image"
            crane validate --insecure --remote "$(api "$node")/$image"
        done <"$ledger"
    done
}

# Pushes one small image after the other through node $2 until the file $1.stop is there, and enters those that the node
# acknowledged in the ledger $1.$2.
push_until_told() {
    local count=0 image reference folder="$WORK/$1-content.$2"
    mkdir "$folder"
    while [ ! -e "$WORK/$1.stop" ]; do
        count=$((count + 1))
        image="$1/node-$2:$count"
        head -c 65536 /dev/urandom >"$folder/random"
        tar --create --file "$folder/layer.tar" --directory "$folder" random
        if reference="$(timeout 20 crane append --insecure --new_layer "$folder/layer.tar" --new_tag "$(api "$2")/$image")"; then
            echo "$image ${reference##*@}" >>"$WORK/$1.$2"
        fi
    done
}
