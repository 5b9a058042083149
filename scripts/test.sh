#!/bin/sh
# Runs all tests, then says how many could not do their work here, and why.
#
#   scripts/test.sh [ARGUMENT of cargo test ...]
#
# With REFUSE_SKIPS=1 in the environment, as in .ci/run, a test that is skipped and not listed in
# tests/skips.txt is a failure. What says so is tests/support/skips.rs.
set -eu
cd "$(dirname "$0")/.."

notes=$(mktemp)
trap 'rm -f "$notes" "$notes.sorted"' EXIT
trap 'exit 1' HUP INT TERM

status=0
# The signatures are packed into the binary that tests start: build.rs says why.
OTTOMETER_EMBED_SIGNATURES=1 OTTOMETER_SKIPS=$notes ${CARGO:-cargo} test --locked "$@" || status=$?

# One that lacks something in several places is one.
sort -u "$notes" >"$notes.sorted"
awk -F '\t' '
    !($2 in seen) { seen[$2]; tests++ }
    { count[$1]++; names[$1] = names[$1] " " $2 }
    END {
        if (!tests) { print "tests skipped: none"; exit }
        print "tests skipped: " tests
        for (why in count) print "  " count[why] " because: " why ":" names[why]
        print "make setup-tests installs programs that tests run; those on real interfaces need root."
    }' "$notes.sorted"

if [ "${REFUSE_SKIPS:-0}" = 1 ]; then
    awk -F '\t' '
        FNR == NR { if ($0 !~ /^(#|$)/) { split($0, row, " "); listed[row[1]] } next }
        !($2 in listed) { print "refused: " $2 " was skipped: " $1 "; not in tests/skips.txt"; refused = 1 }
        END { exit refused }' tests/skips.txt "$notes.sorted" >&2 || [ "$status" != 0 ] || status=1
fi
exit "$status"
