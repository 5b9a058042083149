#!/usr/bin/env bash
# Lets the live run stand at full size what tests/live_soak.rs tries in short, and prints figures:
# reloads under traffic, kills at random moments, a flood of new flows.
#
#   scripts/soak.sh [ROUNDS]
#
# ROUNDS   how often all of it is done; default: once, which takes about 20 minutes
#
# OTTOMETER_SOAK_RELOADS, OTTOMETER_SOAK_KILLS and OTTOMETER_SOAK_SECONDS (of the flood) say how
# much is done in a round; default: 1000, 200 and 600. Needs root, for network namespaces.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-1}
export OTTOMETER_SOAK_RELOADS=${OTTOMETER_SOAK_RELOADS:-1000}
export OTTOMETER_SOAK_KILLS=${OTTOMETER_SOAK_KILLS:-200}
export OTTOMETER_SOAK_SECONDS=${OTTOMETER_SOAK_SECONDS:-600}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
for ((round = 1; round <= rounds; round++)); do
    # One after the other: each wants the machine.
    cargo test --locked --profile quick --test tests -- \
        live_soak --nocapture --test-threads 1 >"$log" 2>&1 || {
        cat "$log" >&2
        exit 1
    }
    if grep -q 'SKIPPED' "$log"; then
        grep -m 1 'SKIPPED' "$log" >&2
        exit 1
    fi
    sed -n "s/^.*soak: /soak round $round: /p" "$log"
done
