#!/bin/sh
# Installs what building ottometer needs beside the Rust toolchain: a C compiler and libpcap's headers.
set -eu

have_compiler() { command -v cc >/dev/null 2>&1; }
have_pcap() { printf '#include <pcap/pcap.h>\n' | cc -E - >/dev/null 2>&1; }

command -v cargo >/dev/null 2>&1 || {
    echo "setup: cargo is missing: install the Rust toolchain from https://rustup.rs" >&2
    exit 1
}
if have_compiler && have_pcap; then
    exit 0
fi
by_hand="setup: please install a C compiler and the libpcap development files, on Debian and Ubuntu:
    sudo apt-get install -y gcc libc6-dev libpcap-dev
on Fedora:
    sudo dnf install gcc libpcap-devel"
command -v apt-get >/dev/null 2>&1 || { echo "$by_hand" >&2; exit 1; }
if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1; then
    as_root=sudo
else
    echo "$by_hand" >&2
    exit 1
fi
echo "setup: installing gcc and libpcap-dev" >&2
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev libpcap-dev
have_compiler && have_pcap || { echo "$by_hand" >&2; exit 1; }
