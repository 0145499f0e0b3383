"""A page of many parts that a browser loads through the SOCKS port, and each part compared."""

import base64
import hashlib
import http.server
import random
import struct
import threading
import time
import zlib

from browser import Browser

PATIENCE = 120
STYLES, SCRIPTS = 20, 20


def picture(chance, side=24):
    """A PNG of chance colours (its bytes cannot be guessed), in one tone."""
    tone = [chance.randrange(256) for _ in range(3)]
    rows = b"".join(b"\0" + bytes(min(255, max(0, tone[i % 3] + chance.randrange(-30, 30))) for i in range(3 * side))
                    for _ in range(side))

    def chunk(kind, data):
        return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack("!2I5B", side, side, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def parts(count, chance):
    """Path -> type and bytes: the page itself and `count` parts of it."""
    site = {}
    for i in range(STYLES):
        site[f"/{i}.css"] = ("text/css", f"#s{i} {{ background: rgb({chance.randrange(256)},200,{200 - i}); }}".encode())
    for i in range(SCRIPTS):
        site[f"/{i}.js"] = ("text/javascript", f"loaded.push({i}); // {chance.random()}".encode())
    for i in range(count - STYLES - SCRIPTS):
        site[f"/{i}.png"] = ("image/png", picture(chance))
    site["/"] = ("text/html", "\n".join([
        "<!doctype html><meta charset=utf-8><title>parts</title><link rel=icon href=data:,>",
        *(f"<link rel=stylesheet href=/{i}.css>" for i in range(STYLES)), "<script>const loaded = [];</script>",
        *(f"<script src=/{i}.js></script>" for i in range(SCRIPTS)),
        "<style>i{display:inline-block;width:24px;height:24px}</style><h1 id=head></h1>",
        *(f"<i id=s{i}></i>" for i in range(STYLES)), "<br>",
        *(f"<img src=/{path[1:]}>" for path in site if path.endswith(".png")),
        "<script>addEventListener('load', () => head.textContent = `${[...document.images].filter("
        "one => one.naturalWidth == 24).length} pictures, ${loaded.length} scripts, ${document.styleSheets.length} styles`)"
        "</script>"]).encode())
    return site


class Site(http.server.ThreadingHTTPServer):
    """Serves it; `asked` are the paths that were asked for. Over any number of connections."""
    daemon_threads, request_queue_size = True, 256

    def __init__(self, site):
        self.asked, lock = [], threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_GET(self):
                with lock:
                    self.server.asked.append(self.path)
                kind, data = site.get(self.path, ("text/plain", b""))
                self.send_response(200 if self.path in site else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
        super().__init__(("127.0.0.1", 0), Handler)


def load(place, chromium, url, site, screenshot=None):
    """Seconds until all is loaded; every part that the browser got is what the site has."""
    browser = None
    bodies, done = {}, set()
    try:
        with place.inside("a"):
            browser = Browser(chromium, place.folder / "profile", f"--proxy-server=socks5://{place.socks}")
        page = browser.open()

        def note(event):
            what = event["params"]
            if event["method"] == "Network.responseReceived":
                bodies[what["requestId"]] = what["response"]["url"]
            elif event["method"] == "Network.loadingFinished":
                done.add(what["requestId"])
        page.listen(note)
        page.call("Network.enable", maxTotalBufferSize=100_000_000)
        began = time.monotonic()
        page.call("Page.navigate", url=url)
        text = page.until("document.readyState == 'complete' && document.body.querySelector('h1').textContent", "the page")
        took = time.monotonic() - began
        page.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
        got = {}
        for request in done & set(bodies):
            answer = page.call("Network.getResponseBody", requestId=request)
            data = base64.b64decode(answer["body"]) if answer["base64Encoded"] else answer["body"].encode()
            got["/" + bodies[request].split("/", 3)[3]] = hashlib.sha256(data).hexdigest()
        if screenshot:
            page.look(800, 600, "light")
            page.screenshot(screenshot)
        wanted = {path: hashlib.sha256(data).hexdigest() for path, (_, data) in site.items()}
        wrong = [path for path in wanted if got.get(path) != wanted[path]]
        if wrong or page.faults:
            raise AssertionError(f"{len(wrong)} parts are wrong or missing: {wrong[:5]}; {text}; {page.faults[:3]}")
        return took
    finally:
        if browser:
            browser.end()


def chance(seed):
    return random.Random(seed)
