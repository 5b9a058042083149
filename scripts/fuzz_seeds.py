#!/usr/bin/env python3
"""Writes small seeds for the fuzz targets.

    scripts/fuzz_seeds.py CORPUS [CAPTURE...]

CORPUS    the folder the targets' corpora are in: fuzz/corpus
CAPTURE   pcap files to cut into seeds; default: the project's own, pcaps/*.pcap

A seed is a capture, the frames of one, a conversation, a message that teaches or a signature file,
each in the form its target reads (see the head of each target). A file's name is the hash of its
content, so that running this again adds nothing.
"""

import hashlib
import pathlib
import re
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINKS = [
    1, 101, 0, 9, 50, 51, 12, 14, 104, 105, 108, 113, 119, 127, 163, 192, 228, 229, 276,
    6, 8, 10, 100, 107, 109, 117, 122, 123, 128, 138, 143, 149, 166, 178, 179, 180, 181, 197,
    204, 205, 206, 219, 226, 239, 240, 241, 242, 247, 258, 274, 281, 282, 284, 285,
]
MOST_CAPTURE = 48 << 10
MOST_CONVERSATION = 6 << 10
MOST_MESSAGES = 16
MOST_SIGNATURE = 3 << 10


def frames(capture):
    """Link type and (time in seconds, frame) of a classic pcap file."""
    if len(capture) < 24:
        return 0, []
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<"}.get(capture[:4])
    order = order or {b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}.get(capture[:4])
    if not order:
        return 0, []
    link = struct.unpack_from(order + "I", capture, 20)[0] & 0xFFFF
    at, found = 24, []
    while at + 16 <= len(capture):
        seconds, _, captured, _ = struct.unpack_from(order + "4I", capture, at)
        found.append((seconds, capture[at + 16 : at + 16 + captured]))
        at += 16 + captured
    return link, found


def payload(link, frame):
    """(protocol, source, destination, flags, sequence, payload) of plain TCP and UDP over IP."""
    if link == 1:
        kind, at = struct.unpack_from("!H", frame, 12)[0], 14
        while kind in (0x8100, 0x88A8):
            kind, at = struct.unpack_from("!H", frame, at + 2)[0], at + 4
        if kind not in (0x0800, 0x86DD):
            return None
        packet = frame[at:]
    elif link in (12, 101, 228, 229):
        packet = frame
    else:
        return None
    if packet[0] >> 4 == 4:
        if struct.unpack_from("!H", packet, 6)[0] & 0x3FFF:
            return None
        protocol, body = packet[9], packet[(packet[0] & 15) * 4 : struct.unpack_from("!H", packet, 2)[0]]
        ends = packet[12:16], packet[16:20]
    else:
        protocol, body = packet[6], packet[40 : 40 + struct.unpack_from("!H", packet, 4)[0]]
        ends = packet[8:24], packet[24:40]
    if protocol not in (6, 17):
        return None
    ports = struct.unpack_from("!2H", body)
    source, destination = (ends[0], ports[0]), (ends[1], ports[1])
    if protocol == 17:
        return protocol, source, destination, 0, 0, body[8:]
    sequence = struct.unpack_from("!I", body, 4)[0]
    return protocol, source, destination, body[13], sequence, body[(body[12] >> 4) * 4 :]


def conversations(link, listed):
    """(protocol, client's port, server's port, [(is the server's, message)]) of each flow."""
    flows = {}
    for _, frame in listed:
        try:
            read = payload(link, frame)
        except (struct.error, IndexError):
            continue
        if not read:
            continue
        protocol, source, destination, flags, sequence, message = read
        key = (protocol, *sorted((source, destination)))
        flow = flows.setdefault(key, {"client": source, "server": destination, "messages": [], "seen": set()})
        if flags & 0x12 == 0x12 and not flow["messages"]:
            flow["client"], flow["server"] = destination, source
        again = protocol == 6 and (source, sequence) in flow["seen"]
        flow["seen"].add((source, sequence if message else None))
        if message and not again:
            flow["messages"].append((source == flow["server"], message))
    for (protocol, *_), flow in flows.items():
        yield protocol, flow["client"][1], flow["server"][1], flow["messages"]


def dissectors():
    """Name and transports of each row of DISSECTORS, in order."""
    text = (ROOT / "src/dissect/mod.rs").read_text()
    return re.findall(r'^    row\("([^"]+)", Over::(\w+),', text, re.M)


class Corpus:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.count = 0

    def add(self, target, seed):
        folder = self.folder / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
        self.count += 1


def add_conversation(corpus, rows, conversation):
    protocol, client_port, server_port, messages = conversation
    seed = bytes([protocol == 17]) + struct.pack("!2H", client_port, server_port)
    for is_server, message in messages[:MOST_MESSAGES]:
        message = message[: max(0, MOST_CONVERSATION - len(seed))]
        seed += struct.pack("!H", is_server << 15 | len(message)) + message
    if not messages:
        return
    for place, (name, over) in enumerate(rows):
        if over in ("TcpAndUdp", "Udp" if protocol == 17 else "Tcp"):
            corpus.add(f"dissect_{name}", seed)
            corpus.add("dissect", bytes([place]) + seed)
    for port, lesson in {53: b"\0", 5353: b"\0", 3478: b"\2", 5060: b"\3"}.items():
        if port in (client_port, server_port):
            for _, message in messages[:4]:
                corpus.add("teach", (b"\1" if port == 53 and protocol == 6 else lesson) + message)


def add_frames(corpus, link, listed):
    if link not in LINKS:
        return
    seed, before = bytes([0xF8, LINKS.index(link)]), None
    for seconds, frame in listed:
        step = min(255, max(0, seconds - (before or seconds)) * 4)
        before = seconds
        seed += struct.pack("!BBH", 0, step, len(frame)) + frame
        if len(seed) > MOST_CONVERSATION:
            break
    corpus.add("decode", seed)


def main():
    corpus = Corpus(sys.argv[1])
    captures = [pathlib.Path(name) for name in sys.argv[2:]] or sorted((ROOT / "pcaps").glob("*.pcap"))
    rows = dissectors()
    for path in captures:
        capture = path.read_bytes()
        link, listed = frames(capture)
        if len(capture) <= MOST_CAPTURE:
            corpus.add("capture_file", b"\0" + capture)
            corpus.add("pipeline", b"\x3d" + capture)
        add_frames(corpus, link, listed)
        for conversation in conversations(link, listed):
            add_conversation(corpus, rows, conversation)
    for path in sorted((ROOT / "signatures").glob("*/*.toml")):
        text = path.read_bytes()
        if len(text) <= MOST_SIGNATURE:
            corpus.add("signatures", text)
    print(f"{corpus.count} seeds of {len(captures)} captures and the signature files")


if __name__ == "__main__":
    main()
