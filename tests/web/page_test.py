#!/usr/bin/env python3
"""The web page of a node in a headless Chromium: it shows the node, fits three widths in light and
dark, is used by keyboard, sends and receives, and breaks no rule of its own policy.

Usage: page_test.py QUDAG CHROMIUM [--screens DIR]
"""

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys

from browser import browser
from hostile_page import TRIES, hostile_page

sys.path.append(str(pathlib.Path(__file__).parents[1] / "app"))
from live_node import Connection, live_node  # noqa: E402

TABS = ("overview", "queues", "links", "circuits", "services", "messages", "log")
WIDTHS = ((360, 740), (1280, 900), (2560, 1300))
EVIL = "<img src=x onerror=document.title=1>"
SEND = """(() => {
  document.getElementById("to").value = %s;
  document.getElementById("relays").value = "0";
  document.getElementById("text").value = "hello <b>there</b>";
  document.getElementById("send").requestSubmit();
  return true;
})()"""


def ready(page, tab):
    page.until(f"document.body?.dataset.ready === '{tab}'", f"the tab {tab}")


def shows(page, node):
    status = json.loads(node.ask("GET", "/v1/status")[2])
    page.until(f"document.getElementById('id').textContent === '{status['id']}'", "the node's id")
    page.until("document.querySelectorAll('#tiles .tile').length === 8", "the tiles")
    page.until("document.querySelectorAll('#pressures dt').length === 7", "the pressures")
    page.until("document.querySelector('#throughput polyline.one') !== null", "the chart of the throughput")
    page.until("document.querySelector('#memory line.bound') !== null", "the bound of the memory")
    assert "MiB" in page.run("document.getElementById('tiles').innerText")
    assert "token" not in page.run("location.href"), "the token stays in the address"


def keyboard(page):
    page.run("document.getElementById('tab-overview').focus()")
    for tab in TABS[1:]:
        page.key("ArrowRight", 39)
        ready(page, tab)
        assert page.run("document.activeElement.id") == f"tab-{tab}"
        assert page.run("[...document.querySelectorAll('main > section')].filter((s) => !s.hidden).map((s) => s.id)") == [tab]
    page.key("Home", 36)
    ready(page, "overview")


def tables(page):
    for tab, text in (("queues", "messages to be sent"), ("links", "ready"), ("services", "No service is exposed"),
                      ("log", "listens on")):
        page.run(f"document.getElementById('tab-{tab}').click()")
        page.until(f"document.getElementById('{tab}').innerText.includes({json.dumps(text)})", f"{text} in {tab}")


def sizes(page, folder):
    for tab in TABS:
        page.run(f"document.getElementById('tab-{tab}').click()")
        ready(page, tab)
        for width, height in WIDTHS:
            for scheme in ("light", "dark"):
                page.look(width, height, scheme)
                page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
                wide = page.run("document.scrollingElement.scrollWidth")
                assert wide <= width, f"{tab} at {width} is {wide} wide"
                if folder:
                    page.screenshot(folder / f"{tab}-{width}-{scheme}.png")


def messages(page, node, other):
    page.run("document.getElementById('tab-messages').click()")
    with contextlib.closing(Connection(other.path)) as taker:
        taker.request("GET", "/v1/messages?format=raw&count=1")
        taken = taker.getresponse()  # its head: somebody is there to take the message
        to = json.loads(other.ask("GET", "/v1/status")[2])["id"]
        page.run(SEND % json.dumps(to))
        page.until("document.getElementById('outcome').className !== ''", "the outcome")
        assert page.run("document.getElementById('outcome').textContent") == "delivered"
        assert taken.read() == b"hello <b>there</b>"
    page.run("document.getElementById('receive').click()")
    page.until("document.getElementById('receive').getAttribute('aria-pressed') === 'true'", "the subscription")
    own = json.loads(node.ask("GET", "/v1/status")[2])["id"]
    said = json.loads(other.ask("POST", f"/v1/messages?to={own}&relays=0&ttl=20s", body=EVIL.encode())[2])
    assert said["outcome"] == "delivered", said
    page.until("document.querySelector('#received pre')?.textContent === '" + EVIL + "'", "the message, as text")
    assert page.run("document.querySelector('#received img')") is None
    assert page.run("document.title") == "QuDAG node"
    page.run("document.getElementById('receive').click()")
    page.until("document.getElementById('receive').getAttribute('aria-pressed') === 'false'", "its end")


def others(chromium, other, url):
    """A page at another port, in a browser that knows the token."""
    with hostile_page() as place, browser(chromium) as program:
        page = program.open()
        page.call("Page.navigate", url=place)
        page.until("document.title === 'other'", "the other page")
        address, token = url.split("/#token=")
        to = json.loads(other.ask("GET", "/v1/status")[2])["id"]
        got = page.run(TRIES % (address, token, to))
        assert set(got.values()) == {"refused"}, got
        assert any("frame" in fault for fault in page.faults), page.faults
        own = program.open()  # what was refused is there, at that address and for that token
        own.call("Page.navigate", url=url)
        ready(own, "overview")
        read = f'fetch("{address}/v1/status", {{headers: {{"X-Qudag": "{token}"}}}}).then((answer) => answer.status)'
        assert own.run(read) == 200


def main():
    global PROGRAM
    parser = argparse.ArgumentParser()
    parser.add_argument("qudag")
    parser.add_argument("chromium")
    parser.add_argument("--screens", type=pathlib.Path)
    arguments = parser.parse_args()
    PROGRAM = arguments.qudag
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(live_node(PROGRAM, "--web.listen", "127.0.0.1:0", "--web.control", "true",
                                             "--log.level", "info"))
        status = json.loads(node.ask("GET", "/v1/status")[2])
        other = stack.enter_context(live_node(PROGRAM, "--bootstrap", f"{status['id']}@{status['listen']}"))
        url = subprocess.run([PROGRAM, "web", "--socket", node.path], capture_output=True, text=True, check=True).stdout
        page = stack.enter_context(browser(arguments.chromium)).open()
        page.look(1280, 900, "light")
        page.call("Page.navigate", url=url.strip())
        ready(page, "overview")
        shows(page, node)
        tables(page)
        page.run("document.getElementById('tab-overview').click()")
        keyboard(page)
        messages(page, node, other)
        sizes(page, arguments.screens)
        assert not page.faults, page.faults
        others(arguments.chromium, other, url.strip())
        page.call("Page.navigate", url=url.split("#")[0])  # the tab keeps the token
        ready(page, "overview")
    return 0


if __name__ == "__main__":
    sys.exit(main())
