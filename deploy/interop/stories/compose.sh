# The cluster of deploy/compose, in containers of the image that deploy/Dockerfile describes.

COMPOSE_PROJECT=roadstead-interop
COMPOSE_IMAGE=roadstead:latest

story_compose() {
    story 'Compose'
    step 'the base image is there' "$REPOSITORY/deploy/base-images" runtime
    step 'the image is built around this program' build_image_around_program
    step 'three containers become healthy' start_compose
    step 'the log has the password of the administrator, who logs in everywhere' compose_login
    step 'docker pushes through the first' compose_push
    step 'docker pulls through the third, same digest' compose_pull
    step 'one container dies; docker pushes and pulls through the others' compose_survives
    step 'it is taken down, and comes up again with all it had' compose_comes_again
    step 'it is taken down with its volumes' stop_compose
}

# Builds all of the image but its compiler stage, and puts the program from this machine where that stage would. The two
# fit while both are of one Debian release; elsewhere the whole image is built, which takes long.
build_image_around_program() {
    local context="$WORK/image"
    if [ "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" != bookworm ]; then
        "$REPOSITORY/deploy/build-image" --network host
        return
    fi
    mkdir "$context"
    strip --strip-debug -o "$context/roadstead" "$ROADSTEAD"
    DOCKER_BUILDKIT=0 docker build --network none --target runtime --tag roadstead:runtime \
        --file "$REPOSITORY/deploy/Dockerfile" "$context"
    printf 'FROM roadstead:runtime\nCOPY roadstead /usr/local/bin/\n' >"$context/Dockerfile"
    DOCKER_BUILDKIT=0 docker build --network none --tag "$COMPOSE_IMAGE" "$context"
}

compose() {
    local command=(docker-compose)
    if docker compose version >/dev/null 2>&1; then command=(docker compose); fi
    ROADSTEAD_IMAGE="$COMPOSE_IMAGE" ROADSTEAD_PORT_1="$(api_port 1)" ROADSTEAD_PORT_2="$(api_port 2)" \
        ROADSTEAD_PORT_3="$(api_port 3)" \
        "${command[@]}" --project-name "$COMPOSE_PROJECT" --file "$REPOSITORY/deploy/compose/compose.yaml" "$@"
}

# The containers publish the ports that the playground had.
start_compose() {
    stop_playground
    touch "$WORK/compose.up"
    { compose up --detach --no-build && eventually 120 1 compose_is_healthy; } || {
        compose ps
        compose logs --tail 20
        return 1
    }
}

compose_is_healthy() {
    local node
    for node in "${NODES[@]}"; do
        [ "$(docker inspect --format '{{.State.Health.Status}}' "$(compose ps --quiet "node-$node")")" = healthy ] ||
            return 1
    done
}

compose_login() {
    local node password
    password="$(compose logs --no-color | tr -d '\r' | sed -n "s/.*The administrator of this registry is 'admin', and the password: //p")"
    [ -n "$password" ]
    (umask 077 && printf 'machine localhost login admin password %s\n' "$password" >"$HOME/.netrc")
    for node in 1 2 3; do
        docker login --username admin --password-stdin "$(api "$node")" <<<"$password"
    done
}

compose_push() {
    build_image composed 3 1024
    docker_push composed 1 compose/app:1
    docker rmi composed
}

compose_pull() { docker_pull 3 compose/app:1 "$(ledger_digest compose/app:1)"; }

compose_survives() {
    docker kill --signal KILL "$(compose ps --quiet node-1)"
    eventually 10 0.2 push_with_curl 2 compose/failover 1
    build_image composed 2 1024
    docker_push composed 2 compose/app:2
    docker rmi composed
    docker_pull 3 compose/app:1 "$(ledger_digest compose/app:1)"
    docker_pull 3 compose/app:2 "$(ledger_digest compose/app:2)"
}

# From the volumes alone, with no node that another waits for.
compose_comes_again() {
    compose down --timeout 10
    compose up --detach --no-build
    eventually 120 1 compose_is_healthy
    docker_pull 3 compose/app:1 "$(ledger_digest compose/app:1)"
    build_image composed 2 1024
    docker_push composed 1 compose/app:3
    docker rmi composed
}

stop_compose() {
    [ -e "$WORK/compose.up" ] || return 0
    compose down --volumes --timeout 10
    rm -f "$WORK/compose.up" "$HOME/.netrc"
    expect_equal "left: $(docker volume ls --quiet)$(docker ps --all --quiet)" 'left: ' 'containers and volumes'
}
