#!/usr/bin/env python3
"""CPU time a packet of captures that are costly to read, beside an ordinary one, in one run.

    scripts/bench_hostile.py --bin target/release/ottometer --ordinary MIX.pcap COSTLY.pcap... [--runs 5]

Prints, for each capture, the median nanoseconds a packet of `ottometer read --quiet` on one worker, less what an
empty capture takes (the start of the program), and how many times that of the ordinary capture it is. The runs of all
captures alternate, so that what else the machine does strikes them alike.
"""
import argparse
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile

MAGIC = {0xA1B2C3D4: "<", 0xA1B23C4D: "<", 0xD4C3B2A1: ">", 0x4D3CB2A1: ">"}


def packets(path):
    """How many records a pcap file holds."""
    count = 0
    with open(path, "rb") as capture:
        (magic,) = struct.unpack("<I", capture.read(24)[:4])
        if magic not in MAGIC:
            sys.exit(f"{path}: not a pcap file")
        length = struct.Struct(MAGIC[magic] + "8xI4x")
        while len(header := capture.read(16)) == 16:
            capture.seek(length.unpack(header)[0], os.SEEK_CUR)
            count += 1
    return count


def cpu_seconds(binary, path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([binary, "read", path, "--quiet"], check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--ordinary", required=True, metavar="MIX.pcap")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("captures", nargs="+", metavar="COSTLY.pcap")
    args = parser.parse_args()

    with tempfile.NamedTemporaryFile(suffix=".pcap") as empty:
        empty.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        empty.flush()
        paths = [empty.name, args.ordinary, *args.captures]
        times = {path: [] for path in paths}
        for _ in range(args.runs):
            for path in paths:
                times[path].append(cpu_seconds(args.bin, path))
    start = statistics.median(times[empty.name])

    def cost(path):
        return max(statistics.median(times[path]) - start, 0) / packets(path) * 1e9

    ordinary = cost(args.ordinary)
    print(f"{'capture':28} {'ns a packet':>12} {'times':>7}")
    for path in paths[1:]:
        each = cost(path)
        print(f"{os.path.basename(path):28} {each:12.0f} {each / ordinary:7.1f}")


main()
