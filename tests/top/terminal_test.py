#!/usr/bin/env python3
"""`qudag top` in a terminal of tmux: keys, a screen that becomes narrow, a node that goes away.

Waits for what a screen must show, never for a time.

Usage: terminal_test.py QUDAG
"""

import contextlib
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).parents[1] / "app"))
from live_node import live_node  # noqa: E402

PATIENCE = 20


class Tmux:
    """A server of its own, with one window."""

    def __init__(self, folder, columns, rows, command):
        self.socket = tempfile.mktemp(dir=folder)  # of one window: an ended server leaves its file for a while
        self.run("-f", "/dev/null", "new-session", "-d", "-s", "top", "-x", str(columns), "-y", str(rows),
                 f"{command}; echo ended with $?; exec sleep 60")

    def run(self, *words):
        done = subprocess.run(["tmux", "-S", self.socket, *words], capture_output=True, text=True, timeout=10)
        if done.returncode != 0:
            raise RuntimeError(f"tmux {words}: {done.stderr}")
        return done.stdout

    def press(self, *keys):
        self.run("send-keys", "-t", "top", *keys)

    def resize(self, columns, rows):
        self.run("resize-window", "-t", "top", "-x", str(columns), "-y", str(rows))

    def screen(self):
        return self.run("capture-pane", "-p", "-t", "top")

    def until(self, shows, what):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            screen = self.screen()
            if shows(screen):
                return screen
            time.sleep(0.02)
        raise AssertionError(f"{what} did not come; the screen:\n{screen}")

    def end(self):
        with contextlib.suppress(RuntimeError):
            self.run("kill-server")


def keys(window):
    window.until(lambda s: "qudag top, up" in s and "1 overview" in s, "the overview")
    window.press("6")
    window.until(lambda s: "queues, pools and tables" in s and "bound" in s, "the queues")
    window.press("/")
    window.press("-l", "messages to be sent")
    window.until(lambda s: "/messages to be sent_" in s, "what was typed")
    window.press("Enter")
    found = window.until(lambda s: "q quit" in s, "the keys")
    rows = [line for line in found.splitlines() if line.startswith("messages")]
    assert len(rows) == 3 and all(row.startswith("messages to be sent") for row in rows), found
    window.press("s")
    window.until(lambda s: "name^" in s, "the order by name")
    window.press("Escape")
    window.until(lambda s: "with \"" not in s, "all queues again")
    window.press("7")
    window.until(lambda s: "\nlinks" in s and "none" in s, "the links")


def sizes(window):
    window.resize(40, 12)
    narrow = window.until(lambda s: len(s.splitlines()) <= 12 and s.splitlines()[0].endswith("~"), "a narrow screen")
    assert "\nlinks" in narrow, narrow
    window.resize(200, 30)
    window.until(lambda s: "8 circuits" in s, "a wide screen")
    window.press("1")
    wide = window.until(lambda s: "traffic by priority" in s, "the overview")
    assert any("traffic by priority" in line and "pressures" in line for line in wide.splitlines()), wide


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        with live_node(program) as node:
            once = subprocess.run([program, "top", "--socket", node.path, "--once", "--interval", "50ms"],
                                  capture_output=True, text=True, timeout=30, env={"COLUMNS": "120"})
            assert once.returncode == 0 and "traffic by priority" in once.stdout, once
            assert max(map(len, once.stdout.splitlines())) <= 120, once.stdout
            piped = subprocess.run([program, "top", "--socket", node.path], stdin=subprocess.DEVNULL,
                                   capture_output=True, text=True, timeout=30)
            assert piped.returncode == 2 and "--once" in piped.stderr, piped
            window = Tmux(folder, 100, 40, f"'{program}' top --socket '{node.path}' --interval 100ms")
            with contextlib.ExitStack() as stack:
                stack.callback(window.end)
                keys(window)
                sizes(window)
                window.press("q")
                window.until(lambda s: "ended with 0" in s, "its end")
                window.end()
                window = Tmux(folder, 100, 40, f"'{program}' top --socket '{node.path}' --interval 100ms")
                stack.callback(window.end)
                window.until(lambda s: "1 overview" in s, "the overview")
                pathlib.Path(node.path).rename(node.path + ".away")
                window.until(lambda s: "the figures are old" in s, "the word that the node is gone")
                pathlib.Path(node.path + ".away").rename(node.path)
                window.until(lambda s: "q quit" in s, "the figures again")
                window.press("C-c")
                window.until(lambda s: "ended with 0" in s, "its end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
