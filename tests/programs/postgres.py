"""A PostgreSQL server for tests: as a user of its own, on a Unix socket, without a daemon of the system."""

import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import time

PATIENCE = 60
FAST = ("fsync=off", "listen_addresses=", "shared_buffers=8MB")


def programs():
    """Where they are; None if they are not."""
    places = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    return places[-1] if places and shutil.which("psql") else None


class Postgres:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="qudag-postgres-"))
        user = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        os.chown(self.folder, user.pw_uid, user.pw_gid)
        self.how = {"cwd": self.folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if os.geteuid() == 0:
            self.how |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        data, bin_ = self.folder / "data", programs()
        subprocess.run([bin_ / "initdb", "-D", data, "-U", "test", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"],
                       check=True, timeout=PATIENCE, **self.how)
        flags = [word for flag in FAST for word in ("-c", flag)]
        self.process = subprocess.Popen([bin_ / "postgres", "-D", data, "-k", self.folder, *flags], **self.how)
        self.socket = self.folder / ".s.PGSQL.5432"
        until = time.monotonic() + PATIENCE
        while subprocess.run([bin_ / "pg_isready", "-q", "-h", self.folder], check=False).returncode != 0:
            if time.monotonic() > until or self.process.poll() is not None:
                raise AssertionError("postgres did not start")

    def end(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        shutil.rmtree(self.folder)
