# Runs the steps of a story, times them and counts them.
#
# A step is a function that runs in its own `set -e` shell: the first command that fails, fails the step. What follows a
# failed step in the same story is skipped, as it would only fail for the same reason.

steps_passed=0
steps_failed=0
steps_skipped=0
story_failed=false

# Begins a story.
story() {
    story_failed=false
    printf '\n%s\n' "$1"
}

# Runs `$2...` as the step called $1. Its output is shown when it fails; lines that begin with "note: " always are.
step() {
    local name="$1" log="$WORK/step.log" started ended status
    shift
    if "$story_failed"; then
        steps_skipped=$((steps_skipped + 1))
        printf '  %-7s %6s    %s\n' skipped '' "$name"
        return
    fi
    started="$(now_ms)"
    # Not `if (...)`: bash would ignore `set -e` in there.
    set +e
    (
        set -e
        "$@"
    ) >"$log" 2>&1 </dev/null
    status=$?
    set -e
    ended="$(now_ms)"
    if [ "$status" -eq 0 ]; then
        steps_passed=$((steps_passed + 1))
        printf '  %-7s %s s  %s\n' ok "$(seconds $((ended - started)))" "$name"
    else
        steps_failed=$((steps_failed + 1))
        story_failed=true
        printf '  %-7s %s s  %s\n' FAILED "$(seconds $((ended - started)))" "$name"
        sed 's/^/      | /' "$log" | tail -n 60
    fi
    sed -n 's/^note: /                      /p' "$log"
}

# Prints the last line of a run, and fails unless every step passed.
summary() {
    printf '\n%d passed, %d failed' "$steps_passed" "$steps_failed"
    [ "$steps_skipped" -eq 0 ] || printf ', %d skipped' "$steps_skipped"
    printf '\n'
    [ "$steps_failed" -eq 0 ]
}

now_ms() { date +%s%3N; }

# Milliseconds as seconds, aligned.
seconds() { printf '%4d.%d' $(($1 / 1000)) $(($1 % 1000 / 100)); }

# Repeats `$3...` every $2 seconds until it succeeds, for at most $1 seconds.
eventually() {
    local limit="$1" pause="$2" deadline
    deadline=$(($(now_ms) + limit * 1000))
    shift 2
    until "$@"; do
        if [ "$(now_ms)" -ge "$deadline" ]; then
            echo "not within $limit s: $*" >&2
            return 1
        fi
        sleep "$pause"
    done
}

# Fails with a sentence unless $1 and $2 are equal; $3 says what they are. Nothing is never what was expected.
expect_equal() {
    [ -n "$2" ] && [ "$1" = "$2" ] && return
    echo "$3: expected $2, got $1" >&2
    return 1
}

# Succeeds when the command fails.
refused() {
    ! "$@"
}

# Fails when a process is left that works in this run's folder or was started with it as an argument.
nothing_is_left() {
    local process left=''
    for process in /proc/[0-9]*; do
        [ "${process#/proc/}" = "$$" ] && continue
        if tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -qF -- "$WORK"; then
            left+="$(tr '\0' ' ' <"$process/cmdline")"$'\n'
        fi
    done
    expect_equal "left: $left" 'left: ' processes
}
