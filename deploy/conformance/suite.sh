# The suite itself, and what counts as a pass.

# Runs the suite against registry $2, which serves the cluster called $1.
suite() {
    step 'the conformance suite passes, nothing of it skipped or disabled' run_suite "$1" "$2"
}

run_suite() {
    local folder="$WORK/suite-$1" variable not_passed
    mkdir "$folder"
    cd "$folder"
    for variable in "${!OCI_@}"; do
        unset "$variable"
    done
    # Every switch that is off by default, also in the version under development.
    export OCI_VERSION=dev
    export OCI_API_BLOBS_DIGEST_HEADER=true OCI_API_MANIFESTS_DIGEST_HEADER=true
    export OCI_API_BLOBS_UPLOAD_CANCEL=true OCI_API_MANIFESTS_TAG_PARAM=true
    export OCI_DATA_SPARSE=true
    export OCI_REGISTRY="$2" OCI_TLS=disabled OCI_RESULTS_DIR="$folder/results"
    if [ -n "${SUITE_USER:-}" ]; then
        export OCI_USERNAME="$SUITE_USER" OCI_PASSWORD
        OCI_PASSWORD="$(cat "$WORK/conformance.key")"
    fi
    oci-distribution-conformance >"$folder/output" 2>"$folder/log" || true
    [ -z "$RESULTS" ] || cp -r "$folder/results" "$RESULTS/$1"

    count "$folder/output" >"$folder/counts"
    read -r passed failed skipped disabled <"$folder/counts"
    echo "note: $passed tests passed, $failed failed, $skipped were skipped, $disabled disabled"
    not_passed=$((failed + skipped + disabled))
    [ "$passed" -gt 0 ] && [ "$not_passed" -eq 0 ] && return
    cat "$folder/log"
    grep --after-context 3 --extended-regexp ': (FAIL|Error|Skip|Disabled)$' "$folder/output"
    return 1
}

# Prints how many tests passed, failed, were skipped and were disabled, from the summary in the suite's output $1.
count() {
    awk '
        /^OCI Conformance Result: / { in_summary = 1 }
        in_summary && /^  (Pass|FAIL|Error|Skip|Disabled)\.+: +[0-9]+$/ {
            name = $1
            sub(/\.+:$/, "", name)
            count[name] = $2
        }
        END { print count["Pass"] + 0, count["FAIL"] + count["Error"], count["Skip"] + 0, count["Disabled"] + 0 }
    ' "$1"
}

# Adds the tests of all suites that ran to the steps of this run. What the suite left out has not passed either.
add_suites() {
    local counts passed failed skipped disabled
    for counts in "$WORK"/suite-*/counts; do
        [ -e "$counts" ] || continue
        read -r passed failed skipped disabled <"$counts"
        steps_passed=$((steps_passed + passed))
        steps_failed=$((steps_failed + failed + skipped + disabled))
    done
}
