"""Nodes of the built program for the tests."""

import asyncio
import json
import pathlib
import signal
import subprocess
import time

PATIENCE = 30


class Process:
    def __init__(self, program, folder, name, *flags):
        self.path = str(pathlib.Path(folder, f"{name}.sock"))
        key = str(pathlib.Path(folder, f"{name}.key"))
        self.command = [program, "node", "--identity", key, "--shards", "1", "--api.socket", self.path,
                        "--gossip_interval", "1s", "--log.level", "off", *flags]
        subprocess.run([program, "keygen", key], check=True, capture_output=True)
        self.start()

    def start(self, listen="127.0.0.1:0"):
        self.process = subprocess.Popen([*self.command, "--listen", listen], stdout=subprocess.PIPE, text=True)
        ready = json.loads(self.process.stdout.readline())
        self.id, self.address = ready["id"], ready["address"]

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(PATIENCE)
        self.process.stdout.close()


async def known(sender, to):
    """Until `sender` knows `to`: 300 says that it does not."""
    until = time.monotonic() + PATIENCE
    while (await sender.send(to, b"", relays=0, channel=99)).error == 300:
        if time.monotonic() > until:
            raise AssertionError("the nodes do not know each other")
        await asyncio.sleep(0.005)
