# Virtual private networks: WireGuard, OpenVPN, IKE.

record_wireguard() {
    needs wireguard-go wg
    local side
    for side in client server; do
        wg genkey >$side.key
        wg pubkey <$side.key >$side.pub
        start 1 $side env WG_PROCESS_FOREGROUND=1 wireguard-go wg-$side
    done
    in_server wg set wg-server private-key server.key listen-port 51820 peer "$(cat client.pub)" allowed-ips 10.99.0.2/32
    in_client wg set wg-client private-key client.key peer "$(cat server.pub)" allowed-ips 10.99.0.1/32 endpoint 203.0.113.23:51820
    ip -n $server address add 10.99.0.1/24 dev wg-server
    ip -n $client address add 10.99.0.2/24 dev wg-client
    ip -n $server link set wg-server up
    ip -n $client link set wg-client up
    record '' in_client ping -q -c 4 -i 0.3 10.99.0.1
    made_by 'wireguard-go wireguard-tools' '' 'WireGuard: handshake and data'
}

# openvpn_pair NAME OPTION...: a tunnel with certificates, some pings inside.
openvpn_pair() {
    needs openvpn
    certificates vpn-server vpn-client
    openvpn --genkey secret tls.key
    local common="--dev tun --ca $work/ca.pem --dh none --verb 3 --ping 5"
    start 3 server openvpn $common --local 203.0.113.23 --port 1194 --tls-server --cert "$work/vpn-server.pem" \
        --key "$work/vpn-server.key" --ifconfig 10.98.0.1 10.98.0.2 "$@" $server_options
    start 0 client openvpn $common --remote 203.0.113.23 1194 --nobind --tls-client --cert "$work/vpn-client.pem" \
        --key "$work/vpn-client.key" --ifconfig 10.98.0.2 10.98.0.1 "$@" $client_options
    sleep 5
    in_client ping -q -c 4 -i 0.3 10.98.0.1
}

record_openvpn() {
    server_options='--proto udp' client_options='--proto udp'
    record '' openvpn_pair
    made_by 'openvpn' '' 'OpenVPN over UDP: handshake with certificates, data'
}

record_openvpn_tcp() {
    server_options='--proto tcp-server' client_options='--proto tcp-client'
    record '' openvpn_pair --tls-auth "$work/tls.key"
    made_by 'openvpn' '' 'OpenVPN over TCP with tls-auth'
}

record_openvpn_tls_crypt() {
    server_options='--proto udp' client_options='--proto udp'
    record '' openvpn_pair --tls-crypt "$work/tls.key"
    made_by 'openvpn' '' 'OpenVPN over UDP with tls-crypt'
}

# ike_side SIDE OWN-ADDRESS OTHER-ADDRESS
ike_side() {
    mkdir -p "$1/swanctl"
    cat >"$1/strongswan.conf" <<END
charon-systemd { }
charon {
    load_modular = no
    load = aes sha1 sha2 gmp curve25519 hmac kdf random nonce kernel-netlink socket-default updown vici
    plugins {
        vici {
            socket = unix://$work/$1/vici
        }
    }
    filelog { $1 { path = $work/$1/log
        default = 1 } }
}
swanctl { socket = unix://$work/$1/vici }
END
    cat >"$1/swanctl/swanctl.conf" <<END
connections { lab {
    version = 2
    local_addrs = $2
    remote_addrs = $3
    encap = yes
    childless = force
    local { auth = psk
        id = $2 }
    remote { auth = psk
        id = $3 }
} }
secrets { ike-lab { secret = "a secret of the lab" } }
END
    start 3 "$1" env STRONGSWAN_CONF="$work/$1/strongswan.conf" "$(command -v charon-systemd || echo /usr/sbin/charon-systemd)"
    in_$1 env STRONGSWAN_CONF="$work/$1/strongswan.conf" SWANCTL_DIR="$work/$1/swanctl" swanctl --load-all --uri "unix://$work/$1/vici" >>"$work/log" 2>&1
}

ike_association() {
    needs swanctl
    ike_side server 203.0.113.23 10.90.0.2
    ike_side client 10.90.0.2 203.0.113.23
    talk() {
        in_client swanctl --initiate --ike lab --uri "unix://$work/client/vici"
        sleep 1
        in_client swanctl --terminate --ike lab --uri "unix://$work/client/vici"
    }
    record '' talk
}

record_ike() {
    ike_association
    made_by 'charon-systemd' '' 'IKEv2: from port 500 to port 4500, no ESP'
}
