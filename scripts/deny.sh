#!/bin/sh
# Holds dependencies to deny.toml, if cargo-deny is installed. The database of advisories is on the
# network: where that cannot be reached, the rest is checked all the same.
set -eu

if ! cargo deny --version >/dev/null 2>&1; then
    echo "deny: SKIPPED: cargo-deny is not installed (cargo install --locked cargo-deny)" >&2
    exit 0
fi
checks="bans licenses sources"
if cargo deny fetch db >/dev/null 2>&1; then
    checks="$checks advisories"
else
    echo "deny: the database of advisories cannot be reached: they are not checked" >&2
fi
# shellcheck disable=SC2086 # a list of checks
exec cargo deny check $checks
