#!/usr/bin/env python3
"""Takes the pictures of docs/pictures anew, from a real run.

    sudo scripts/pictures.py [--bin target/release/ottometer] [--minutes 7] [--output docs/pictures]

Joins two network namespaces by a veth pair and replays captures of `pcaps/` through it, in groups, each
at a rate of its own that goes up and down, in rounds with other addresses each. `ottometer live
--tui` watches the other end in a tmux of 100x30 cells, and a Prometheus scrapes it every second.
Needs root, tmux, tcpreplay, prometheus and what picture.py and plot_metrics.py need.
"""
import argparse
import glob
import math
import os
import subprocess
import sys
import tempfile
import threading
import time

import mirror
from mirror import MIRROR, OUT, RECEIVER, SENDER, inside, run

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SCREEN = f"otto{os.getpid()}"
SCRAPES = """\
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: ottometer
    static_configs: [{targets: ["127.0.0.1:9469"]}]
"""

# What is replayed together, Mbit/s on average, seconds from low to low.
GROUPS = [
    (["wechat-*", "mmtls*"], 1.2, 80),
    (["whatsapp*"], 1.5, 110),
    (["line-*", "kakaotalk*", "signal*", "telegram*"], 0.9, 65),
    (["recorded-chromium*"], 4.0, 145),
    (["recorded-webrtc*", "recorded-sip*", "recorded-rtsp*"], 2.5, 95),
    (["recorded-bittorrent*", "recorded-aria2*"], 2.0, 130),
    (["quic-*", "tls-names*", "qq-*", "discord*", "libon*"], 1.5, 70),
    (["recorded-http*", "recorded-tls*", "recorded-ssh*", "recorded-smb*", "recorded-mail*",
      "recorded-dns*", "recorded-ipv6*", "recorded-grpc*", "odd*", "tunnels*", "mid-stream*"],
     1.6, 105),
]


def replay(place, patterns, mean, period, end):
    files = sorted({file for pattern in patterns
                    for file in glob.glob(f"{ROOT}/pcaps/{pattern}.pcap")})
    began = time.time()
    while time.time() < end:
        phase = (time.time() - began) / period + place / 5
        rate = mean * (0.06 + 1.9 * math.sin(math.pi * phase) ** 2)
        # Rounds with the same addresses would be the same flows again.
        subprocess.run(inside(SENDER, "tcpreplay", "-q", "-K", "-i", OUT, "--unique-ip",
                              "--loop=100000000", "--duration=5", f"--mbps={rate:.2f}", *files),
                       capture_output=True, check=False)


def tmux(*arguments):
    return run("tmux", "-L", SCREEN, *arguments)


def keys(*names):
    for name in names:
        tmux("send-keys", "-t", "view", name)
        time.sleep(0.4)


def take(output):
    time.sleep(1.2)
    screen = tmux("capture-pane", "-e", "-p", "-t", "view")
    run(sys.executable, f"{HERE}/picture.py", output, input=screen)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=f"{ROOT}/target/release/ottometer")
    parser.add_argument("--minutes", type=float, default=7)
    parser.add_argument("--output", default=f"{ROOT}/docs/pictures")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("needs root: for the namespaces, and to send and capture")
    binary = os.path.abspath(arguments.bin)
    end = time.time() + arguments.minutes * 60
    prometheus = None
    with tempfile.TemporaryDirectory() as folder:
        try:
            mirror.build()
            words = inside(RECEIVER, binary, "live", "-i", MIRROR, "--tui", "--listen", "9469",
                           "--user", "root", "--top", "12")
            log = f"{folder}/log"
            tmux("new-session", "-d", "-x", "100", "-y", "30", "-s", "view",
                 f"LANG=C.UTF-8 COLORTERM=truecolor {' '.join(words)} 2>{log}; sleep 1000")
            with open(f"{folder}/scrapes.yml", "w", encoding="utf-8") as file:
                file.write(SCRAPES)
            prometheus = subprocess.Popen(
                inside(RECEIVER, "prometheus", f"--config.file={folder}/scrapes.yml",
                       f"--storage.tsdb.path={folder}/data", "--web.listen-address=127.0.0.1:9090"),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            senders = [threading.Thread(target=replay, args=(place, *group, end))
                       for place, group in enumerate(GROUPS)]
            for sender in senders:
                sender.start()
            time.sleep(max(end - time.time() - 15, 10))
            take(f"{arguments.output}/live-apps.png")
            keys("6", "/", *"wechat", "Enter", "j", "p")
            take(f"{arguments.output}/live-flows.png")
            minutes = str(min(arguments.minutes - 0.3, 5))
            run(*inside(RECEIVER, sys.executable, f"{HERE}/plot_metrics.py",
                        "http://127.0.0.1:9090", f"{arguments.output}/dashboard.png",
                        "--minutes", minutes))
            keys("q")
            for sender in senders:
                sender.join()
            print(tmux("capture-pane", "-J", "-p", "-S", "-100", "-t", "view"))
            with open(log, encoding="utf-8") as file:
                print(file.read())
        finally:
            if prometheus:
                prometheus.terminate()
                prometheus.wait()
            subprocess.run(["tmux", "-L", SCREEN, "kill-server"], capture_output=True, check=False)
            mirror.remove()


if __name__ == "__main__":
    main()
