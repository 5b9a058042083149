#!/bin/bash
# Records the captures of pcaps/ that come from real programs: scripts/record-captures.sh [NAME...].
#
# Without a NAME all of them. The functions of scripts/record/*.sh make one capture each; a NAME is
# that of the function after `record_`, with `-` for `_`. FOLDER says where captures go (pcaps), PYTHON
# names a Python with the packages of scripts/record/requirements.txt. Needs root, iproute2, ethtool,
# tcpdump, openssl, dnsmasq, and what each capture names; a capture whose programs are not there is
# told and left out. The row of each capture in FOLDER/README.md is written with the programs' versions.
set -u

here=$(realpath "$(dirname "$0")")/record
folder=$(realpath "${FOLDER:-$here/../../pcaps}")
python=$(command -v "${PYTHON:-python3}")

for subject in "$here"/*.sh; do
    . "$subject"
done

names=("$@")
if [ ${#names[@]} = 0 ]; then
    mapfile -t names < <(declare -F | sed -n 's/^declare -f record_//p' | tr _ -)
fi
failed=0
for name in "${names[@]}"; do
    # Each capture has a lab of its own, so that nothing of one shows up in another.
    (in_lab "$name") || failed=1
done
exit $failed
