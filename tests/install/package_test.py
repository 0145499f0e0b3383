#!/usr/bin/env python3
"""The Debian packages in a clean Debian: installed, the service run, upgraded, purged.

  1. A minimal Debian 12 of this machine's own apt sources, kept beside the other dependencies.
  2. The packages of an earlier version; the user, the identity, the folders, the unit, the pages.
  3. The service as the unit says: under systemd in a container where this machine lets one boot
     (systemd-nspawn), else the unit's command by hand with its folders and a notify socket.
  4. The upgrade to the version under test: identity, state and a changed configuration stay.
  5. Purge, and what is left compared with what was there before.

Needs root. Usage: package_test.py PACKAGES_DIR [--earlier DIR]    exit code 0 right, 1 wrong
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"), "qudag")
KEY = "/var/lib/qudag/identity.key"
UNIT = "/lib/systemd/system/qudag.service"
PATIENCE = 120
EXPOSURE_MAX = 15  # tenths, as systemd-analyze has its threshold
# What a package manager itself leaves, and what machines write on their own.
NOT_OURS = re.compile(r"/(var/(lib/(dpkg|apt|systemd|dbus|pam|ucf)|log|cache|backups|tmp)|run|tmp|debs|dev"
                      r"|etc/(ld\.so\.cache|passwd|group|shadow|gshadow|subuid|subgid|mtab|machine-id)"
                      r"|etc/systemd/system|root)(/|-|$)|\.pyc$|__pycache__")


class Wrong(Exception):
    pass


def say(text):
    print(f"  {text}", flush=True)


def must(condition, text):
    if not condition:
        raise Wrong(text)


# ---- 1. a clean Debian --------------------------------------------------------------------------

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

    def ran(self, text):
        return subprocess.run(self.command(text), text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)

    def run(self, text):
        ran = self.ran(text)
        must(ran.returncode == 0, f"`{text}` ended with {ran.returncode}\n{ran.stdout[-3000:]}")
        return ran.stdout

    def install(self, *files):
        names = " ".join(f"/debs/{file.name}" for file in files)
        options = "-q -y -o Dpkg::Options::=--force-confold --no-install-recommends"
        return self.run(f"DEBIAN_FRONTEND=noninteractive apt-get {options} install {names}")

    def files(self):
        """Every file and folder, but those of other masters."""
        found = subprocess.run(["find", str(self.root), "-xdev", "-printf", "/%P\n"], check=True,
                               text=True, capture_output=True).stdout.splitlines()
        return {path for path in found if not NOT_OURS.search(path)}


# ---- 2. what a package makes --------------------------------------------------------------------

def check_installed(debian):
    user = debian.run("getent passwd qudag").split(":")
    must(int(user[2]) < 1000 and user[5] == "/var/lib/qudag" and "nologin" in user[6], f"user {user}")
    must(debian.run("getent group qudag qudag-monitor").count("\n") == 2, "no groups")
    key = debian.run(f"stat -c '%U %G %a' {KEY} /var/lib/qudag").split("\n")
    must(key[0] == "qudag qudag 600" and key[1] == "qudag qudag 700", f"identity and state: {key}")
    must(len(debian.run(f"runuser -u qudag -- qudag id {KEY}").strip()) == 52, "no id")
    listed = debian.run("dpkg -L qudag libqudag1 libqudag-dev qudag-dbg python3-qudag")
    for part in ("/usr/share/man/man1/qudag-node.1", "/usr/share/man/man5/qudag.toml.5",
                 "/usr/share/bash-completion/completions/qudag",
                 "/usr/share/zsh/vendor-completions/_qudag",
                 "/usr/share/fish/vendor_completions.d/qudag.fish", "/usr/lib/libqudag.so.1",
                 "/usr/include/qudag/node.h", "/usr/lib/debug/.build-id/",
                 "/usr/share/doc/qudag/sbom.spdx.json", "/usr/share/doc/libqudag1/sbom.spdx.json"):
        must(part in listed, f"no {part}")
    needs = debian.run("ldd /usr/bin/qudag /usr/lib/libqudag.so.1")
    must(not re.search(r"not found|libssl|libcrypto|libngtcp2", needs), f"needs:\n{needs}")
    debian.run("python3 -c 'import qudag, importlib.metadata as m; m.version(\"qudag\")'")
    debian.run(f"systemd-analyze verify --man=no {UNIT}")
    score = debian.run(f"systemd-analyze security --offline=yes --threshold={EXPOSURE_MAX} {UNIT}")
    say(score.strip().splitlines()[-1].lstrip("→ "))


# ---- 3. the service -----------------------------------------------------------------------------

def unit_of(debian):
    """Key -> last value of [Service]."""
    lines = debian.path(UNIT).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def use(debian, run):
    """What an operator does with a node that runs; `run` runs a line beside it."""
    status = run("runuser -u qudag -- qudag status")
    must("joined" in status, f"status:\n{status}")
    must("qudag_links" in run("runuser -u qudag -- qudag status --metrics"), "no metrics")
    by_name = "qudag status --socket /run/qudag/qudag.sock --socket-owner qudag"
    run(f"setpriv --reuid 12345 --regid 12345 --groups $(getent group qudag | cut -d: -f3) {by_name}")
    closed = run(f"setpriv --reuid 12345 --regid 12345 --clear-groups {by_name} || echo not for you")
    must("not for you" in closed, "somebody outside of the group qudag may use the node")


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


@contextlib.contextmanager
def booted(debian):
    """systemd in a container."""
    name = "qudag-test"
    machine = subprocess.Popen(["systemd-nspawn", "--quiet", f"--machine={name}", "--boot",
                                "--register=no", "--keep-unit", "--private-network",
                                f"--directory={debian.root}"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        first = None
        for _ in range(PATIENCE * 5):
            if machine.poll() is not None:
                break
            children = pathlib.Path(f"/proc/{machine.pid}/task/{machine.pid}/children").read_text()
            first = children.split()[0] if children else None
            if first and ran_beside(first, "systemctl is-system-running --wait; true").returncode == 0:
                break
            time.sleep(0.2)
        if machine.poll() is not None or first is None:
            yield None
            return

        def run(text):
            ran = ran_beside(first, text)
            must(ran.returncode == 0, f"`{text}` ended with {ran.returncode}\n{ran.stdout[-3000:]}")
            return ran.stdout
        yield run
    finally:
        if machine.poll() is None:
            machine.send_signal(signal.SIGTERM)
            machine.wait(timeout=60)


def ran_beside(pid, text):
    return subprocess.run(["nsenter", "-t", pid, "--all", "sh", "-ec", text], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=900)


def check_service(debian):
    with booted(debian) as run:
        if run:
            run("systemctl is-active qudag")
            use(debian, run)
            run("systemctl restart qudag; systemctl is-active qudag; systemctl stop qudag")
            say("the service ran under systemd in a container")
            return
    with by_hand(debian) as run:
        use(debian, run)
    say("the unit's command ran by hand: no container boots on this machine")


# ---- 4. and 5. upgrade, purge --------------------------------------------------------------------

def kept(debian):
    return debian.run("cd /var/lib/qudag && find . -type f | sort | xargs sha256sum; "
                      "sha256sum /etc/qudag/qudag.toml")


def check_purged(debian, before):
    # What came with them goes too, though something of the minimal system may suggest it.
    only = " ".join(f"-o APT::AutoRemove::{what}Important=false" for what in ("Recommends", "Suggests"))
    debian.run(f"DEBIAN_FRONTEND=noninteractive apt-get -q -y {only} purge --autoremove "
               "qudag libqudag1 libqudag-dev qudag-dbg python3-qudag")
    left = sorted(debian.files() - before)
    must(not left, "left after purge:\n" + "\n".join(left[:20]))
    names = debian.run("find / -xdev -path /debs -prune -o -iname '*qudag*' -print; "
                       "grep -s qudag /etc/passwd /etc/group /etc/shadow; true")
    names = [n for n in names.splitlines() if not n.startswith(("/proc", "/sys"))]
    must(not names, "left after purge:\n" + "\n".join(names[:20]))


def earlier_of(packages, folder):
    """The same packages with a lower version, where no earlier ones were given."""
    for package in packages:
        tree = folder / package.stem
        subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
        control = tree / "DEBIAN" / "control"
        version = re.search(r"^Version: (.*)$", control.read_text(), re.M)[1]
        control.write_text(control.read_text().replace(version, "0.0.1"))
        subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "--build", tree,
                        folder / f"{package.name.split('_')[0]}_0.0.1.deb"], check=True,
                       stdout=subprocess.DEVNULL)
        shutil.rmtree(tree)
    return sorted(folder.glob("*.deb"))


def check(packages, earlier):
    with tempfile.TemporaryDirectory(prefix="qudag-debian-") as root:
        subprocess.run(["tar", "-xf", clean_debian(), "-C", root], check=True)
        shutil.copy("/etc/resolv.conf", f"{root}/etc/resolv.conf")
        debian = Debian(root)
        debs = debian.path("/debs")
        debs.mkdir()
        if not earlier:
            earlier = earlier_of(packages, debs)
        for package in (*packages, *earlier):
            if package.parent != debs:
                shutil.copy(package, debs)
        debian.run("apt-get -q update")
        before = debian.files()
        debian.install(*earlier)
        say("installed " + debian.run("dpkg-query -W -f='${Package} ${Version}, ' '*qudag*'").rstrip(", "))
        check_installed(debian)
        check_service(debian)
        debian.run("echo '# mine' >>/etc/qudag/qudag.toml")
        was = kept(debian)
        must("guards" in was or was.count("\n") > 2, f"the node kept no state:\n{was}")
        debian.install(*packages)
        must(kept(debian) == was, f"the upgrade changed\n{was}to\n{kept(debian)}")
        check_installed(debian)
        say("upgraded to " + debian.run("dpkg-query -W -f='${Version}' qudag"))
        check_service(debian)
        check_purged(debian, before)
        say("purged: nothing is left")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", type=pathlib.Path)
    parser.add_argument("--earlier", type=pathlib.Path)
    args = parser.parse_args()
    packages = sorted(args.packages.glob("*.deb"))
    earlier = sorted(args.earlier.glob("*.deb")) if args.earlier and args.earlier.is_dir() else []
    try:
        must(len(packages) == 5, f"{args.packages}: not five packages")
        check(packages, earlier)
    except Wrong as wrong:
        print(wrong)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
