#!/usr/bin/env python3
"""Times whole processes in turn and prints medians and ratios. See bench-peers.sh."""
import argparse
import os
import statistics
import subprocess
import sys
import time


def run(command):
    """Wall seconds, CPU seconds and peak memory (all and anonymous, MiB) of one run."""
    began = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = anonymous = 0.0
    while True:
        pid, code, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            break
        try:
            with open(f"/proc/{child.pid}/status") as lines:
                for line in lines:
                    # The peak the kernel keeps; getrusage's would include this interpreter's own.
                    if line.startswith("VmHWM:"):
                        peak = int(line.split()[1]) / 1024
                    elif line.startswith("RssAnon:"):
                        anonymous = max(anonymous, int(line.split()[1]) / 1024)
        except (OSError, ValueError):
            pass
        time.sleep(0.004)
    wall = time.monotonic() - began
    child.returncode = code
    if code:
        sys.exit(f"{' '.join(command)}: ended with {code}")
    return wall, usage.ru_utime + usage.ru_stime, peak, anonymous


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    for capture in ("mix", "elephant"):
        path = os.path.join(args.data, f"{capture}.pcap")
        programs = {
            "ottometer --workers 1": [args.bin, "read", path, "--workers", "1", "--quiet"],
            "ottometer --workers 2": [args.bin, "read", path, "--workers", "2", "--quiet"],
            "ndpilib": [os.path.join(args.data, "ndpilib"), path],
            "ndpiReader -i": ["ndpiReader", "-i", path],
        }
        with open(path, "rb") as warm:
            while warm.read(1 << 22):
                pass
        taken = {name: [] for name in programs}
        for _ in range(args.runs):
            for name, command in programs.items():
                taken[name].append(run(command))
        median = {
            name: [statistics.median(column) for column in zip(*rows)] for name, rows in taken.items()
        }
        print(f"\n{capture}.pcap, median of {args.runs} runs, whole process")
        print(f"{'program':<24} {'wall s':>8} {'cpu s':>8} {'peak MiB':>9} {'anonymous':>10}"
              f" {'wall ratio':>11} {'memory ratio':>13}")
        ours = median["ottometer --workers 1"]
        for name, (wall, cpu, peak, anonymous) in median.items():
            print(f"{name:<24} {wall:>8.3f} {cpu:>8.3f} {peak:>9.1f} {anonymous:>10.1f}"
                  f" {wall / ours[0]:>10.2f}x {peak / ours[2]:>12.2f}x")
    print("\nratios: how many times the wall time and peak memory of `ottometer --workers 1` a program needs")


if __name__ == "__main__":
    main()
