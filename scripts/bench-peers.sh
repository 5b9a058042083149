#!/usr/bin/env bash
# Compares ottometer with Debian's nDPI on two large captures, in one run, and prints the ratios.
#
#   scripts/bench-peers.sh DATA [WORKLOAD]
#
# DATA      where mix.pcap and elephant.pcap are, or are built
# WORKLOAD  a folder with `make.sh` (builds the two captures) and `ndpilib.c` (the yardstick: the
#           library behind a plain flow table); default ../shared/workload
#
# Every figure is of the whole process: median of RUNS (5) runs taken in turn, warm file, output
# discarded. Memory is the peak of anonymous memory for programs that map the file, of all memory else.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 workload=${2:-../shared/workload} runs=${RUNS:-5}
bin=$PWD/target/release/ottometer

missing=()
for pair in editcap:wireshark-common ndpiReader:libndpi-bin python3:python3 cc:gcc; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair##*:}")
done
[ -e /usr/include/ndpi/ndpi_api.h ] || missing+=(libndpi-dev)
if [ ${#missing[@]} -gt 0 ]; then
    echo "bench-peers: needs: apt-get install ${missing[*]}" >&2
    exit 1
fi
mkdir -p "$data"
if [ ! -e "$data/mix.pcap" ] || [ ! -e "$data/elephant.pcap" ]; then
    [ -x "$workload/make.sh" ] || {
        echo "bench-peers: $data holds no mix.pcap and elephant.pcap, and $workload/make.sh is not there to build them" >&2
        exit 1
    }
    "$workload/make.sh" "$data"
fi
if [ ! -x "$data/ndpilib" ]; then
    cc -O2 -o "$data/ndpilib" "$workload/ndpilib.c" -lndpi
fi
exec python3 scripts/bench_peers.py --bin "$bin" --data "$data" --runs "$runs"
