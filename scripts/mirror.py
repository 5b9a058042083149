"""A mirror port to try things on: two network namespaces joined by a veth pair, what one sends the
other sees. Needs root; changes nothing outside its own namespaces."""
import os
import subprocess

SENDER, RECEIVER = f"ottosend{os.getpid()}", f"ottorecv{os.getpid()}"
# Their ends of the pair.
OUT, MIRROR = "out0", "mirror0"


def run(*command, **options):
    """Runs a command to its end; its standard output."""
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def inside(namespace, *command):
    """The command, as it is run in a namespace."""
    return ["ip", "netns", "exec", namespace, *command]


def build():
    run("ip", "netns", "add", SENDER)
    run("ip", "netns", "add", RECEIVER)
    run("ip", "link", "add", OUT, "netns", SENDER, "mtu", "65535", "type", "veth",
        "peer", "name", MIRROR, "netns", RECEIVER, "mtu", "65535")
    for namespace, interface in ((SENDER, OUT), (RECEIVER, MIRROR)):
        # Nothing but what is replayed: no neighbour discovery.
        run(*inside(namespace, "sysctl", "-qw", f"net.ipv6.conf.{interface}.disable_ipv6=1"))
        run(*inside(namespace, "ip", "link", "set", interface, "arp", "off", "up"))
    run(*inside(RECEIVER, "ip", "link", "set", "lo", "up"))


def remove():
    for namespace in (SENDER, RECEIVER):
        subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)
