"""A clean Debian 12 in a folder, and ways to run something in it: a chroot, systemd in a container
where this machine lets one boot, else a unit's command by hand with its folders and notify socket.
"""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"), "qudag")
UNIT = "/lib/systemd/system/qudag.service"
PATIENCE = 120
APT = "DEBIAN_FRONTEND=noninteractive apt-get -q -y"
# What a package manager itself leaves, and what machines write on their own.
NOT_OURS = re.compile(r"/(var/(lib/(dpkg|apt|systemd|dbus|pam|ucf)|log|cache|backups|tmp)|run|tmp|debs|dev|proc|sys"
                      r"|etc/(ld\.so\.cache|passwd|group|shadow|gshadow|subuid|subgid|mtab|machine-id|\.updated)"
                      r"|var/\.updated|etc/systemd/system|root)(/|-|$)|\.pyc$|__pycache__")


class Wrong(Exception):
    pass


def say(text):
    print(f"  {text}", flush=True)


def must(condition, text):
    if not condition:
        raise Wrong(text)


def machine_sources():
    """This machine's apt sources, as they are."""
    etc = pathlib.Path("/etc/apt")
    files = [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list")),
             *sorted(etc.glob("sources.list.d/debian*.sources"))]
    return "\n\n".join(file.read_text() for file in files if file.is_file())


def clean_debian():
    archive = CACHE / "debian-12.tar"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = archive.with_suffix(".new")
        # A mirror that is frozen on purpose has lists that are out of date.
        options = [f"--aptopt={name} \"false\"" for name in
                   ("Acquire::Check-Valid-Until", "Acquire::Check-Date")]
        command = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", *options,
                   "--include=systemd,systemd-sysv,dbus,procps", "bookworm", str(made), "-"]
        subprocess.run(command, input=machine_sources(), text=True, check=True)
        made.rename(archive)
    return archive


def right(ran, text):
    must(ran.returncode == 0, f"`{text}` ended with {ran.returncode}\n{ran.stdout[-3000:]}")
    return ran.stdout


def asked(command):
    return subprocess.run(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=900)


class Debian:
    def __init__(self, root):
        self.root = pathlib.Path(root)

    def path(self, inside):
        return self.root / inside.lstrip("/")

    def command(self, text):
        """A shell line in it, with /proc and /dev."""
        mounts = ('mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev"; '
                  'mount -t sysfs -o ro sysfs "$1/sys"; exec chroot "$1" sh -ec "$2"')
        return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", mounts, "_",
                str(self.root), text]

    def run(self, text):
        return right(asked(self.command(text)), text)

    def files(self):
        """Every file and folder, but those of other masters."""
        found = subprocess.run(["find", str(self.root), "-xdev", "-printf", "/%P\n"], check=True,
                               text=True, capture_output=True).stdout.splitlines()
        return {path for path in found if not NOT_OURS.search(path)}


@contextlib.contextmanager
def booted(debian):
    """Gives what runs a line beside systemd in a container, or nothing where none boots."""
    machine = subprocess.Popen(["systemd-nspawn", "--quiet", "--machine=qudag-test", "--boot",
                                "--register=no", "--keep-unit", "--private-network",
                                f"--directory={debian.root}"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        first = first_process(machine)
        yield first and (lambda text: right(asked(beside(first, text)), text))
    finally:
        if machine.poll() is None:
            machine.send_signal(signal.SIGTERM)
            machine.wait(timeout=60)


def beside(pid, text):
    return ["nsenter", "-t", pid, "--all", "sh", "-ec", text]


def first_process(machine):
    """The container's first process, when all of its services are up."""
    children = pathlib.Path(f"/proc/{machine.pid}/task/{machine.pid}/children")
    for _ in range(PATIENCE * 5):
        if machine.poll() is not None:
            return None
        first = (children.read_text().split() or [None])[0]
        if first and asked(beside(first, "systemctl is-system-running --wait")).stdout.strip() in ("running", "degraded"):
            return first
        time.sleep(0.2)
    return None


def unit_of(debian):
    """Key -> last value of [Service]."""
    lines = debian.path(UNIT).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


@contextlib.contextmanager
def by_hand(debian):
    """The unit's command, with what systemd would have made for it."""
    unit = unit_of(debian)
    debian.run("install -d -o qudag -g qudag -m 0750 /run/qudag; "
               "install -d -o qudag -g qudag-monitor -m 2750 /run/qudag-monitor")
    place = debian.path("/run/notify")
    place.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(place))
        place.chmod(0o777)
        heard.settimeout(PATIENCE)
        line = f"exec runuser -u {unit['User']} -- {unit['ExecStart']}"
        environment = "export NOTIFY_SOCKET=/run/notify; " if unit["Type"] == "notify" else ""
        node = subprocess.Popen(debian.command(environment + line), stdout=subprocess.PIPE, text=True)
        try:
            must('"ready":true' in node.stdout.readline(), "the node did not start")
            if unit["Type"] == "notify":
                must(b"READY=1" in heard.recv(4096), "no READY=1")
            yield debian.run
        finally:
            subprocess.run(["pkill", "-TERM", "-P", str(node.pid)], check=False)
            node.send_signal(signal.SIGTERM)
            must(node.wait(timeout=60) in (0, -signal.SIGTERM, 143), "the node did not end in order")
