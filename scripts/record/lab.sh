# The lab: namespaces joined by veth pairs, made-up DNS and certificates, the recorder.
#
#   client 10.90.0.2 -- server 203.0.113.x (router) -- peer 10.91.0.2
#
# The capture is what passes the client's interface. Servers have documentation addresses, the client
# and its peer private ones. No packet leaves the namespaces.

# Names that DNS and certificates of the lab know, and the last octet of their addresses.
lab_names='
www.youtube.com 10
web.whatsapp.com 11
chat.signal.org 12
www.libon.com 12
www.bilibili.com 13
i0.hdslb.com 13
open.spotify.com 14
discord.com 15
gateway.discord.gg 15
api.telegram.org 16
imap.gmail.com 17
smtp.gmail.com 17
github.com 18
tracker.lab.example 20
chat.lab.example 21
turn.lab.example 22
'
server_addresses='10 11 12 13 14 15 16 17 18 20 21 22 23 53'

# in_lab NAME: a fresh lab, then record_NAME in it.
in_lab() {
    set -eu
    capture=$1
    client=ottometer-client-$BASHPID
    server=ottometer-server-$BASHPID
    peer=ottometer-peer-$BASHPID
    work=$(mktemp -d)
    trap leave_lab EXIT
    trap 'exit 1' INT TERM
    make_lab
    cd "$work"
    echo "== $capture"
    "record_${capture//-/_}"
}

leave_lab() {
    exec 2>/dev/null # The shell tells of each program it ends.
    local netns pid
    for netns in $client $server $peer; do
        for pid in $(ip netns pids $netns 2>/dev/null); do
            kill -9 "$pid" 2>/dev/null || true
        done
        ip netns del $netns 2>/dev/null || true
        rm -rf /etc/netns/$netns
    done
    rm -rf "$work"
}

make_lab() {
    for netns in $client $server $peer; do
        ip netns add $netns
        ip netns exec $netns sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 \
            net.ipv4.ip_forward=1 net.ipv4.ping_group_range="0 2147483647"
        ip -n $netns link set lo up
        # Names are looked up in the lab's DNS, never in this machine's hosts file.
        mkdir -p /etc/netns/$netns
        echo 'nameserver 203.0.113.53' >/etc/netns/$netns/resolv.conf
        printf '127.0.0.1 localhost lab\n' >/etc/netns/$netns/hosts
    done
    ip -n $client link add veth0 address 02:00:00:90:00:02 type veth peer name veth0 address 02:00:00:90:00:01 netns $server
    ip -n $peer link add veth0 address 02:00:00:91:00:02 type veth peer name veth1 address 02:00:00:91:00:01 netns $server
    for link in $client/veth0 $server/veth0 $server/veth1 $peer/veth0; do
        # Frames as a wire would carry them: whole checksums, no segments above the MTU.
        ip netns exec ${link%/*} ethtool -K ${link#*/} tx off rx off tso off gso off gro off >/dev/null
        ip -n ${link%/*} link set ${link#*/} up
    done
    ip -n $client address add 10.90.0.2/24 dev veth0
    ip -n $client route add default via 10.90.0.1 src 10.90.0.2
    ip -n $peer address add 10.91.0.2/24 dev veth0
    ip -n $peer route add default via 10.91.0.1 src 10.91.0.2
    ip -n $server address add 10.90.0.1/24 dev veth0
    ip -n $server address add 10.91.0.1/24 dev veth1
    for last in $server_addresses; do ip -n $server address add 203.0.113.$last/32 dev lo; done
    hosts=()
    local host last
    while read -r host last; do
        [ -n "$host" ] && hosts+=("--address=/$host/203.0.113.$last")
    done <<<"$lab_names"
    start 0 server dnsmasq --keep-in-foreground --no-resolv --no-hosts --no-daemon --listen-address=203.0.113.53 \
        --bind-interfaces --conf-file=/dev/null --user=root "${hosts[@]}"
}

