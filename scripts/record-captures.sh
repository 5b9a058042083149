#!/bin/sh
# Records the captures of pcaps/ that come from real programs: scripts/record-captures.sh [FOLDER].
#
# Client and server are two network namespaces joined by a veth pair; no packet leaves them. Needs
# root, iproute2, ethtool, tcpdump, nginx, curl, openssl, dnsmasq, chromium, openssh, mosquitto, and a
# Python with aioquic (named by PYTHON). Prints the versions, one line a program.
set -eu

folder=$(realpath "${1:-pcaps}")
here=$(realpath "$(dirname "$0")")
python=${PYTHON:-python3}
work=$(mktemp -d)
client=ottometer-client
server=ottometer-server

finish() {
    for pid in $(ip netns pids $client 2>/dev/null) $(ip netns pids $server 2>/dev/null); do
        kill "$pid" 2>/dev/null || true
    done
    ip netns del $client 2>/dev/null || true
    ip netns del $server 2>/dev/null || true
    rm -rf "$work" /etc/netns/$client
}
trap finish EXIT
trap 'exit 1' INT TERM

# In the background `ip` is started directly, so that `$!` is the program itself.
in_client() { ip netns exec $client "$@"; }

# Servers have documentation addresses, the client a private one.
ip netns add $client
ip netns add $server
ip -n $client link add veth0 type veth peer name veth0 netns $server
for netns in $client $server; do
    ip -n $netns link set lo up
    ip -n $netns link set veth0 up
    # Frames as a wire would carry them: whole checksums, no segments above the MTU.
    ip netns exec $netns ethtool -K veth0 tx off rx off tso off gso off gro off >/dev/null
    ip netns exec $netns sysctl -qw net.ipv6.conf.all.disable_ipv6=1
done
ip -n $client address add 10.90.0.2/24 dev veth0
ip -n $client route add 203.0.113.0/24 dev veth0 src 10.90.0.2
for last in 10 11 12 53; do ip -n $server address add 203.0.113.$last/32 dev veth0; done
ip -n $server route add 10.90.0.0/24 dev veth0
mkdir -p /etc/netns/$client
echo 'nameserver 203.0.113.53' >/etc/netns/$client/resolv.conf

# A certificate authority, and a certificate for each name.
names='www.youtube.com web.whatsapp.com chat.signal.org www.libon.com'
cd "$work"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=Test CA' \
    -keyout ca.key -out ca.pem 2>/dev/null
for name in $names; do
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
        -keyout "$name.key" -out "$name.csr" 2>/dev/null
    printf 'subjectAltName=DNS:%s\n' "$name" >extensions
    openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
        -extfile extensions -out "$name.pem" 2>/dev/null
done

mkdir www
head -c 20000 /dev/zero | tr '\0' 'x' >www/file
echo '<html><body><img src="/file"></body></html>' >www/index.html
block() {
    printf 'server { listen %s:443 ssl http2%s; listen %s:80%s; server_name %s; root %s/www; ssl_certificate %s/%s.pem; ssl_certificate_key %s/%s.key; }\n' \
        "$1" "$3" "$1" "$3" "$2" "$work" "$work" "$2" "$work" "$2"
}
{
    echo "daemon off; pid $work/nginx.pid; error_log $work/nginx.log; user root; events {}"
    echo "http { access_log off; client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5; ssl_protocols TLSv1.2 TLSv1.3;"
    block 203.0.113.10 www.youtube.com ' default_server'
    block 203.0.113.11 web.whatsapp.com ' default_server'
    block 203.0.113.12 chat.signal.org ' default_server'
    block 203.0.113.12 www.libon.com ''
    echo '}'
} >nginx.conf
ip netns exec $server nginx -c "$work/nginx.conf" -p "$work" 2>/dev/null &
ip netns exec $server dnsmasq --keep-in-foreground --no-resolv --no-hosts --no-daemon --listen-address=203.0.113.53 \
    --bind-interfaces --conf-file=/dev/null --user=root \
    --address=/www.youtube.com/203.0.113.10 --address=/web.whatsapp.com/203.0.113.11 \
    --address=/chat.signal.org/203.0.113.12 --address=/www.libon.com/203.0.113.12 >/dev/null 2>&1 &
sleep 1

