#!/usr/bin/env python3
"""Programs of the system, as they are, through three relays to a node without any other way to it: curl, wget, git, scp,
rsync, psql and Chromium. Every byte is compared.

On the loopback, where this is allowed, all of it is in a namespace of its own, and a watch (watch.py) sees whether a look-up of
a name or a connection goes anywhere but to the node's own ports and to the services. With EMULATOR each node has a namespace
of its own behind slow and lossy links.

Usage: existing_test.py QUDAG [EMULATOR] [KEY=VALUE...]    exit code 0 passed, 1 failed, 77 skipped. ctest: programs.existing

Keys: parts=curl,wget,git,scp,rsync,psql,chromium megabytes=2 (a file of curl, scp, rsync) at_once=10 files=40 (of wget)
resources=60 (of the page) rows=200 (of psql) json=FILE screenshot=FILE delay=25ms loss=1% rate=100mbit (of the emulator)
In full: megabytes=100 at_once=50 files=1000 resources=200 rows=100000, and parts=scp,rsync megabytes=1000.
A program that is not installed is left out, and the output says so.
"""

import hashlib
import http.server
import json
import os
import pathlib
import shlex
import shutil
import sys
import time

import place as places
import testbed
from testbed import keys_of

import capture
import page
import postgres
import watch
from gateway_test import Files
from sshd import Sshd, ssh_flags


MB = 1_000_000
PATIENCE = 900
SYSTEM = "/usr/sbin:/usr/bin:/bin:/sbin:/usr/local/bin"
NEEDED = {"curl": ("curl",), "wget": ("wget",), "git": ("git", "ssh", "sshd"), "scp": ("scp", "ssh", "sshd"),
          "rsync": ("rsync", "ssh", "sshd"), "psql": ("psql",), "chromium": ("chromium",)}
DEFAULTS = {"parts": ",".join(NEEDED), "megabytes": "2", "at_once": "10", "files": "40", "resources": "60", "rows": "200",
            "json": "", "screenshot": "", "delay": "25ms", "loss": "1%", "rate": "100mbit", "seed": "1"}


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def same(one, other):
    if digest(one) != digest(other):
        raise AssertionError(f"{other} is not what {one} is")


def missing(part):
    absent = [name for name in NEEDED[part] if not shutil.which(name, path=SYSTEM)]
    if part == "psql" and not postgres.programs():
        absent.append("postgres")
    return absent


