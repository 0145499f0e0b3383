#!/usr/bin/env python3
"""The Debian packages in a clean Debian: installed, the service run, upgraded, purged.

  1. A minimal Debian 12 of this machine's own apt sources, kept beside the other dependencies.
  2. systemd boots in it, in a container without a network. The packages of an earlier version are
     installed: the user, the identity, the folders, the unit, the pages; the service runs.
  3. A network of five nodes beside the service: it joins, has guards, and passes on for others.
  4. The upgrade to the version under test while it runs: it starts again by itself, and identity,
     guards, the account of the month and a changed configuration are as they were.
  5. Purge while it runs, and what is left compared with what was there before.

Where no container boots, the unit's command runs by hand, and the packages are upgraded beside it.

Needs root. Usage: package_test.py PACKAGES_DIR [--earlier DIR]    exit code 0 right, 1 wrong
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from machine import APT, PATIENCE, UNIT, Debian, Wrong, booted, by_hand, clean_debian, must, say

KEY = "/var/lib/qudag/identity.key"
CONFIG = "/etc/qudag/qudag.toml"
ALL = "qudag libqudag1 libqudag-dev qudag-dbg python3-qudag"
AS_NODE = "runuser -u qudag --"
EXPOSURE_MAX = 15  # tenths, as systemd-analyze has its threshold


# ---- 2. what a package makes, and its service ---------------------------------------------------

def install(run, files):
    names = " ".join(f"/debs/{file.name}" for file in files)
    run(f"{APT} -o Dpkg::Options::=--force-confold --no-install-recommends install {names}")


def check_installed(run):
    user = run("getent passwd qudag").split(":")
    must(int(user[2]) < 1000 and user[5] == "/var/lib/qudag" and "nologin" in user[6], f"user {user}")
    must(run("getent group qudag qudag-monitor").count("\n") == 2, "no groups")
    key = run(f"stat -c '%U %G %a' {KEY} /var/lib/qudag").split("\n")
    must(key[0] == "qudag qudag 600" and key[1] == "qudag qudag 700", f"identity and state: {key}")
    must(len(run(f"{AS_NODE} qudag id {KEY}").strip()) == 52, "no id")
    listed = run(f"dpkg -L {ALL}")
    for part in ("/usr/share/man/man1/qudag-node.1", "/usr/share/man/man5/qudag.toml.5",
                 "/usr/share/bash-completion/completions/qudag",
                 "/usr/share/zsh/vendor-completions/_qudag",
                 "/usr/share/fish/vendor_completions.d/qudag.fish", "/usr/lib/libqudag.so.1",
                 "/usr/include/qudag/node.h", "/usr/lib/debug/.build-id/",
                 "/usr/share/doc/qudag/sbom.spdx.json", "/usr/share/doc/libqudag1/sbom.spdx.json"):
        must(part in listed, f"no {part}")
    needs = run("ldd /usr/bin/qudag /usr/lib/libqudag.so.1")
    must(not re.search(r"not found|libssl|libcrypto|libngtcp2|IPSec_MB", needs), f"needs:\n{needs}")
    run("python3 -c 'import qudag, importlib.metadata as m; m.version(\"qudag\")'")
    run(f"systemd-analyze verify --man=no {UNIT}")
    score = run(f"systemd-analyze security --offline=yes --threshold={EXPOSURE_MAX} {UNIT}")
    say(score.strip().splitlines()[-1].lstrip("→ "))


def use(run):
    """What an operator does with a node that runs; `run` runs a line beside it."""
    status = run(f"{AS_NODE} qudag status")
    must("joined" in status, f"status:\n{status}")
    must("qudag_links" in run(f"{AS_NODE} qudag status --metrics"), "no metrics")
    by_name = "qudag status --socket /run/qudag/qudag.sock --socket-owner qudag"
    run(f"setpriv --reuid 12345 --regid 12345 --groups $(getent group qudag | cut -d: -f3) {by_name}")
    closed = run(f"setpriv --reuid 12345 --regid 12345 --clear-groups {by_name} || echo not for you")
    must("not for you" in closed, "somebody outside of the group qudag may use the node")


# ---- 3. a network around the service ------------------------------------------------------------

def status(run):
    return json.loads(run(f"{AS_NODE} qudag status --json"))


def soon(what, condition, seconds=PATIENCE):
    until = time.monotonic() + seconds
    while not (said := condition()):
        must(time.monotonic() < until, f"not within {seconds} s: {what}")
        time.sleep(0.2)
    return said


def begin_others(run):
    """Five nodes in the container, as another user; their list."""
    run("systemd-run --quiet --unit=others --uid=nobody --working-directory=/tmp qudag testnet run -n 5 --json")
    said = soon("the other nodes", lambda: run("journalctl -q -u others -o cat | grep '^{' || true"))
    return json.loads(said.splitlines()[0])["nodes"]


def join(run, others):
    entries = ", ".join(f'"{node["id"]}@{node["address"]}"' for node in others[:3])
    run(f"sed -i -e 's/^bootstrap = .*/bootstrap = [{entries}]/' -e 's/^listen = .*/listen = \"127.0.0.1:4433\"/' "
        f"{CONFIG}; echo 'month = \"1TB\"  # mine' >>{CONFIG}; qudag check-config {CONFIG}; systemctl restart qudag")
    soon("the node joins", lambda: status(run)["joined"])
    run(f"{AS_NODE} qudag doctor || true")  # builds a circuit, for which guards are drawn
    soon("guards", lambda: run("ls /var/lib/qudag/state").split().count("guards"))


def pass_on(run, others):
    """Others send until some of it went through the service."""
    by, to = others[0], others[1]["id"]
    for isolation in range(200):
        run(f"head -c 100000 /dev/zero | qudag send -q --if-away wait --isolation {isolation} --ttl 5s "
            f"--socket {by['socket']} --socket-owner nobody {to} - || true")
        if used := status(run)["quota"]["used"]:
            return used
    raise Wrong("no circuit of others went through the service")


# ---- 4. and 5. upgrade, purge -------------------------------------------------------------------

def kept(run):
    return run(f"cd /var/lib/qudag && sha256sum identity.key state/guards {CONFIG}")


def upgrade_as_it_runs(run, packages, others):
    before = status(run)
    main = "systemctl show -P MainPID qudag"
    was, pid = kept(run), run(main)
    used = pass_on(run, others)
    install(run, packages)
    must(run(main) != pid and run("systemctl is-active qudag").strip() == "active", "it was not started again")
    must(kept(run) == was, f"the upgrade changed\n{was}to\n{kept(run)}")
    after = soon("the node answers after the upgrade", lambda: status(run))
    must(after["id"] == before["id"], "another identity")
    must(after["quota"]["used"] >= used, f"of the month {used} bytes were used, now {after['quota']['used']}")
    soon("the node joins again", lambda: status(run)["joined"])
    version = run("dpkg-query -W -f='${Version}' qudag").strip()
    say(f"upgraded to {version} as it ran: identity, guards and "
        f"{after['quota']['used']} bytes of the month are as they were")


def purge(run, debian, before):
    # What came with them goes too, though something of the minimal system may suggest it.
    only = " ".join(f"-o APT::AutoRemove::{what}Important=false" for what in ("Recommends", "Suggests"))
    run(f"{APT} {only} purge --autoremove {ALL}")
    left = sorted(debian.files() - before)
    must(not left, "left after purge:\n" + "\n".join(left[:20]))
    names = run("find / -xdev -path /debs -prune -o -path /proc -prune -o -path /sys -prune -o -path "
                "/var/log/journal -prune -o -iname '*qudag*' -print; find /run -iname '*qudag*'; "
                "grep -s qudag /etc/passwd /etc/group /etc/shadow || true")
    # systemd's notes on units that ran, and what the container is called from outside
    names = [name for name in names.splitlines() if not name.startswith(("/run/systemd/", "/run/host/"))]
    must(not names, "left after purge:\n" + "\n".join(names[:20]))
    say("purged: nothing is left")


def in_container(debian, packages, earlier):
    """False where none boots."""
    with booted(debian) as run:
        if not run:
            return False
        before = debian.files()
        install(run, earlier)
        say("installed " + run("dpkg-query -W -f='${Package} ${Version}, ' '*qudag*'").rstrip(", "))
        check_installed(run)
        run("systemctl is-active qudag")
        use(run)
        others = begin_others(run)
        join(run, others)
        upgrade_as_it_runs(run, packages, others)
        check_installed(run)
        use(run)
        run("systemctl stop others")
        must(run("systemctl list-units --failed --no-legend --plain 'qudag*'") == "", "a unit has failed")
        say("the service ran under systemd in a container")
        purge(run, debian, before)
    return True


def by_its_command(debian, packages, earlier):
    before = debian.files()
    install(debian.run, earlier)
    check_installed(debian.run)
    with by_hand(debian) as run:
        use(run)
        run(f"echo '# mine' >>{CONFIG}")
        files = "cd /var/lib/qudag && find . -type f | sort | xargs sha256sum"
    was = debian.run(files)
    install(debian.run, packages)
    must(debian.run(files) == was, f"the upgrade changed\n{was}to\n{debian.run(files)}")
    debian.run(f"grep -q '# mine' {CONFIG}")
    check_installed(debian.run)
    with by_hand(debian) as run:
        use(run)
    say("the unit's command ran by hand: no container boots on this machine")
    purge(debian.run, debian, before)


# ---- 1. a clean Debian --------------------------------------------------------------------------

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
        # All that a container without a network will ask for.
        names = " ".join(f"/debs/{file.name}" for file in packages)
        debian.run(f"rm -f /etc/apt/apt.conf.d/docker-clean; apt-get -q update; "
                   f"{APT} --no-install-recommends --download-only install {names}")
        in_container(debian, packages, earlier) or by_its_command(debian, packages, earlier)


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
