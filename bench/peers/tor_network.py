"""A private network of Tor on this machine, of Debian's tor: one authority and four more relays, all of them exits,
a client with a SOCKS port, and an onion service. For comparisons; nothing of it goes anywhere else."""

import pathlib
import re
import shutil
import socket
import subprocess
import time

RELAYS = 5
PATIENCE = 150
ADDRESS = "127.0.0.1"
COMMON = """TestingTorNetwork 1
RunAsDaemon 0
ShutdownWaitLength 0
NumCPUs 1
Log notice file {folder}/log
DataDirectory {folder}
AssumeReachable 1
ConnLimit 60
"""
AUTHORITY = """AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
ContactInfo nobody@example.org
TestingV3AuthInitialVotingInterval 5
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
V3AuthVotingInterval 10
V3AuthVoteDelay 2
V3AuthDistDelay 2
TestingDirAuthVoteExit *
TestingDirAuthVoteGuard *
TestingDirAuthVoteHSDir *
TestingMinExitFlagThreshold 0
"""


def free_ports(count):
    sockets = [socket.create_server((ADDRESS, 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Tor:
    """`hidden` is what the onion service leads to: (port, address). Within the context all of them are up."""

    def __init__(self, folder, hidden):
        self.folder, self.hidden, self.processes = pathlib.Path(folder), hidden, []

    def __enter__(self):
        first = self.make("relay0")
        or_port, dir_port = free_ports(2)
        identity = self.folder / "relay0" / "keys"
        identity.mkdir(mode=0o700)
        subprocess.run(["tor-gencert", "--create-identity-key", "-m", "12", "-a", f"{ADDRESS}:{dir_port}", "--passphrase-fd",
                        "0"], input=b"\n", cwd=identity, check=True, capture_output=True)
        certificate = (identity / "authority_certificate").read_text()
        v3 = re.search(r"^fingerprint (\S+)", certificate, re.M)[1]
        self.write("relay0", or_port, f"DirPort {ADDRESS}:{dir_port}\n" + AUTHORITY, dir_authority="")
        finger = self.fingerprint(first, f"{v3} {ADDRESS}:{dir_port} orport={or_port}")
        self.authority = (f"DirAuthority relay0 orport={or_port} no-v2 v3ident={v3} {ADDRESS}:{dir_port} {finger}\n")
        self.write("relay0", or_port, f"DirPort {ADDRESS}:{dir_port}\n" + AUTHORITY)
        for i in range(1, RELAYS):
            self.make(f"relay{i}")
            self.write(f"relay{i}", free_ports(1)[0])
        self.make("client")
        self.socks = free_ports(1)[0]
        self.write("client", None, f"SocksPort 127.0.0.1:{self.socks}\n")
        self.make("service")
        service = self.folder / "service" / "hidden"
        port, to = self.hidden
        self.write("service", None, f"SocksPort 0\nHiddenServiceDir {service}\nHiddenServicePort {port} {to}\n")
        for name in (*(f"relay{i}" for i in range(RELAYS)), "client", "service"):
            self.start(name)
        until = time.monotonic() + PATIENCE
        while not all("Bootstrapped 100%" in self.log(name) for name in ("client", "service")):
            if time.monotonic() > until or any(one.poll() is not None for one in self.processes):
                self.__exit__()
                raise RuntimeError("Tor does not come up: " + self.log("client")[-800:])
            time.sleep(0.2)
        self.onion = (service / "hostname").read_text().strip()
        return self

    def __exit__(self, *_):
        for one in self.processes:
            one.terminate()
        for one in self.processes:
            one.wait(20)

    def make(self, name):
        folder = self.folder / name
        folder.mkdir(mode=0o700)
        return folder

    def log(self, name):
        file = self.folder / name / "log"
        return file.read_text() if file.exists() else ""

    def write(self, name, or_port, more="", dir_authority=None):
        text = COMMON.format(folder=self.folder / name) + f"Address {ADDRESS}\n" + more
        text += self.authority if dir_authority is None else dir_authority
        if or_port:
            text += (f"Nickname {name}\nORPort {ADDRESS}:{or_port}\nExitRelay 1\nExitPolicy accept *:*\nSocksPort 0\n"
                     "ExitPolicyRejectPrivate 0\nExitPolicyRejectLocalInterfaces 0\n")
        else:
            text += "ClientRejectInternalAddresses 0\nUseEntryGuards 1\n"
        (self.folder / name / "torrc").write_text(text)

    def command(self, name):
        return [shutil.which("tor", path="/usr/sbin:/usr/bin"), "--quiet", "--defaults-torrc", "/dev/null", "-f",
                str(self.folder / name / "torrc")]

    def fingerprint(self, folder, authority):
        dummy = authority.split(" ")
        line = f"DirAuthority x {dummy[2]} no-v2 v3ident={dummy[0]} {dummy[1]} {'F' * 40}"
        out = subprocess.run([*self.command("relay0"), "--list-fingerprint", "--DirAuthority", line.removeprefix("DirAuthority ")],
                             capture_output=True, text=True, check=True).stdout
        return re.search(r"relay0 ([0-9A-F ]+)", out)[1].replace(" ", "")

    def start(self, name):
        self.processes.append(subprocess.Popen(self.command(name), stdin=subprocess.DEVNULL))
