"""BitTorrent for peers.sh: a torrent, a tracker, a seed, a downloader (the last two with libtorrent).

torrent.py make FILE TORRENT TRACKER
torrent.py track ADDRESS PORT                    over HTTP (BEP 3, BEP 23) and UDP (BEP 15)
torrent.py peer|fetch FOLDER TORRENT ADDRESS tcp|utp|dht|encrypted
"""

import hashlib
import os
import socket
import struct
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer

PIECE = 16384
PORT = 51413
DHT_NODES = ("10.91.0.2", "10.90.0.2")


def bencoded(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, dict):
        return b"d" + b"".join(bencoded(key) + bencoded(value[key]) for key in sorted(value)) + b"e"
    return b"l" + b"".join(map(bencoded, value)) + b"e"


def make(file, torrent, tracker):
    with open(file, "rb") as content:
        data = content.read()
    pieces = b"".join(hashlib.sha1(data[at : at + PIECE]).digest() for at in range(0, len(data), PIECE))
    meta = {"info": {"name": os.path.basename(file), "length": len(data), "piece length": PIECE, "pieces": pieces}}
    if tracker:
        meta["announce"] = tracker
    with open(torrent, "wb") as out:
        out.write(bencoded(meta))


def track(address, port):
    peers = set()

    def compact(without):
        return b"".join(socket.inet_aton(ip) + struct.pack(">H", port) for ip, port in peers if ip != without)

    class Http(BaseHTTPRequestHandler):
        def do_GET(self):
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query, encoding="latin-1")
            ip = self.client_address[0]
            peers.add((ip, int(query["port"][0])))
            body = bencoded({"interval": 1800, "complete": 1, "incomplete": 1, "peers": compact(ip)})
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def udp():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
            opened.bind((address, int(port)))
            while True:
                data, sender = opened.recvfrom(2000)
                if len(data) < 16:
                    continue
                action, transaction = struct.unpack(">II", data[8:16])
                if action == 0:
                    opened.sendto(struct.pack(">IIQ", 0, transaction, 0x1122334455667788), sender)
                elif action == 1 and len(data) >= 98:
                    peers.add((sender[0], struct.unpack(">H", data[96:98])[0]))
                    answer = struct.pack(">IIIII", 1, transaction, 1800, 1, 1) + compact(sender[0])
                    opened.sendto(answer, sender)

    threading.Thread(target=udp, daemon=True).start()
    HTTPServer((address, int(port)), Http).serve_forever()


def session(address, how):
    import libtorrent

    names = libtorrent.enc_policy
    return libtorrent.session(
        {
            "listen_interfaces": f"{address}:{PORT}",
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_dht": how == "dht",
            "dht_bootstrap_nodes": ",".join(f"{ip}:{PORT}" for ip in DHT_NODES if ip != address) if how == "dht" else "",
            "dht_restrict_routing_ips": False,
            "dht_restrict_search_ips": False,
            "dht_ignore_dark_internet": False,
            "enable_incoming_utp": how == "utp",
            "enable_outgoing_utp": how == "utp",
            "enable_incoming_tcp": how != "utp",
            "enable_outgoing_tcp": how != "utp",
            "in_enc_policy": int(names.forced if how == "encrypted" else names.disabled),
            "out_enc_policy": int(names.forced if how == "encrypted" else names.disabled),
            "allow_multiple_connections_per_ip": True,
        }
    )


def added(running, folder, torrent):
    import libtorrent

    parameters = libtorrent.add_torrent_params()
    parameters.ti = libtorrent.torrent_info(torrent)
    parameters.save_path = folder
    return running.add_torrent(parameters)


def peer(folder, torrent, address, how):
    running = session(address, how)
    handle = added(running, folder, torrent)
    while True:
        time.sleep(1)
        if how == "dht":
            handle.force_dht_announce()


def fetch(folder, torrent, address, how):
    running = session(address, how)
    handle = added(running, folder, torrent)
    for second in range(20):
        if handle.status().is_seeding:
            time.sleep(1)
            return
        if how == "dht":
            handle.force_dht_announce()
            if second == 8:
                # A DHT of two tells of no peers.
                handle.connect_peer((DHT_NODES[0], PORT))
        time.sleep(1)
    sys.exit("nothing came")


if __name__ == "__main__":
    {"make": make, "track": track, "peer": peer, "fetch": fetch}[sys.argv[1]](*sys.argv[2:])
