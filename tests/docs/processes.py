"""Processes whose output is read while they run, and what is waited for in it."""

import os
import signal
import subprocess
import threading

PATIENCE = 30


class Failed(Exception):
    """What is wrong with a document, or with the program."""


class Running:
    """A command of a shell. Whoever waits is woken by its output and by its end."""

    def __init__(self, command, folder, environment):
        self.command = command
        self.out = self.err = ""
        self._changed = threading.Condition()
        self._process = subprocess.Popen(["bash", "-c", command], cwd=folder, env=environment,
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, start_new_session=True)
        self._open = 2
        self._interrupted = False
        self._readers = [threading.Thread(target=self._read, args=(name, pipe)) for name, pipe in
                         (("out", self._process.stdout), ("err", self._process.stderr))]
        for reader in self._readers:
            reader.start()

    def _read(self, name, pipe):
        while data := os.read(pipe.fileno(), 65536):
            with self._changed:
                setattr(self, name, getattr(self, name) + data.decode(errors="replace"))
                self._changed.notify_all()
        pipe.close()
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def wait_for(self, state, what):
        with self._changed:
            self._changed.wait_for(lambda: state() or self._open == 0, PATIENCE)
            if not state():
                raise Failed(f"`{self.command}`: {what} did not come\n{self.out}{self.err}")

    def end(self):
        """Its exit code, when it has ended by itself."""
        with self._changed:
            ended = self._changed.wait_for(lambda: self._open == 0, PATIENCE)
        if not ended:
            os.killpg(self._process.pid, signal.SIGKILL)
        for reader in self._readers:
            reader.join()
        code = self._process.wait()
        if not ended:
            raise Failed(f"`{self.command}`: does not end\n{self.out}{self.err}")
        return code

    def interrupt(self):
        """As Ctrl-C does; once, because a second one does not wait."""
        if not self._interrupted and self._process.poll() is None:
            self._interrupted = True
            os.killpg(self._process.pid, signal.SIGINT)
