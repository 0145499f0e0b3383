"""A headless Chromium, spoken to over its pipe (the DevTools protocol), without a port."""

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time

PATIENCE = 60


class Page:
    """One page. What went wrong in it is in `faults`."""

    def __init__(self, browser, session):
        self.browser, self.session, self.faults = browser, session, []
        self.ear = lambda event: None
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        return self.browser.call(method, parameters, self.session, self.note)

    def listen(self, ear):
        """Events go to that as well, while a call waits for its answer."""
        self.ear = ear

    def note(self, event):
        self.ear(event)
        if event["method"] == "Runtime.exceptionThrown":
            self.faults.append(event["params"]["exceptionDetails"].get("exception", {}).get("description", "exception"))
        if event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] in ("error", "warning"):
            self.faults.append(event["params"]["entry"]["text"])

    def run(self, script):
        """The value of an expression, of JSON; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, script, what):
        end = time.monotonic() + PATIENCE
        while not (value := self.run(script)):
            if time.monotonic() > end:
                raise AssertionError(f"{what} did not come; {self.run('document.body.innerText')[:1500]}; {self.faults}")
            time.sleep(0.02)
        return value

    def key(self, key, code, text=""):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                      text=text if kind == "keyDown" else "")

    def look(self, width, height, scheme):
        """A screen of that size and colours."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path):
        import base64
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=False)["data"]
        path.write_bytes(base64.b64decode(data))


class Browser:
    def __init__(self, program, folder, *flags):
        to_read, self.write_end = os.pipe()
        self.read_end, to_write = os.pipe()
        command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-sync",
                   "--hide-scrollbars", f"--user-data-dir={folder}", "--remote-debugging-pipe", *flags, "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "bash", *command], pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(to_write)
        self.number, self.rest = 0, b""

    def message(self):
        end = time.monotonic() + PATIENCE
        while b"\0" not in self.rest:
            if not select.select([self.read_end], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError("the browser does not answer")
            piece = os.read(self.read_end, 1 << 16)
            if not piece:
                raise AssertionError("the browser has ended")
            self.rest += piece
        line, self.rest = self.rest.split(b"\0", 1)
        return json.loads(line)

    def call(self, method, parameters=None, session=None, note=lambda event: None):
        self.number += 1
        ask = {"id": self.number, "method": method, "params": parameters or {}}
        if session:
            ask["sessionId"] = session
        os.write(self.write_end, json.dumps(ask).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]
            if "method" in answer:
                note(answer)

    def open(self):
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        return Page(self, self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"])

    def end(self):
        with contextlib.suppress(AssertionError, OSError):
            self.call("Browser.close")
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.write_end)
        os.close(self.read_end)


@contextlib.contextmanager
def browser(program):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        one = Browser(program, folder)
        try:
            yield one
        finally:
            one.end()
