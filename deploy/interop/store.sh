# The S3 store of a run with `--storage s3`: MinIO in a folder of this run.

storage=disk
arguments=()

# Takes `--storage disk|s3` from the front of a run's arguments; what is left is in `arguments`.
take_storage() {
    while [[ ${1:-} == -* ]]; do
        case "$1 ${2:-}" in
        '--storage disk' | '--storage s3') storage="$2" ;;
        *)
            echo "unknown argument: $1 ${2:-}; the only option is --storage disk or --storage s3" >&2
            exit 2
            ;;
        esac
        shift 2
    done
    arguments=("$@")
}

# Starts MinIO, on port $1 when there is one.
start_store() {
    "$REPOSITORY/tools/s3-server" minio "$WORK/s3" "$@" >>"$WORK/s3.log" 2>&1 &
    echo $! >"$WORK/s3.pid"
    eventually 60 0.1 store_is_ready || {
        tail -n 20 "$WORK/s3.log"
        return 1
    }
}

store_is_ready() {
    [ -e "$WORK/s3/env" ] || return 1
    curl --silent --fail --max-time 2 --output /dev/null "http://127.0.0.1:$(store_port)/minio/health/ready"
}

store_port() {
    local endpoint
    endpoint="$(. "$WORK/s3/env" && echo "$ROADSTEAD_STORAGE_ENDPOINT")"
    echo "${endpoint##*:}"
}

# Ends it as a power cut would.
kill_store() {
    local pid
    pid="$(cat "$WORK/s3.pid")"
    kill -KILL "$pid"
    eventually 10 0.02 has_ended_or_is_zombie "$pid"
}

# From here on every playground keeps its blobs there. Not a part of a step, which could not set variables.
use_store() {
    # shellcheck source=/dev/null
    [ ! -e "$WORK/s3/env" ] || . "$WORK/s3/env"
}

# A run that kept its blobs elsewhere would have shown nothing about S3.
store_has_blobs() { [ "$(find "$WORK/s3/data/roadstead" -mindepth 2 -type f | head -n 1 | wc -l)" -eq 1 ]; }

stop_store() {
    local pid
    pid="$(cat "$WORK/s3.pid" 2>/dev/null)" || return 0
    rm "$WORK/s3.pid"
    kill "$pid" 2>/dev/null || return 0
    eventually 10 0.1 has_ended_or_is_zombie "$pid" || kill -KILL "$pid"
}
