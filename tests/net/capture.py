"""Capturing in a network namespace of our own: enter() starts this program again inside one.

A train that the kernel cuts late (GSO) is captured as one packet of many times the size. So the
loopback of the namespace loses the feature by which it takes trains whole: the kernel then cuts them
in front of it, and nodes send as they always do.

Packets go into memory shared with the kernel (a packet ring), large enough for the whole test: capturing
has begun when the socket is bound, nobody has to keep up with it, and the kernel says what found no place.
Linux only; sources: packet(7), netdevice(7), linux/if_packet.h, linux/ethtool.h.
"""

import array
import fcntl
import mmap
import os
import shutil
import socket
import struct
import subprocess
import sys

INSIDE = "QUDAG_CAPTURE_INSIDE"

SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCETHTOOL = 0x8913, 0x8914, 0x8946
IFF_UP = 1
ETHTOOL_GSTRINGS, ETHTOOL_GSSET_INFO, ETHTOOL_SFEATURES = 0x1B, 0x37, 0x3B
ETH_SS_FEATURES = 4
ETH_P_ALL = 3
SOL_PACKET, PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION, PACKET_IGNORE_OUTGOING = 263, 5, 6, 10, 23
TPACKET_V2 = 1
LINKTYPE_ETHERNET = 1

# The ring: 32 MiB.
FRAME_BYTES = 2048  # a header of the kernel, and a packet of up to 1500 bytes
FRAMES_MAX = 16_384
BLOCK_BYTES = 65_536


# --- The namespace ---------------------------------------------------------------------------------

def unshare_command():
    """Its death is the death of all that it started: --kill-child with a process namespace."""
    command = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return command if os.geteuid() == 0 else command + ["--user", "--map-root-user"]


def why_not():
    """Why nobody can capture here; None if we can."""
    for program in ("tshark", "unshare"):
        if shutil.which(program) is None:
            return f"there is no {program}"
    probe = "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"
    run = subprocess.run(unshare_command() + [sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    return None if run.returncode == 0 else f"no network namespace: {run.stderr.strip().splitlines()[-1:]}"


def is_inside():
    return INSIDE in os.environ


def enter():
    """Does not return."""
    os.environ[INSIDE] = "1"
    command = unshare_command() + [sys.executable, *sys.argv]
    os.execvp(command[0], command)


# --- The loopback ----------------------------------------------------------------------------------

def prepare_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0)))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
        switch_off(control, "tx-udp-segmentation")


def ethtool(control, request):
    """One ETHTOOL ioctl; the kernel answers into the request."""
    memory = array.array("B", request)
    fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP8x", b"lo", memory.buffer_info()[0]))
    return memory.tobytes()


def switch_off(control, feature):
    info = ethtool(control, struct.pack("IIQI", ETHTOOL_GSSET_INFO, 0, 1 << ETH_SS_FEATURES, 0))
    count = struct.unpack("IIQI", info)[3]
    text = ethtool(control, struct.pack("III", ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count) + bytes(32 * count))[12:]
    names = [text[at:at + 32].split(b"\0")[0].decode() for at in range(0, 32 * count, 32)]
    bit = names.index(feature)
    blocks = [[0, 0] for _ in range((count + 31) // 32)]  # which features are meant, and which of them are on
    blocks[bit // 32][0] = 1 << (bit % 32)
    ethtool(control, struct.pack("II", ETHTOOL_SFEATURES, len(blocks)) + b"".join(struct.pack("II", *b) for b in blocks))


# --- The capture -----------------------------------------------------------------------------------

class Capture:
    """Keeps what arrives at a device, from entering the context on; write() makes a pcap file of it."""

    def __init__(self, device):
        self.device = device

    def __enter__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)  # a loopback shows every packet twice
        ring = struct.pack("IIII", BLOCK_BYTES, FRAMES_MAX * FRAME_BYTES // BLOCK_BYTES, FRAME_BYTES, FRAMES_MAX)
        self.socket.setsockopt(SOL_PACKET, PACKET_RX_RING, ring)
        self.ring = mmap.mmap(self.socket.fileno(), FRAMES_MAX * FRAME_BYTES)
        self.socket.bind((self.device, ETH_P_ALL))
        return self

    def __exit__(self, *_):
        self.ring.close()
        self.socket.close()

    def write(self, file):
        """Returns how many packets are not in the file: the ring was full, or they were too long for it."""
        lost = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        with open(file, "wb") as out:
            out.write(struct.pack("IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, FRAME_BYTES, LINKTYPE_ETHERNET))
            for at in range(0, len(self.ring), FRAME_BYTES):
                status, length, kept, start, _, seconds, nanoseconds = struct.unpack_from("IIIHHII", self.ring, at)
                if status == 0:  # still the kernel's: nothing came after the one before
                    break
                lost += kept < length
                out.write(struct.pack("IIII", seconds, nanoseconds // 1000, kept, length))
                out.write(self.ring[at + start:at + start + kept])
        return lost
