# BitTorrent: a tracker, a seed and a downloader, over TCP, uTP and with DHT.

# torrent NAME: made-up content, its .torrent with the lab's tracker, and the seed's and the
# downloader's folders.
torrent() {
    mkdir seed client
    head -c 60000 /dev/urandom >seed/film.bin
    "$python" "$here/torrent.py" make seed/film.bin film.torrent "$1"
}

record_bittorrent_utp() {
    torrent http://tracker.lab.example:6969/announce
    start 1 server "$python" "$here/torrent.py" track 203.0.113.20 6969
    start 3 peer "$python" "$here/torrent.py" peer seed film.torrent 10.91.0.2 utp
    record '' in_client "$python" "$here/torrent.py" fetch client film.torrent 10.90.0.2 utp
    made_by '' 'libtorrent' 'BitTorrent: tracker over HTTP, peers over uTP'
}

record_bittorrent_tcp() {
    torrent udp://tracker.lab.example:6969
    start 1 server "$python" "$here/torrent.py" track 203.0.113.20 6969
    start 3 peer "$python" "$here/torrent.py" peer seed film.torrent 10.91.0.2 tcp
    record '' in_client "$python" "$here/torrent.py" fetch client film.torrent 10.90.0.2 tcp
    made_by '' 'libtorrent' 'BitTorrent: tracker over UDP, peers over TCP'
}

record_bittorrent_encrypted() {
    torrent http://tracker.lab.example:6969/announce
    start 1 server "$python" "$here/torrent.py" track 203.0.113.20 6969
    start 3 peer "$python" "$here/torrent.py" peer seed film.torrent 10.91.0.2 encrypted
    record '' in_client "$python" "$here/torrent.py" fetch client film.torrent 10.90.0.2 encrypted
    made_by '' 'libtorrent' 'BitTorrent: message stream encryption, which hides the protocol: the peer is not named'
}

record_bittorrent_dht() {
    torrent ''
    start 3 peer "$python" "$here/torrent.py" peer seed film.torrent 10.91.0.2 dht
    record '' in_client "$python" "$here/torrent.py" fetch client film.torrent 10.90.0.2 dht
    made_by '' 'libtorrent' 'BitTorrent: DHT, and a peer over TCP'
}

record_aria2() {
    needs aria2c transmission-daemon
    torrent http://tracker.lab.example:6969/announce
    start 1 server "$python" "$here/torrent.py" track 203.0.113.20 6969
    mkdir settings
    cp film.torrent settings/
    cat >settings/settings.json <<END
{ "download-dir": "$work/seed", "rpc-enabled": true, "rpc-bind-address": "127.0.0.1", "rpc-whitelist-enabled": false, "dht-enabled": false, "lpd-enabled": false,
  "pex-enabled": false, "port-forwarding-enabled": false, "utp-enabled": false, "encryption": 0, "bind-address-ipv4": "10.91.0.2", "peer-port": 51413 }
END
    start 2 peer transmission-daemon -f -g "$work/settings"
    in_peer transmission-remote 127.0.0.1:9091 -a film.torrent -w "$work/seed" >/dev/null
    sleep 3
    record '' in_client timeout 25 aria2c --no-conf --dir="$work/client" --seed-time=0 --enable-dht=false --enable-dht6=false \
        --bt-enable-lpd=false --disable-ipv6=true --bt-require-crypto=false --async-dns=false film.torrent
    made_by 'aria2 transmission-daemon' '' 'BitTorrent: aria2 from Transmission, tracker over HTTP; the peers encrypt their handshake and are not named'
}