# record NAME COMMAND...: what COMMAND in the client's namespace sends and gets.
record() {
    file="$folder/recorded-$1.pcap"
    shift
    ip netns exec $client tcpdump -Z root -q -i veth0 -s 0 -U -w "$file" 'ip and not icmp' 2>/dev/null &
    dumper=$!
    sleep 1
    "$@" >"$work/output" 2>&1 || { cat "$work/output" >&2; echo "$file: failed: $*" >&2; }
    sleep 1
    kill $dumper
    wait $dumper || true
}

get() { in_client curl -sS --cacert ca.pem -o /dev/null "$@"; }

http() { get http://www.youtube.com/file && get -r 0-99 http://web.whatsapp.com/file; }
tls13() { get --http2 https://www.youtube.com/file; }
tls12() {
    get --tls-max 1.2 --http1.1 https://web.whatsapp.com/file
    # Without a name in its ClientHello; www.libon.com and chat.signal.org share their address.
    for address in 203.0.113.11 203.0.113.12; do
        printf 'GET / HTTP/1.0\r\n\r\n' | in_client timeout 5 openssl s_client -quiet -no_ign_eof -tls1_2 \
            -noservername -connect $address:443
    done
    true
}
# TLS 1.3 hides the certificate: what the client asked DNS for is all there is.
tls13_nameless() {
    in_client curl -sS -k -o /dev/null https://chat.signal.org/file
    in_client "$python" -c 'import socket, ssl; c = ssl.create_default_context(); c.check_hostname = False
c.verify_mode = ssl.CERT_NONE
s = c.wrap_socket(socket.create_connection(("www.youtube.com", 443)))
s.sendall(b"GET /file HTTP/1.0\r\n\r\n")
while s.recv(4096): pass'
}
dtls() {
    ip netns exec $server sh -c 'sleep 4 | timeout 4 openssl s_server -dtls1_2 -quiet -accept 203.0.113.12:4433 -cert chat.signal.org.pem -key chat.signal.org.key' &
    sleep 1
    (sleep 1; echo hello; sleep 1) | in_client timeout 3 openssl s_client -dtls1_2 -connect 203.0.113.12:4433 -servername chat.signal.org -quiet || true
    wait $! || true
}
http3() {
    ip netns exec $server "$python" "$here/http3.py" server 203.0.113.10 443 www.youtube.com.pem www.youtube.com.key &
    running=$!
    sleep 2
    in_client "$python" "$here/http3.py" client 203.0.113.10 443 www.youtube.com ca.pem
    kill $running
}
browse() {
    in_client timeout 30 chromium --headless --no-sandbox --disable-gpu --ignore-certificate-errors \
        --user-data-dir="$work/chromium" --disable-background-networking --disable-component-update \
        --disable-sync --disable-default-apps --no-first-run --disable-quic --no-pings \
        --disable-features=OptimizationHints,MediaRouter --dump-dom https://web.whatsapp.com/
}
shell() {
    ssh-keygen -q -t ed25519 -N '' -f host
    ssh-keygen -q -t ed25519 -N '' -f user
    chmod 700 "$work"
    printf 'HostKey %s/host\nAuthorizedKeysFile %s/user.pub\nPidFile none\nStrictModes no\nPermitRootLogin yes\nListenAddress 203.0.113.10\n' \
        "$work" "$work" >sshd.conf
    mkdir -p /run/sshd
    ip netns exec $server "$(command -v sshd)" -D -f "$work/sshd.conf" &
    running=$!
    sleep 1
    in_client ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i user root@203.0.113.10 'head -c 5000 /dev/zero'
    kill $running
}
queue() {
    printf 'listener 1883 203.0.113.10\nallow_anonymous true\n' >mosquitto.conf
    ip netns exec $server mosquitto -c mosquitto.conf &
    running=$!
    sleep 1
    ip netns exec $client timeout 5 mosquitto_sub -h 203.0.113.10 -t 'room/#' -C 1 -i reader &
    reader=$!
    sleep 1
    in_client mosquitto_pub -h 203.0.113.10 -t room/temperature -m 21.5 -i sensor -V mqttv5
    wait $reader
    kill $running
}

record http http
record tls13 tls13
record tls12 tls12
record tls13-nameless tls13_nameless
record dtls dtls
record http3 http3
record chromium browse
record ssh shell
record mqtt queue

nginx -v 2>&1
curl --version | sed -n 1p
openssl version
tcpdump --version 2>&1 | sed -n 1p
dnsmasq --version | sed -n 1p
chromium --version 2>/dev/null
ssh -V 2>&1
mosquitto -h | sed -n 1p
"$python" -c 'import aioquic, platform; print("Python", platform.python_version(), "aioquic", aioquic.__version__)'
