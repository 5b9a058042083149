#!/bin/sh
# Installs the programs that tests run: on real interfaces nginx, curl, Prometheus, tcpdump, ip; the collectors
# nfdump and pmacct; mergecap and capinfos; what lends terminals and rights; DuckDB and pyarrow, which read Parquet,
# in target/python; and the types of Grafana's dashboards, with a compiler for them, in target/grafana.
# Tests that miss one are skipped and say so; so is all that needs root.
set -eu

# ip and the servers are there, though not in everybody's PATH.
PATH="$PATH:/usr/sbin:/sbin"

missing=
need() { # program, Debian package
    command -v "$1" >/dev/null 2>&1 || case " $missing " in
        *" $2 "*) ;;
        *) missing="$missing $2" ;;
    esac
}
look() {
    missing=
    need capinfos wireshark-common
    need curl curl
    need ip iproute2
    need mergecap wireshark-common
    need nfcapd nfdump
    need nginx nginx
    need nfacctd pmacct
    need prometheus prometheus
    need promtool prometheus
    need python3 python3
    need script bsdutils
    need setcap libcap2-bin
    need setpriv util-linux
    need systemd-analyze systemd
    need tcpdump tcpdump
    missing="${missing# }"
}
by_hand() {
    echo "setup-tests: tests will be skipped for want of: $missing. On Debian and Ubuntu:" >&2
    echo "    sudo apt-get install -y --no-install-recommends $missing" >&2
    exit 1
}

readers() {
    folder=$(dirname "$0")/../target/python
    "$folder/bin/python3" -c 'import duckdb, pyarrow' 2>/dev/null && return
    { python3 -m venv "$folder" && "$folder/bin/pip" install -q duckdb pyarrow; } >/dev/null 2>&1 ||
        echo "setup-tests: DuckDB and pyarrow cannot be installed in $folder: their tests are skipped" >&2
}

# The one has all but what Prometheus is asked, which is in the other.
types() {
    folder=$(dirname "$0")/../target/grafana
    [ -x "$folder/node_modules/.bin/tsc" ] && [ -d "$folder/node_modules/grafana-schema-10" ] && return
    npm install --silent --no-audit --no-fund --prefix "$folder" typescript@7.0.2 \
        @grafana/schema@13.2.3 grafana-schema-10@npm:@grafana/schema@10.0.4 >/dev/null 2>&1 ||
        echo "setup-tests: Grafana's types cannot be installed in $folder (npm): their test is skipped" >&2
}

readers
types
look
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || by_hand

# The tests start their own servers: what is installed here should not run beside them.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
echo "setup-tests: installing $missing" >&2
log=$(mktemp)
# shellcheck disable=SC2086 # a list of packages
if ! { apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } \
    >"$log" 2>&1 </dev/null; then
    tail -n 5 "$log" >&2
fi
rm -f "$log"
look
[ -z "$missing" ] || by_hand
