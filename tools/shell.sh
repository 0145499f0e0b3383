# shellcheck shell=bash
# Shared by ./dev and tools/*.sh: messages, progress, retries. Sourced, not run.

say() { printf '%s\n' "$*" >&2; }
die() { say "dev: $*"; exit 1; }

log=/dev/null

# Runs a command with its output in $log. On a terminal a running clock, else one line at the end.
# The command is in the foreground, so that Ctrl-C reaches it; the clock is not.
step() {  # title command...
  local title="$1" start=$SECONDS clock="" rc=0; shift
  if [[ -t 2 ]]; then
    while kill -0 $$ 2>/dev/null; do
      printf '\r  %s … %d s' "$title" $((SECONDS - start)) >&2; sleep 0.5
    done &
    clock=$!
  fi
  ( "$@" ) >>"$log" 2>&1 </dev/null || rc=$?
  if [[ -n $clock ]]; then
    kill "$clock"; wait "$clock" 2>/dev/null || true
    printf '\r\033[K' >&2
  fi
  if ((rc == 0)); then say "  $title: $((SECONDS - start)) s"
  elif [[ ${step_may_fail:-} != 1 ]]; then say "  $title: FAILED after $((SECONDS - start)) s"; fi
  return "$rc"
}
try_step() { step_may_fail=1 step "$@"; }  # says nothing when it fails: the caller has another way

# Up to n attempts with growing pauses.
retry() {  # n command...
  local n="$1" i; shift
  for ((i = 1; i <= n; i++)); do
    "$@" && return 0
    ((i < n)) && sleep $((i * 2))
  done
  return 1
}
