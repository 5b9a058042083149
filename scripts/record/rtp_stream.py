"""Writes a capture with one RTP stream for sipp to send: rtp_stream.py FILE PAYLOAD-TYPE PACKETS."""

import struct
import sys

file, payload_type, packets = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with open(file, "wb") as out:
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    for number in range(packets):
        # A sawtooth in A-law.
        sound = bytes((number * 7 + at) % 97 ^ 0x55 for at in range(160))
        rtp = struct.pack(">BBHII", 0x80, payload_type, 1000 + number, 4000 + 160 * number, 0x5EED1234) + sound
        udp = struct.pack(">HHHH", 6000, 6000, 8 + len(rtp), 0) + rtp
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), number, 0, 64, 17, 0, b"\n\0\0\1", b"\n\0\0\2") + udp
        frame = b"\2\0\0\0\0\2\2\0\0\0\0\1\x08\0" + ip
        out.write(struct.pack("<IIII", number // 50, number % 50 * 20000, len(frame), len(frame)) + frame)
