"""A page of somebody else's, at another port of loopback: what it tries against the page of a node."""

import contextlib
import http.server
import threading

# Each gives "refused" or what it got. The token is given to it, as though it had leaked: without
# knowing it a page has less.
TRIES = """(async () => {
  const node = "%s", token = "%s", to = "%s", got = {};
  const attempt = async (name, work) => {
    const late = new Promise((done) => setTimeout(() => done("no answer"), 20000));
    try { got[name] = await Promise.race([work(), late]); } catch { got[name] = "refused"; }
  };
  const read = async (path, options) => (await (await fetch(node + path, options)).text()).slice(0, 40);
  const element = (kind, how) => new Promise((yes, no) => {
    const one = Object.assign(document.createElement(kind), how);
    one.onload = () => yes("loaded");
    one.onerror = no;
    document.body.append(one);
  });
  const socket = (path) => new Promise((yes, no) => {
    const one = new WebSocket(node.replace("http", "ws") + path);
    one.onopen = () => yes("open");
    one.onerror = no;
  });
  await attempt("read a file", () => read("/"));
  await attempt("read a page", () => read("/v1/status", { headers: { "X-Qudag": token } }));
  await attempt("send", () => read(`/v1/messages?relays=0&to=${to}`, { method: "POST", body: "x", headers: { "X-Qudag": token } }));
  await attempt("WebSocket", () => socket("/v1/stream"));
  await attempt("WebSocket of text", () => socket("/v1/stream?format=json"));
  await attempt("script", () => element("script", { src: node + "/app.js" }));
  await attempt("module", () => element("script", { src: node + "/app.js", type: "module" }));
  await attempt("image", () => element("img", { src: node + "/icon.svg" }));
  await attempt("style", () => element("link", { href: node + "/app.css", rel: "stylesheet" }));
  const frame = document.createElement("iframe");
  frame.src = node + "/#token=" + token;
  document.body.append(frame);
  await new Promise((done) => { frame.onload = done; });  // of what the browser shows in its place
  const opened = open(node + "/#token=0");
  await attempt("hold a window", async () => {
    while (!opened.closed) await new Promise((done) => setTimeout(done, 20));
    return "refused";
  });
  return got;
})()"""


@contextlib.contextmanager
def hostile_page():
    """Its address."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>other</title><body>")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
