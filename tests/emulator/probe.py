#!/usr/bin/env python3
"""Plain UDP inside emulated namespaces, for live_test.py: who sends what, and what arrives.

Each packet carries its number and when it was sent (CLOCK_MONOTONIC, which all namespaces share).
"""

import fcntl
import os
import socket
import struct
import termios
import time

PORT = 5000
HEAD = struct.Struct("!IQ")


def command(line):
    """One command to the emulator; it is done when this returns."""
    fd = os.open(os.environ["QUDAG_EMULATOR_CONTROL"], os.O_WRONLY)
    os.write(fd, line.encode() + b"\n")
    waiting = struct.pack("i", 1)
    while struct.unpack("i", waiting)[0] > 0:
        waiting = fcntl.ioctl(fd, termios.FIONREAD, struct.pack("i", 0))
    os.close(fd)


def opened(address="0.0.0.0", port=PORT, patience=2.0):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, port))
    s.settimeout(patience)
    return s


def send(s, to, number, size=64):
    s.sendto(HEAD.pack(number, time.monotonic_ns()) + bytes(size - HEAD.size), (to, PORT))


def receive(s):
    """(number, one-way nanoseconds, from whom); None after the patience."""
    try:
        data, who = s.recvfrom(2000)
    except TimeoutError:
        return None
    number, sent = HEAD.unpack_from(data)
    return number, time.monotonic_ns() - sent, who


class Enter:
    """Inside: sockets that are made belong to that node."""

    def __init__(self, node):
        self.node = node

    def __enter__(self):
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        fd = os.open(os.environ["QUDAG_EMULATOR_NET_" + self.node], os.O_RDONLY)
        setns(fd)
        os.close(fd)

    def __exit__(self, *_):
        setns(self.home)
        os.close(self.home)


def setns(fd):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def socket_of(node, **how):
    """A socket of that node; it stays there wherever this process is."""
    with Enter(node):
        return opened(**how)
