"""A `qudag node` process for tests in Python, and HTTP over its socket."""

import contextlib
import http.client
import pathlib
import signal
import socket
import subprocess
import tempfile


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("q", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Node:
    def __init__(self, path):
        self.path = path

    def ask(self, method, target, body=None, headers={}):
        """(status, content type, text); a connection for each request."""
        with contextlib.closing(Connection(self.path)) as connection:
            connection.request(method, target, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Content-Type", ""), answer.read().decode()


@contextlib.contextmanager
def live_node(program, *flags):
    """`flags` win over those that are here."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder, "api.sock"))
        node = subprocess.Popen([program, "node", "--api.socket", path, "--shards", "1",
                                 *(() if "--log.level" in flags else ("--log.level", "off")), *flags],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if "--log.level" in flags else None,
                                text=True)
        try:
            if '"ready":true' not in node.stdout.readline():
                raise RuntimeError("the node did not start")
            yield Node(path)
        finally:
            node.send_signal(signal.SIGTERM)
            node.wait(timeout=30)
