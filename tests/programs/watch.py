"""What leaves the loopback of a network namespace, and what goes over that loopback beside packets between nodes.

The namespace's only way out is a TUN device of ours with the default route, and its resolver is an address behind it: a
look-up of a name or a connection to the internet becomes a packet that is read here. On the loopback a filter in the
kernel lets through what no node had a part in, and the first packet of each TCP connection. Linux only; as root.
"""

import ctypes
import fcntl
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import threading

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000
SO_ATTACH_FILTER, ETH_P_ALL, SOL_PACKET, PACKET_IGNORE_OUTGOING = 26, 3, 263, 23
PASS, DROP = 0x100, 0
RESOLVER = "198.51.100.1"
ROUTES = ("link set lo up", "addr add 198.51.100.2/24 dev out", "-6 addr add 2001:db8::2/64 dev out nodad", "link set out up",
          f"route add default via {RESOLVER}", "-6 route add default dev out")
ICMPV6 = 58  # the kernel looks for a router by itself


def why_not():
    if os.geteuid() != 0 or not shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin") or not os.access("/dev/net/tun", os.W_OK):
        return "needs root, ip and /dev/net/tun"
    return None


def filter_of(ports):
    """Classic BPF (linux/filter.h), for a loopback: each line is code, where if true, where if false, value."""
    foreign = [line for offset in (14, 16) for line in
               [(0x48, 0, 0, offset), *((0x15, "drop", 0, port) for port in ports)]]  # neither port is a node's
    lines = [(0x28, 0, 0, 12), (0x15, "pass", 0, 0x86DD), (0x15, 0, "drop", 0x0800), (0xB1, 0, 0, 14), (0x30, 0, 0, 23),
             (0x15, "udp", 0, 17), (0x15, 0, "drop", 6), (0x50, 0, 0, 27), (0x54, 0, 0, 0x12), (0x15, "pass", "drop", 2),
             *foreign, (0x06, 0, 0, PASS), (0x06, 0, 0, DROP)]
    places = {"udp": 10, "pass": len(lines) - 2, "drop": len(lines) - 1}

    def jump(to, at):
        return places[to] - at - 1 if to else 0
    return b"".join(struct.pack("HBBI", code, jump(yes, at), jump(no, at), value)
                    for at, (code, yes, no, value) in enumerate(lines))


def told(packet):
    """An IP packet in words: protocol, where to, port."""
    if packet[0] >> 4 == 6:
        protocol, to, rest = packet[6], socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[40:]
    else:
        protocol, to, rest = packet[9], socket.inet_ntoa(packet[16:20]), packet[4 * (packet[0] & 15):]
    return ({6: "tcp", 17: "udp", ICMPV6: "icmp6"}.get(protocol, str(protocol)), to,
            struct.unpack("!H", rest[2:4])[0] if protocol in (6, 17) else 0)


class Watch:
    """`left` are the packets that left, `inner` those on the loopback: sets of told()."""

    def __init__(self, folder):
        self.left, self.inner = set(), set()
        self.device = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self.device, TUNSETIFF, struct.pack("16sH22x", b"out", IFF_TUN | IFF_NO_PI))
        for line in ROUTES:
            subprocess.run([shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin"), *line.split()], check=True)
        resolver = pathlib.Path(folder, "resolv.conf")
        resolver.write_text(f"nameserver {RESOLVER}\noptions timeout:1 attempts:1\n")
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(str(resolver).encode(), b"/etc/resolv.conf", None, 0x1000, None) != 0:  # MS_BIND
            raise OSError(ctypes.get_errno(), "mount")
        threading.Thread(target=self.read, args=(self.left, lambda: os.read(self.device, 2048)), daemon=True).start()

    def begin(self, ports):
        """Watches the loopback as well; `ports` are those of the nodes."""
        code = filter_of(ports)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        room = ctypes.create_string_buffer(code)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                               struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(room)))
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.socket.bind(("lo", ETH_P_ALL))
        threading.Thread(target=self.read, args=(self.inner, lambda: self.socket.recv(2048)[14:]), daemon=True).start()

    @staticmethod
    def read(into, take):
        while packet := take():
            if (what := told(packet))[0] != "icmp6":
                into.add(what)
