#!/usr/bin/env bash
# Runs fuzz targets one after the other, stops at the first finding, and prints what was done.
#
#   scripts/fuzz.sh SECONDS [TARGET...]
#
# SECONDS   for each target
# TARGET    which ones; default: all of fuzz/Cargo.toml, in its order
#
# Corpora are kept in fuzz/corpus/TARGET and begin with seeds cut from the project's own captures,
# signature files and unit tests. Needs cargo-fuzz; see fuzz/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?usage: scripts/fuzz.sh SECONDS [TARGET...]}
shift

command -v cargo-fuzz >/dev/null 2>&1 || {
    echo "fuzz: needs cargo-fuzz: cargo install cargo-fuzz" >&2
    exit 1
}
# A sanitizer needs flags that a stable compiler takes only when told so.
rustc --version | grep -q nightly || export RUSTC_BOOTSTRAP=1
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | grep -v '^ottometer-fuzz$')
fi

if [ -z "${FUZZ_NO_SEEDS:-}" ]; then
    ! command -v python3 >/dev/null 2>&1 || scripts/fuzz_seeds.py fuzz/corpus
    OTTOMETER_FUZZ_SEEDS=$PWD/fuzz/corpus cargo test --quiet --lib withstands_mutations >/dev/null
fi
cargo fuzz build

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
table=$logs/table
findings=0
printf '%-22s %12s %8s %9s\n' target runs corpus findings >"$table"
for target in "${targets[@]}"; do
    options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=3072 -print_final_stats=1)
    [ ! -e "fuzz/$target.dict" ] || options+=(-dict="fuzz/$target.dict")
    case $target in
    dissect* | decode) options+=(-max_len=20000) ;;
    esac
    log=$logs/$target
    echo "fuzz: $target, $seconds s" >&2
    found=0
    cargo fuzz run "$target" -- "${options[@]}" >"$log" 2>&1 || found=1
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    corpus=$(grep -o 'corp: [0-9]*' "$log" | tail -1 | cut -d' ' -f2 || true)
    printf '%-22s %12s %8s %9s\n' "$target" "${runs:--}" "${corpus:--}" "$found" >>"$table"
    if [ $found -ne 0 ]; then
        findings=1
        tail -n 60 "$log" >&2
        break
    fi
done
cat "$table"
exit $findings
