#!/usr/bin/env python3
"""Draws the web page's pictures for the guide: a relay in a network of six nodes on this machine,
under load, at three widths in light and dark. Also for people who want to look at the page.

Usage: guide_screens.py QUDAG CHROMIUM FOLDER [--seconds 60] [--axe FILE]
"""

import argparse
import contextlib
import http.client
import json
import pathlib
import sys
import threading
import time

from browser import browser
from page_test import SEND, TABS, WIDTHS, ready

sys.path.append(str(pathlib.Path(__file__).parents[1] / "app"))
from live_node import Connection, live_node  # noqa: E402

# (sender, receiver, priority, bytes, pause in seconds)
LOADS = ((1, 2, "low", 1 << 20, 0), (3, 4, "low", 1 << 19, 0), (4, 5, "normal", 20_000, 0.05), (2, 0, "normal", 4_000, 0.1),
         (5, 3, "high", 400, 0.1), (0, 1, "normal", 30_000, 0.2))


def send(nodes, ended, sender, receiver, priority, size, pause):
    to = nodes[receiver].id
    with contextlib.closing(Connection(nodes[sender].path)) as connection:
        while not ended.wait(pause):
            connection.request("POST", f"/v1/messages?to={to}&priority={priority}&ttl=20s", body=(b"a message of this network; " * (size // 26 + 1))[:size])
            connection.getresponse().read()


def take(node, ended):
    with contextlib.closing(Connection(node.path)) as connection:
        connection.request("GET", "/v1/messages?format=raw")
        answer = connection.getresponse()
        with contextlib.suppress(http.client.HTTPException):  # the node's end
            while not ended.is_set() and answer.read1(1 << 16):
                pass


def hold(node, target, ended):
    with contextlib.closing(Connection(node.path)) as connection:
        connection.request("POST", target)
        answer = connection.getresponse()
        if answer.status != 200:
            raise AssertionError(f"{target}: {answer.read()}")
        ended.wait()


@contextlib.contextmanager
def loaded_network(program, *flags):
    """Six nodes, the first of them with `flags`; all send, relay and receive."""
    with contextlib.ExitStack() as stack:
        nodes = []
        for i in range(6):
            more = ("--bootstrap", f"{nodes[0].id}@{nodes[0].listen}") if nodes else flags
            node = stack.enter_context(live_node(program, *more))
            status = json.loads(node.ask("GET", "/v1/status")[2])
            node.id, node.listen = status["id"], status["listen"]
            nodes.append(node)
        while any(json.loads(node.ask("GET", "/v1/status")[2])["relays_known"] < 5 for node in nodes):
            time.sleep(0.2)
        node, ended = nodes[0], threading.Event()
        for i, name in enumerate(("alice", "bob", "backup-host")):
            node.ask("POST", f"/v1/contacts?name={name}&text={nodes[i + 1].id}")
        node.ask("POST", "/v1/receivers?name=desk")
        work = [(send, nodes, ended, *load) for load in LOADS] + [(take, one, ended) for one in nodes]
        work += [(hold, node, f"/v1/services?service={one}", ended) for one in ("ssh=127.0.0.1:22", "web=127.0.0.1:8080")]
        threads = [threading.Thread(target=one[0], args=one[1:], daemon=True) for one in work]
        for thread in threads:
            thread.start()
        try:
            yield nodes
        finally:
            ended.set()


def findings(page, axe):
    page.run(axe + "; true")
    found = page.run("axe.run(document, {resultTypes: ['violations']}).then((all) => all.violations.map((one) => "
                     "[one.impact, one.id, one.nodes.map((node) => node.html.slice(0, 120) + ' ' + node.any.map((a) => a.message).join(' ').slice(0, 200))]))")
    return [(impact, name, nodes[:4], len(nodes)) for impact, name, nodes in found]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("qudag")
    parser.add_argument("chromium")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--axe", type=pathlib.Path, help="axe.min.js of npm's axe-core: print what it finds")
    arguments = parser.parse_args()
    axe = arguments.axe.read_text() if arguments.axe else None
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        nodes = stack.enter_context(loaded_network(arguments.qudag, "--web.listen", "127.0.0.1:0", "--web.control", "true",
                                                   "--log.level", "info", "--limits.memory", "256MiB"))
        url = json.loads(nodes[0].ask("GET", "/v1/web")[2])["url"]
        page = stack.enter_context(browser(arguments.chromium)).open()
        page.look(1280, 900, "light")
        page.call("Page.navigate", url=url)
        ready(page, "overview")
        time.sleep(arguments.seconds)
        for tab in TABS:
            page.run(f"document.getElementById('tab-{tab}').click()")
            ready(page, tab)
            if tab == "messages":
                page.run(SEND % json.dumps("alice"))
                page.until("document.getElementById('outcome').className !== ''", "the outcome")
                page.run("document.getElementById('receive').click()")
            time.sleep(2.5)
            for width, height in WIDTHS:
                for scheme in ("light", "dark"):
                    page.look(width, height, scheme)
                    page.run("new Promise((done) => setTimeout(done, 300))")
                    page.screenshot(arguments.folder / f"{tab}-{width}-{scheme}.png")
                    if axe:
                        for finding in findings(page, axe):
                            print(tab, width, scheme, *finding)
        print(page.faults)
    return 0


if __name__ == "__main__":
    sys.exit(main())
