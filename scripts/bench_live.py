#!/usr/bin/env python3
"""Compares frames lost by `ottometer live` and by `tcpdump -w /dev/null` on the same interface.

    sudo scripts/bench_live.py [--bin target/release/ottometer] [--capture FILE...] [--seconds 5]

Joins two network namespaces by a veth pair, replays captures through it with tcpreplay at rising
rates until tcpdump begins to drop, then measures both at that rate (and at half and at full
speed), one after the other, several times. Needs root, tcpdump and tcpreplay; changes nothing
outside its own namespaces.
"""
import argparse
import glob
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time

import mirror
from mirror import MIRROR, OUT, RECEIVER, SENDER, inside

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
# Senders at a time, where one as fast as it goes is too slow for tcpdump to drop anything.
MOST_SENDERS = 4


def replay(captures, rate, seconds):
    """Sends for about so long; how many frames went out, and at what rate. A negative `rate` is
    as fast as it goes, from so many senders."""
    command = inside(SENDER, "tcpreplay", "-q", "-K", "-i", OUT, "--loop=100000000",
                     f"--duration={seconds}")
    command += ["--topspeed"] if rate < 0 else [f"--pps={rate}"]
    senders = [
        subprocess.Popen(command + captures, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(max(1, -rate))
    ]
    sent, speed = 0, 0.0
    for sender in senders:
        text, _ = sender.communicate()
        packets = re.search(r"Actual: (\d+) packets", text)
        pps = re.search(r"([\d.]+) pps", text)
        if not packets or not pps:
            sys.exit(f"tcpreplay: {text}")
        sent += int(packets.group(1))
        speed += float(pps.group(1))
    return sent, speed


def tcpdump(captures, rate, seconds):
    """Frames sent, rate, frames dropped."""
    process = subprocess.Popen(
        inside(RECEIVER, "tcpdump", "-n", "-i", MIRROR, "-w", "/dev/null"),
        stderr=subprocess.PIPE, text=True)
    time.sleep(1)
    sent, pps = replay(captures, rate, seconds)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=30)
    dropped = int(re.search(r"(\d+) packets? dropped by kernel", text).group(1))
    captured = int(re.search(r"(\d+) packets? captured", text).group(1))
    return sent, pps, dropped, captured


def ottometer(binary, options, captures, rate, seconds):
    """Frames sent, rate, frames dropped at any stage, frames counted."""
    process = subprocess.Popen(
        inside(RECEIVER, binary, "live", "-i", MIRROR, "--format", "json", "--quiet", *options),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(2)
    sent, pps = replay(captures, rate, seconds)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, text = process.communicate(timeout=60)
    if process.returncode != 0:
        sys.exit(f"ottometer live: {text}")
    state = json.loads(out)
    drops = state["dropped"]
    # What a channel lost had been read: it is a line of the ledger.
    counted = state["ledger"]["wire"]["packets"] - drops["channel"]
    return sent, pps, sum(drops.values()), counted


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(ROOT, "target/release/ottometer"))
    parser.add_argument("--capture", nargs="+", help="default: the project's own Ethernet captures")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--options", default="", help="further options of `ottometer live`")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("needs root: for the namespaces, and to send and capture")
    captures = arguments.capture or sorted(glob.glob(os.path.join(ROOT, "pcaps/recorded-*.pcap")))
    options = arguments.options.split()
    mirror.build()
    try:
        rate, found = 50_000, None
        while found is None:
            sent, pps, dropped, _ = tcpdump(captures, rate, arguments.seconds)
            print(f"tcpdump at {pps:,.0f} frames/s: {dropped:,} of {sent:,} dropped", flush=True)
            if dropped > 0 or rate <= -MOST_SENDERS:
                found = rate
            elif rate < 0:
                rate -= 1
            else:
                # Below the wish: one sender is at its end.
                rate = -1 if pps < 0.9 * rate else int(rate * 1.5)
        if found > 0:
            rates = [found // 2, found, -1]
        else:
            rates = [200_000, *range(-1, found - 1, -1)]
        print(f"\n{'frames/s':>10} {'program':<10} {'sent':>12} {'dropped':>10} {'share':>8}  "
              f"(median of {arguments.runs})")
        for rate in rates:
            rows = {"tcpdump": [], "ottometer": []}
            for _ in range(arguments.runs):
                rows["tcpdump"].append(tcpdump(captures, rate, arguments.seconds))
                rows["ottometer"].append(
                    ottometer(arguments.bin, options, captures, rate, arguments.seconds))
            for program, results in rows.items():
                pps = statistics.median(row[1] for row in results)
                sent = statistics.median(row[0] for row in results)
                share = statistics.median(row[2] / max(row[0], 1) for row in results)
                dropped = statistics.median(row[2] for row in results)
                print(f"{pps:>10,.0f} {program:<10} {sent:>12,.0f} {dropped:>10,.0f} {share:>8.3%}", flush=True)
            for sent, _, dropped, counted in rows["ottometer"]:
                if sent != dropped + counted:
                    sys.exit(f"{sent} sent, {counted} counted and {dropped} dropped: not the same")
    finally:
        mirror.remove()


if __name__ == "__main__":
    main()
