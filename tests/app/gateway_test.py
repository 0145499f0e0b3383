#!/usr/bin/env python3
"""Programs of the system through two nodes, as they are: curl by SOCKS and by HTTP CONNECT, ssh with
a ProxyCommand and through a forwarded port, git. Every byte is compared.

One node has a SOCKS port, the other one the services: an HTTP server with ranges, and sshd with
keys of this test. Ports are the kernel's choice. A program that is not installed is left out, and
the test says so.

Usage: gateway_test.py QUDAG
"""

import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

from sshd import Sshd, ssh_flags

PATIENCE = 60
BIG = os.urandom(1 << 20) * 4


def sha(data):
    return hashlib.sha256(data).hexdigest()


class Files(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, and parts of them (RFC 9110, 14.2)."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def send_head(self):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not wanted:
            return super().send_head()
        with open(self.translate_path(self.path), "rb") as file:
            data = file.read()
        part = data[int(wanted[1]):int(wanted[2]) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {wanted[1]}-{wanted[2]}/{len(data)}")
        self.end_headers()
        self.wfile.write(part)
        return None


class Node:
    def __init__(self, folder, name, *flags):
        self.socket = str(folder / f"{name}.sock")
        self.process = subprocess.Popen(
            [QUDAG, "node", "--listen", "127.0.0.1:0", "--shards", "1", "--api.socket", self.socket,
             "--gossip_interval", "1s", "--log.level", "warn", *flags], stdout=subprocess.PIPE, text=True)
        self.ready = json.loads(self.process.stdout.readline())

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        self.process.stdout.close()


def run(*command, code=0, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, timeout=PATIENCE, **more)
    if done.returncode not in (code if isinstance(code, tuple) else (code,)):
        raise AssertionError(f"{command}: exit code {done.returncode}: {done.stderr.decode()[-2000:]}")
    return done.stdout


class Gateway(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        web = cls.folder / "web"
        web.mkdir()
        (web / "big").write_bytes(BIG)
        for i in range(20):
            (web / f"small-{i}").write_bytes(os.urandom(3_000 + i))
        cls.web = web
        cls.serve(http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), lambda *args: Files(*args, directory=web)), "http")
        services = [f"--services=web=127.0.0.1:{cls.http}"]
        cls.has_ssh = shutil.which("ssh") and shutil.which("sshd", path="/usr/sbin:/usr/bin")
        if cls.has_ssh:
            os.makedirs("/run/sshd", exist_ok=True)
            cls.serve(Sshd(cls.folder), "ssh")
            services.append(f"--services=ssh=127.0.0.1:{cls.ssh}")
        cls.there = Node(cls.folder, "there", *services)
        cls.addClassCleanup(cls.there.end)
        cls.id = cls.there.ready["id"]
        cls.here = Node(cls.folder, "here", "--socks", "127.0.0.1:0,relays=0", f"--names=bob={cls.id}",
                        "--bootstrap", f"{cls.id}@{cls.there.ready['address']}")
        cls.addClassCleanup(cls.here.end)
        cls.socks = cls.here.ready["socks"][0]
        cls.wait_until_known()

    @classmethod
    def wait_until_known(cls):
        """A node is known when a pipe to it is answered."""
        for _ in range(200):
            asked = subprocess.run([QUDAG, "pipe", "--socket", cls.here.socket, "--relays", "0", "bob", "none"],
                                   stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
            if b"no_such_service" in asked.stderr:
                return
        raise AssertionError(asked.stderr)

    @classmethod
    def serve(cls, server, name):
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        setattr(cls, name, server.server_address[1])

    def curl(self, *flags, proxy="socks", **more):
        by = ("--socks5-hostname", self.socks) if proxy == "socks" else ("-p", "-x", f"http://{self.socks}")
        return run("curl", "-sS", "--fail", *by, *flags, **more)

    def test_curl_by_socks_and_by_http_connect(self):
        for proxy in ("socks", "http"):
            for host in (f"web.{self.id}.qudag", "web.bob.qudag"):
                self.assertEqual(sha(self.curl(f"http://{host}/big", proxy=proxy)), sha(BIG))

    def test_curl_with_credentials_and_ranges(self):
        got = self.curl("-U", "me:secret", "-r", "1000-1999", "http://web.bob.qudag/big")
        self.assertEqual(got, BIG[1000:2000])
        got = self.curl("-U", "me:secret", "-r", "5-9", "http://web.bob.qudag/big", proxy="http")
        self.assertEqual(got, BIG[5:10])

    def test_curl_twenty_at_once(self):
        out = self.folder / "parallel"
        out.mkdir()
        self.curl("-Z", "--parallel-immediate", "--parallel-max", "20", "-o", f"{out}/#1",
                  "http://web.bob.qudag/small-[0-19]")
        for i in range(20):
            self.assertEqual((out / str(i)).read_bytes(), (self.web / f"small-{i}").read_bytes())

    def test_what_is_not_a_service_is_refused(self):
        # 97: the proxy said no; 56 and 22 of a proxy of HTTP.
        for host in ("example.org", "127.0.0.1", "none.bob.qudag", "web.carol.qudag", "a.b.web.bob.qudag"):
            self.curl(f"http://{host}/", code=97)
            self.curl(f"http://{host}/", proxy="http", code=(22, 56))

    def test_git_clones_and_every_object_is_right(self):
        work, bare = self.folder / "work", self.web / "repo.git"
        git = ("git", "-c", "user.name=x", "-c", "user.email=x@example", "-c", "init.defaultBranch=main")
        run(*git, "init", "-q", work)
        (work / "file").write_bytes(BIG[:100_000])
        run(*git, "-C", work, "add", "file")
        run(*git, "-C", work, "commit", "-q", "-m", "one")
        run(*git, "clone", "-q", "--bare", work, bare)
        run(*git, "-C", bare, "update-server-info")
        run(*git, "-c", f"http.proxy=socks5h://{self.socks}", "clone", "-q", "http://web.bob.qudag/repo.git",
            self.folder / "clone")
        self.assertEqual((self.folder / "clone" / "file").read_bytes(), BIG[:100_000])
        run(*git, "-C", self.folder / "clone", "fsck", "--strict")

    def ssh_to(self, *flags):
        return ("ssh", *ssh_flags(self.folder), *flags)

    def test_ssh_by_proxy_command(self):
        if not self.has_ssh:
            self.skipTest("no ssh or sshd")
        proxy = f"ProxyCommand={QUDAG} pipe --socket {self.here.socket} --relays 0 $(basename %h .qudag) ssh"
        got = run(*self.ssh_to("-o", proxy, "bob.qudag"), "cat", input=BIG)
        self.assertEqual(sha(got), sha(BIG))

    def test_ssh_and_rsync_by_a_forwarded_port(self):
        if not self.has_ssh:
            self.skipTest("no ssh or sshd")
        forwarded, close = self.lasting("forward", "--socket", self.here.socket, "--relays", "0", "0", "bob", "ssh")
        port = forwarded["listen"].rsplit(":", 1)[1]
        self.assertEqual(run(*self.ssh_to("-p", port, "127.0.0.1"), "echo", "there"), b"there\n")
        if shutil.which("rsync"):
            shell = " ".join(str(word) for word in self.ssh_to("-p", port))
            run("rsync", "-e", shell, f"127.0.0.1:{self.web}/small-7", self.folder / "synced")
            self.assertEqual((self.folder / "synced").read_bytes(), (self.web / "small-7").read_bytes())
        close()

    def lasting(self, *command):
        process = subprocess.Popen([QUDAG, *command, "--json"], stdout=subprocess.PIPE, text=True)
        line = json.loads(process.stdout.readline())

        def end():
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)
            process.stdout.close()
        return line, end

    def test_expose_and_forward_while_the_nodes_run(self):
        exposed, withdraw = self.lasting("expose", "--socket", self.there.socket, f"web-2=127.0.0.1:{self.http}")
        self.assertEqual(exposed["name"], f"web-2.{self.id}.qudag")
        forwarded, close = self.lasting("forward", "--socket", self.here.socket, "--relays", "0", "0", "bob", "web-2")
        url = f"http://{forwarded['listen']}/small-1"
        self.assertEqual(run("curl", "-sS", "--fail", url), (self.web / "small-1").read_bytes())
        withdraw()
        self.refused_soon(url, (52, 56))
        close()
        self.refused_soon(url, (7,))

    def refused_soon(self, url, codes):
        for _ in range(200):
            done = subprocess.run(["curl", "-sS", url], capture_output=True, timeout=PATIENCE)
            if done.returncode in codes:
                return
        raise AssertionError(done)

    def test_the_api_shows_what_is_there(self):
        text = run("curl", "-sS", "--unix-socket", self.there.socket, "http://q/v1/gateway")
        names = [service["name"] for service in json.loads(text)["services"]]
        self.assertIn("web", names)
        text = run("curl", "-sS", "--unix-socket", self.here.socket, "http://q/v1/gateway")
        self.assertEqual(json.loads(text)["socks"], [self.socks])

    def test_a_pipe_by_curl_alone(self):
        target = "http://q/v1/pipes?to=bob&service=web&relays=0"
        ask = b"GET /small-3 HTTP/1.0\r\n\r\n"
        got = run("curl", "-sS", "-N", "--unix-socket", self.here.socket, "-X", "POST", "-T", "-", target, input=ask)
        self.assertEqual(got.split(b"\r\n\r\n", 1)[1], (self.web / "small-3").read_bytes())


if __name__ == "__main__":
    QUDAG = os.path.abspath(sys.argv.pop(1))
    unittest.main()