# IPv6 is there only where it is asked for: programs look up more names when they have it. No
# link-local addresses and no duplicate detection, so that only what programs send is on the wire.
with_ipv6() {
    for link in $client/veth0/2 $server/veth0/1; do
        netns=${link%%/*}
        ip netns exec $netns sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.veth0.disable_ipv6=1
        ip -n $netns link set veth0 addrgenmode none
        ip netns exec $netns sysctl -qw net.ipv6.conf.veth0.disable_ipv6=0
        ip -n $netns address add 2001:db8:90::${link##*/}/64 dev veth0 nodad
    done
    ip -n $server address add 2001:db8:113::10/128 dev lo nodad
    ip -n $client route add 2001:db8:113::/64 via 2001:db8:90::1
}

in_client() { exec_in $client "$@"; }
in_server() { exec_in $server "$@"; }
in_peer() { exec_in $peer "$@"; }

# The host name is the lab's, for programs tell it to each other. All that is between the
# namespace and the program becomes the program.
exec_in() {
    local netns=$1
    shift
    ip netns exec "$netns" unshare --uts sh -c 'hostname lab; exec "$@"' sh "$@"
}

# start SECONDS client|server|peer COMMAND...: in the background, with time to open its sockets;
# `$!` is the program.
start() {
    local wait=$1 netns=${!2}
    shift 2
    ip netns exec "$netns" unshare --uts sh -c 'hostname lab; exec "$@"' sh "$@" >>"$work/log" 2>&1 &
    sleep "$wait"
}

# certificates NAME...: a test authority (ca.pem), and a certificate and key for each name.
certificates() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=Test CA' \
        -keyout ca.key -out ca.pem 2>/dev/null
    local name
    for name in "$@"; do
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
            -keyout "$name.key" -out "$name.csr" 2>/dev/null
        printf 'subjectAltName=DNS:%s\n' "$name" >extensions
        openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
            -extfile extensions -out "$name.pem" 2>/dev/null
    done
}

# record FILTER COMMAND...: what passes the client's interface while COMMAND runs, as
# FOLDER/recorded-NAME.pcap. FILTER is added to that which leaves out the chatter of the link.
record() {
    local filter=$1 file="$folder/recorded-$capture.pcap" dumper
    shift
    ip netns exec $client tcpdump -Z root -q -i veth0 -s 0 -U -w "$work/capture" \
        "not arp and not icmp6${filter:+ and ($filter)}" 2>/dev/null &
    dumper=$!
    sleep 1
    "$@" >"$work/output" 2>&1 || { tail -n 20 "$work/output" "$work/log" >&2; echo "$capture: failed: $*" >&2; return 1; }
    sleep 1
    kill $dumper
    wait $dumper || true
    mv "$work/capture" "$file"
    chmod 644 "$file"
    echo "$(stat -c %s "$file") octets: $file"
}

# made_by 'DEBIAN-PACKAGE...' 'PYPI-PACKAGE...|python' 'What it shows': the capture's row in README.md.
made_by() {
    local package version versions=
    for package in $1; do
        version=$(dpkg-query -W -f '${Version}' "$package" | sed -E 's/^[0-9]+://; s/-[^-]*$//; s/[+~]dfsg.*//')
        versions="${versions:+$versions, }$package $version"
    done
    for package in $2; do
        if [ "$package" = python ]; then
            version=$("$python" -c 'import platform; print(platform.python_version())')
        else
            version=$("$python" -c 'import sys, importlib.metadata as m; print(m.version(sys.argv[1]), "(PyPI)")' "$package")
        fi
        versions="${versions:+$versions, }$package $version"
    done
    "$python" "$here/row.py" "$folder/README.md" "recorded-$capture.pcap" "recorded: $versions" "$3"
}

# needs COMMAND...: stops this capture where a program is missing.
needs() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || { echo "$capture: left out, there is no $program"; exit 0; }
    done
}