class Run:
    def __init__(self, place, keys):
        self.place, self.keys, self.figures = place, keys, {}
        self.web = place.folder / "web"
        self.web.mkdir()
        self.size = int(keys["megabytes"]) * MB
        self.big = self.web / "big"
        with open(self.big, "wb") as file:
            for _ in range(int(keys["megabytes"])):
                file.write(os.urandom(MB))
        self.site = page.parts(int(keys["resources"]), page.chance(keys["seed"]))

    def services(self, parts):
        found = {}
        with self.place.inside("b"):
            web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: Files(*args, directory=self.web))
            web.request_queue_size = 128
            web.socket.listen(128)
            self.page_server = page.Site(self.site)
            if any("sshd" in NEEDED[part] for part in parts):
                if os.geteuid() == 0:
                    os.makedirs("/run/sshd", exist_ok=True)
                found["ssh"] = f"127.0.0.1:{self.place.serve(Sshd(self.place.folder))}"
        found["web"] = f"127.0.0.1:{self.place.serve(web)}"
        found["page"] = f"127.0.0.1:{self.place.serve(self.page_server)}"
        if "psql" in parts:
            server = postgres.Postgres()
            self.place.ends.callback(server.end)
            found["db"] = f"unix:{server.socket}"
        return found

    def timed(self, what, command, **more):
        began = time.monotonic()
        out = self.place.run(*command, **more)
        self.figures[what] = round(time.monotonic() - began, 3)
        return out

    def curl(self, *flags):
        return ("curl", "-sS", "--fail", "--socks5-hostname", self.place.socks, *flags)

    def ssh(self):
        return ("ssh", *ssh_flags(self.place.folder), "-o", f"ProxyCommand={shlex.join(self.place.pipe('ssh'))}")

    def part_curl(self):
        copy, some = self.place.folder / "copy", self.place.folder / "some"
        self.timed("curl", self.curl("-o", copy, "http://web.bob.qudag/big"))
        same(self.big, copy)
        data = self.big.read_bytes()
        for first, last in ((0, 0), (self.size // 3, self.size // 3 + 99_999), (self.size - 1, self.size - 1)):
            if self.place.run(*self.curl("-r", f"{first}-{last}", "http://web.bob.qudag/big")) != data[first:last + 1]:
                raise AssertionError(f"bytes {first} to {last} are wrong")
        some.mkdir()
        count = int(self.keys["at_once"])
        for i in range(count):
            (self.web / f"one-{i}").write_bytes(os.urandom(100_000 + i))
        self.timed("curl, at once", self.curl("-Z", "--parallel-immediate", "--parallel-max", count, "-o", f"{some}/#1",
                                              f"http://web.bob.qudag/one-[0-{count - 1}]"))
        for i in range(count):
            same(self.web / f"one-{i}", some / str(i))

    def part_wget(self):
        many, copy = self.web / "many", self.place.folder / "wget"
        for i in range(int(self.keys["files"])):
            file = many / str(i % 10) / f"{i}.bin"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(os.urandom(1000 + i % 977))
        port = self.place.forward("web")
        self.timed("wget -r", ("wget", "-q", "-r", "-np", "-nH", "--no-proxy", "-P", copy, f"http://{port}/many/"))
        files = [file for file in many.rglob("*") if file.is_file()]
        for file in files:
            same(file, copy / file.relative_to(self.web))
        if len(files) != int(self.keys["files"]):
            raise AssertionError(f"{len(files)} files")

    def part_git(self):
        run, folder = self.place.run, self.place.folder
        git = ("git", "-c", "user.name=x", "-c", "user.email=x@example", "-c", "init.defaultBranch=main")
        env = {**os.environ, "GIT_SSH_COMMAND": shlex.join(self.ssh())}
        bare, first, second = folder / "bare.git", folder / "first", folder / "second"
        run(*git, "init", "-q", "--bare", bare)
        run(*git, "init", "-q", first)
        (first / "file").write_bytes(os.urandom(min(self.size, 20 * MB)))
        run(*git, "-C", first, "add", "file")
        run(*git, "-C", first, "commit", "-q", "-m", "one")
        self.timed("git push", (*git, "-C", first, "push", "-q", f"ssh://bob.qudag{bare}", "main"), env=env)
        self.timed("git clone", (*git, "clone", "-q", f"ssh://bob.qudag{bare}", second), env=env)
        same(first / "file", second / "file")
        run(*git, "-C", bare, "fsck", "--strict")
        run(*git, "-C", second, "fsck", "--strict")

    def part_scp(self):
        copy = self.place.folder / "scp"
        ssh = self.ssh()
        self.timed("scp", ("scp", "-q", *ssh[1:], self.big, f"bob.qudag:{copy}"))
        same(self.big, copy)
        copy.unlink()

    def part_rsync(self):
        copy = self.place.folder / "rsync"
        self.timed("rsync", ("rsync", "-e", shlex.join(self.ssh()), f"bob.qudag:{self.big}", copy))
        same(self.big, copy)
        copy.unlink()

    def part_psql(self):
        host, port = self.place.forward("db").rsplit(":", 1)
        rows = [f"{i}\t{hashlib.sha256(b'%d' % i).hexdigest()}\n" for i in range(int(self.keys["rows"]))]
        script = ("begin;\ncreate table t (id int primary key, text text);\ncopy t from stdin;\n" + "".join(rows) +
                  "\\.\ncommit;\nbegin;\nupdate t set text = 'gone';\nrollback;\n")
        psql = ("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", host, "-p", port, "-U", "test", "postgres")
        self.timed("psql", psql, input=script.encode())
        if self.place.run(*psql, "-c", "copy t to stdout").decode() != "".join(rows):
            raise AssertionError("the rows are not those that were committed")

    def part_chromium(self):
        shot = self.keys["screenshot"]
        self.figures["chromium"] = round(page.load(self.place, shutil.which("chromium"), "http://page.bob.qudag/", self.site,
                                                   pathlib.Path(shot) if shot else None), 3)
        asked = sorted(self.page_server.asked)
        if asked != sorted(self.site):
            raise AssertionError(f"the server was asked for {len(asked)} parts of {len(self.site)}")


def judge(seen, place, services, forwarded):
    """Nothing left; and on the loopback there were connections to nothing but the node's ports and the services."""
    ours = {int(address.rsplit(":", 1)[1]) for address in (place.socks, *services.values(), *forwarded)
            if not address.startswith("unix:")}
    foreign = {what for what in seen.inner if what[0] != "tcp" or what[2] not in ours}
    if seen.left or foreign:
        raise AssertionError(f"left: {sorted(seen.left)[:9]}; on the loopback: {sorted(foreign)[:9]}")
    if not seen.inner:
        raise AssertionError("the watch saw nothing at all")
    # The watch can see: a program that looks up the name by itself.
    place.run("curl", "-sS", "-m", "3", "--socks5", place.socks, "http://web.bob.qudag/big", codes=range(1, 100))
    place.run("curl", "-sS", "-m", "1", "http://192.0.2.1/", codes=range(1, 100))
    if ("udp", watch.RESOLVER, 53) not in seen.left or ("tcp", "192.0.2.1", 80) not in seen.left:
        raise AssertionError(f"the watch is blind: {seen.left}")


def use(program, keys, emulated):
    parts = []
    for part in keys["parts"].split(","):
        absent = missing(part)
        if absent:
            print(f"{part}: left out, no {', '.join(absent)}")
        else:
            parts.append(part)
    with places.Place(program, emulated, PATIENCE) as place:
        seen = watch.Watch(place.folder) if capture.is_inside() else None
        run = Run(place, keys)
        services = run.services(parts)
        place.begin(services)
        if seen:
            seen.begin([int(node["address"].rsplit(":", 1)[1]) for node in place.nodes.values()])
        for part in parts:
            before = set(run.figures)
            getattr(run, f"part_{part}")()
            took = ", ".join(f"{name} {run.figures[name]} s" for name in run.figures if name not in before)
            print(f"right: {took}", flush=True)
        if seen:
            judge(seen, place, services, place.forwarded)
            print(f"nothing left; connections on the loopback: {len(seen.inner)} ports, all of them the node's or a service's")
        if keys["json"]:
            pathlib.Path(keys["json"]).write_text(json.dumps({"keys": keys, "emulated": emulated, "seconds": run.figures}))


def main():
    words = [word for word in sys.argv[2:] if "=" not in word]
    keys = keys_of([word for word in sys.argv[2:] if "=" in word], DEFAULTS)
    if words and words != ["inside"]:
        lines = [*testbed.node_lines(places.RELAYS), f"time {PATIENCE}s",
                 f"link * * delay={keys['delay']} rate={keys['rate']} loss={keys['loss']} queue=300kB"]
        return testbed.run_inside(__file__, words[0], sys.argv[1], lines, [word for word in sys.argv[2:] if "=" in word])
    if not words and not capture.is_inside():
        why = watch.why_not()
        if not why:
            capture.enter()
        print(f"not watched: {why}")
    use(os.path.abspath(sys.argv[1]), keys, words == ["inside"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
